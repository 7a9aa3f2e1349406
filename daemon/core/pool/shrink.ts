/**
 * Gives a surplus back: whole ENIs that nobody uses first, then secondary addresses one by one. A primary address goes with
 * its ENI only, so the idle primaries of ENIs in use may stay above `idleMax`.
 *
 * @module
 */
import { unassigningOf, sendUnassign } from "./assign.ts";
import { countOf, type Draft, edit, isBusy, isKnown, type KnownEni, persist } from "./draft.ts";
import { startDetach } from "./eni-leave.ts";
import { type Eni, type Pool } from "./model.ts";

/** Addresses in one UnassignPrivateIpAddresses; the original never sends more. */
const UNASSIGN_MAX = 10;

/** Acts where the surplus has lasted `settleMs`. While pods wait there is none: they would have it. */
export function shrink(draft: Draft): void {
  const { pool, nowMs } = draft;
  const surplus = surplusOf(pool);
  if (surplus <= 0 || !pool.cloudSeen) {
    delete pool.surplusSinceMs;
    return;
  }
  pool.surplusSinceMs ??= nowMs;
  if (pool.surplusSinceMs + pool.settings.settleMs > nowMs || (pool.shrinkAfterMs ?? 0) > nowMs) return;
  delete pool.surplusSinceMs;
  delete pool.shrinkAfterMs;
  unassignFrom(draft, detachWhole(draft, surplus));
}

/** Idle addresses above `idleMax`. */
function surplusOf(pool: Pool): number {
  let idle = 0;
  for (const eni of pool.enis.values()) if (eni.state.kind === "ready") idle += countOf(eni, "idle");
  return idle - pool.settings.idleMax;
}

/** Takes whole ENIs out of service as far as the surplus goes, the biggest first; what is left of it. */
function detachWhole(draft: Draft, surplus: number): number {
  let left = surplus;
  const spare = [...draft.pool.enis.values()]
    .filter((eni) => isFree(eni) && isSpare(eni, surplus))
    .sort((a, b) => b.addresses.size - a.addresses.size || b.slot - a.slot);
  for (const { slot } of spare) {
    const eni = edit(draft, slot);
    if (eni === undefined || !isKnown(eni) || eni.addresses.size > left) continue;
    left -= eni.addresses.size;
    startDetach(draft, eni);
  }
  return left;
}

/** Unassigns secondary addresses, of the ENI with the fewest pods first: it is the next one to become spare. */
function unassignFrom(draft: Draft, surplus: number): void {
  let left = surplus;
  const byPods = [...draft.pool.enis.values()]
    .filter((eni) => isFree(eni))
    .sort((a, b) => countOf(a, "used") - countOf(b, "used") || b.slot - a.slot);
  for (const { slot } of byPods) {
    const eni = left > 0 ? edit(draft, slot) : undefined;
    if (eni !== undefined && isKnown(eni)) left -= unassign(draft, eni, left);
  }
}

function unassign(draft: Draft, eni: KnownEni, most: number): number {
  for (const [address, { kind }] of eni.addresses) {
    if (unassigningOf(eni).length >= Math.min(most, UNASSIGN_MAX)) break;
    if (kind === "idle" && address !== eni.facts.primary) eni.addresses.set(address, { kind: "unassigning" });
  }
  const count = unassigningOf(eni).length;
  if (count === 0) return 0;
  sendUnassign(draft, eni);
  persist(draft, eni);
  return count;
}

function isFree(eni: Eni): boolean {
  return (
    eni.state.kind === "ready" &&
    eni.assigning === undefined &&
    eni.unassigning === undefined &&
    eni.refusedCount === undefined
  );
}

/** Nothing on it is used, and all of it is surplus. */
function isSpare(eni: Eni, surplus: number): boolean {
  return eni.borrowed !== true && !isBusy(eni) && eni.addresses.size <= surplus;
}
