/**
 * When the pool has to be woken although nothing happens.
 *
 * @module
 */
import { missing, TRUSTED_LINK_MS } from "./grow.ts";
import { type Call, type Eni, type Pool } from "./model.ts";
import { incompleteOf, pairsWanted } from "./pairs.ts";

/** The earliest time at which something is due; `undefined` where nothing is. */
export function wakeTime(pool: Pool, nowMs: number): number | undefined {
  let earliest = Number.POSITIVE_INFINITY;
  const consider = (atMs: number | undefined): void => {
    if (atMs !== undefined && atMs < earliest) earliest = atMs;
  };
  for (const { deadlineMs } of pool.waiting) consider(deadlineMs);
  for (const { state } of pool.unplaced.values()) if (state.kind === "cooling") consider(state.untilMs);
  if (pool.describing === undefined) consider(pool.survey.atMs);
  if (pool.vSwitchesAskedMs === undefined) for (const { block } of pool.vSwitches) consider(block?.untilMs);
  if (pool.surplusSinceMs !== undefined)
    consider(Math.max(pool.surplusSinceMs + pool.settings.settleMs, pool.shrinkAfterMs ?? 0));
  if (pool.cloudSeen && (missing(pool, nowMs) > 0 || isIncomplete(pool))) {
    consider(pool.gathering?.atMs);
    considerFuture(consider, pool.inhibited?.untilMs, nowMs);
    for (const eni of pool.enis.values()) considerFuture(consider, eni.assignAfterMs, nowMs);
  }
  // From then on the device that has not come is not counted on, and another ENI is asked for.
  if (pool.waiting.length > 0)
    for (const { state } of pool.enis.values())
      if (state.kind === "linking") considerFuture(consider, state.sinceMs + TRUSTED_LINK_MS, nowMs);
  for (const eni of pool.enis.values()) considerEni(consider, eni, pool);
  return Number.isFinite(earliest) ? earliest : undefined;
}

type Consider = (atMs: number | undefined) => void;

function considerFuture(consider: Consider, atMs: number | undefined, nowMs: number): void {
  if (atMs !== undefined && atMs > nowMs) consider(atMs);
}

function considerEni(consider: Consider, eni: Eni, pool: Pool): void {
  for (const state of eni.addresses.values()) if (state.kind === "cooling") consider(state.untilMs);
  if (pool.describing === undefined) consider(eni.look?.atMs);
  if (eni.state.kind === "linking") consider(eni.state.relinkAtMs);
  if (!pool.cloudSeen) return;
  for (const call of callsOf(eni)) consider(call.retryAtMs);
}

/** True where an ENI has to be asked for more IPv6 addresses as soon as it may be. */
function isIncomplete(pool: Pool): boolean {
  return pairsWanted(pool) > 0 && pool.enis.values().some((eni) => incompleteOf(eni) > 0);
}

/** The calls that are repeated on their own. */
export function callsOf(eni: Eni): readonly Call[] {
  const { state } = eni;
  const calls: Call[] = [];
  if (state.kind === "creating" || state.kind === "attaching") calls.push(state.call);
  if ((state.kind === "detaching" || state.kind === "deleting") && state.call !== undefined)
    calls.push(state.call);
  if (eni.assigning !== undefined) calls.push(eni.assigning.call);
  if (eni.unassigning !== undefined) calls.push(eni.unassigning.call);
  return calls;
}
