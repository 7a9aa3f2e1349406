/**
 * Which vSwitch the next ENI goes to, and which ones are left alone because they are exhausted.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { type VSwitchId } from "../../../proto/ids.ts";
import { type CloudFailure, type VSwitchView } from "../cloud.ts";
import { wantsPairs } from "../ip-stack.ts";
import { type Draft, draw, note } from "./draft.ts";
import { type Pool, type VSwitchState } from "./model.ts";

/** How old the views may be when "most" compares them. */
const VIEW_AGE_MAX_MS = 600_000;

/**
 * The vSwitch for a new ENI, by the policy; `undefined` where all are exhausted or blocked. "ordered" starts from the first
 * one each time, so that it is used again as soon as it has room.
 */
export function chooseVSwitch(draft: Draft): VSwitchState | undefined {
  const { pool, nowMs } = draft;
  const open = pool.vSwitches.filter((vSwitch) => isOpen(pool, vSwitch, nowMs));
  switch (pool.settings.vSwitchPolicy) {
    case "ordered":
      return open[0];
    case "random":
      return open[Math.floor(draw(draft) * open.length)];
    case "most":
      return open.reduce<VSwitchState | undefined>(
        (best, vSwitch) => (best === undefined || room(vSwitch) > room(best) ? vSwitch : best),
        undefined,
      );
    default:
      return pool.settings.vSwitchPolicy satisfies never;
  }
}

/** True where the vSwitch may be asked for a new ENI: not blocked, not known to be full, with IPv6 where that is needed. */
export function isOpen({ settings }: Pick<Pool, "settings">, vSwitch: VSwitchState, nowMs: number): boolean {
  return hasRoom(vSwitch, nowMs) && (vSwitch.view.cidr6 !== undefined || !wantsPairs(settings.ipStack));
}

/** False where the vSwitch is known to have no IPv6. One that is not in the list (any more) is asked without knowing. */
export function hasIpv6({ vSwitches }: Pick<Pool, "vSwitches">, id: VSwitchId): boolean {
  const vSwitch = vSwitches.find(({ view }) => view.id === id);
  return vSwitch === undefined || vSwitch.view.cidr6 !== undefined;
}

function hasRoom({ view, block }: VSwitchState, nowMs: number): boolean {
  return view.availableAddresses > 0 && (block === undefined || block.untilMs <= nowMs);
}

/**
 * How many addresses the vSwitch of an existing ENI may be asked for. One that is not in the list (any more) is asked
 * without knowing: the cloud will tell.
 */
export function roomOfVSwitch(pool: Pick<Pool, "vSwitches">, id: VSwitchId, nowMs: number): number {
  const vSwitch = pool.vSwitches.find(({ view }) => view.id === id);
  if (vSwitch === undefined) return Number.POSITIVE_INFINITY;
  return hasRoom(vSwitch, nowMs) ? room(vSwitch) : 0;
}

/** Counts what a call is about to take. */
export function reserveAddresses(draft: Draft, id: VSwitchId, count: number): void {
  replace(draft, id, (vSwitch) => ({ ...vSwitch, view: withRoom(vSwitch, -count) }));
}

/** The call took nothing. A block stays: what was found exhausted is not less so. */
export function unreserveAddresses(draft: Draft, id: VSwitchId, count: number): void {
  replace(draft, id, (vSwitch) =>
    vSwitch.block === undefined ? { view: withRoom(vSwitch, count) } : vSwitch,
  );
}

/** Addresses went back to the vSwitch: room that we made ourselves ends a block. */
export function giveBackAddresses(draft: Draft, id: VSwitchId, count: number): void {
  if (count > 0) replace(draft, id, (vSwitch) => ({ view: withRoom(vSwitch, count) }));
}

/** Leaves the vSwitch alone for a while. `exhausted`: because it has no address left. */
export function blockVSwitch(
  draft: Draft,
  id: VSwitchId,
  { fault, forMs, exhausted }: { readonly fault: Fault; readonly forMs: number; readonly exhausted: boolean },
): void {
  draft.pool.lastFault = fault;
  note(draft, "warn", `vSwitch ${id} is not used for ${Math.round(forMs / 1000)} s`, fault);
  replace(draft, id, ({ view }) => ({
    view: exhausted ? { ...view, availableAddresses: 0 } : view,
    block: { sinceMs: draft.nowMs, untilMs: draft.nowMs + forMs, fault },
  }));
}

