/**
 * When the links of deleted pods are deleted.
 *
 * A pod's deletion is answered when nobody can reach or use its address any more; its link stays, doomed. The kernel deletes
 * a hundred links in hardly more time than one, and where the pod's namespace goes as well it deletes them itself. So it is
 * asked when no pod has come or gone for a moment, but before long all the same.
 *
 * @module
 */

/** How doomed links wait. */
export type DeletionBounds = {
  /** They are deleted when no pod came or went for this long. */
  readonly gapMs: number;
  /** None waits longer than this. */
  readonly latestMs: number;
  /** So many are deleted at once, whatever comes and goes. */
  readonly linksMax: number;
};

/** The bounds of the agent. A runtime that makes the same interface again asks for the deletion itself. */
export const DELETION_BOUNDS: DeletionBounds = { gapMs: 50, latestMs: 500, linksMax: 64 };

/** The doomed links as the decision needs them; the times are of one clock. */
export type DoomedLinks = {
  readonly count: number;
  /** When the first of them was doomed. */
  readonly sinceMs: number;
  /** When a pod came or went last. */
  readonly busyMs: number;
};

/** When they are to be deleted if nothing happens until then; in the past: now. `undefined`: there are none. */
export function deletionDueMs(
  { count, sinceMs, busyMs }: DoomedLinks,
  { gapMs, latestMs, linksMax }: DeletionBounds,
): number | undefined {
  if (count === 0) return undefined;
  return count >= linksMax ? sinceMs : Math.min(busyMs + gapMs, sinceMs + latestMs);
}