/**
 * Asks for new views where a block is over. A vSwitch that is known to be empty is blocked from the moment that is
 * noticed, without a call.
 */
export function lookAtVSwitches(draft: Draft): void {
  const { pool, nowMs } = draft;
  for (const { view, block } of pool.vSwitches)
    if (view.availableAddresses === 0 && block === undefined)
      replace(draft, view.id, () => blockedAsEmpty(draft, view));
  const isOver = pool.vSwitches.some(({ block }) => block !== undefined && block.untilMs <= nowMs);
  if (isOver && pool.vSwitchesAskedMs === undefined) ask(draft);
}

/** For "most", before a choice: the numbers change by what other nodes do. The choice does not wait for them. */
export function refreshForChoice(draft: Draft): void {
  const { pool, nowMs } = draft;
  const isOld = nowMs - pool.vSwitchesSeenMs > VIEW_AGE_MAX_MS;
  if (isOld && pool.settings.vSwitchPolicy === "most" && pool.vSwitchesAskedMs === undefined) ask(draft);
}

/**
 * New views. Room ends the block of an exhausted vSwitch, unless the refusal came after the question: then the answer may
 * be the older one of the two. A vSwitch that is blocked for another reason stays so until its time.
 */
export function onVSwitchesDescribed(draft: Draft, views: readonly VSwitchView[]): void {
  const { pool, nowMs } = draft;
  const askedMs = pool.vSwitchesAskedMs ?? nowMs;
  delete pool.vSwitchesAskedMs;
  pool.vSwitchesSeenMs = nowMs;
  const byId = new Map(views.map((view) => [view.id, view]));
  for (const vSwitch of pool.vSwitches) {
    const { block } = vSwitch;
    // Not in the answer: it was deleted, and counts as empty.
    const view = byId.get(vSwitch.view.id) ?? { ...vSwitch.view, availableAddresses: 0 };
    const isBlocked = block !== undefined && block.untilMs > nowMs;
    const isNewer = isBlocked && block.sinceMs >= askedMs;
    const isForOtherReason = isBlocked && vSwitch.view.availableAddresses > 0;
    if (isNewer) continue;
    if (block !== undefined && view.availableAddresses > 0 && !isForOtherReason)
      note(draft, "info", `vSwitch ${view.id} has room again: ${view.availableAddresses} addresses`);
    replace(draft, view.id, () => {
      if (view.availableAddresses > 0) return isForOtherReason ? { view, block } : { view };
      // All blocks end together, so that one question serves them.
      const empty = blockedAsEmpty(draft, view);
      return isBlocked && !isForOtherReason
        ? { ...empty, block: { ...empty.block, fault: block.fault } }
        : empty;
    });
  }
}

/** No view to be had: vSwitches whose block is over are tried by a call, as if they had one address. */
export function onVSwitchesDescribeFailed(draft: Draft, failure: CloudFailure): void {
  const { pool, nowMs } = draft;
  delete pool.vSwitchesAskedMs;
  note(draft, "warn", "the vSwitches could not be described", failure.fault);
  for (const { view, block } of pool.vSwitches)
    if (block !== undefined && block.untilMs <= nowMs)
      replace(draft, view.id, () => ({
        view: { ...view, availableAddresses: Math.max(1, view.availableAddresses) },
      }));
}

function blockedAsEmpty(draft: Draft, view: VSwitchView): Required<VSwitchState> {
  const fault: Fault = { kind: "no-address", reason: `vSwitch ${view.id} has no free address` };
  const untilMs = draft.nowMs + draft.pool.settings.vSwitchRetryMs;
  return { view, block: { sinceMs: draft.nowMs, untilMs, fault } };
}

function ask(draft: Draft): void {
  draft.pool.vSwitchesAskedMs = draft.nowMs;
  draft.effects.push({ kind: "describe-vswitches" });
}

function room(vSwitch: VSwitchState): number {
  return vSwitch.view.availableAddresses;
}

function withRoom({ view }: VSwitchState, change: number): VSwitchView {
  return { ...view, availableAddresses: Math.max(0, view.availableAddresses + change) };
}

function replace(draft: Draft, id: VSwitchId, change: (vSwitch: VSwitchState) => VSwitchState): void {
  draft.pool.vSwitches = draft.pool.vSwitches.map((vSwitch) =>
    vSwitch.view.id === id ? change(vSwitch) : vSwitch,
  );
}
