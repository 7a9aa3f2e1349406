/**
 * Pods that wait for nothing are told at once, with the cause: no address is on its way, none can be asked for, and none
 * cools down in time.
 *
 * @module
 */
import { describeFault, type Fault } from "../../../proto/fault.ts";
import { countOf, type Draft } from "./draft.ts";
import { isInhibited, isSoon, roomForEnis, sizeOfNewEni, SOON_MS } from "./grow.ts";
import { type Eni, type Pool } from "./model.ts";
import { becauseOf, refuse } from "./serve.ts";
import { isOpen, roomOfVSwitch } from "./vswitch.ts";

/** Refuses the youngest pods for which nothing is left to wait for. */
export function refuseHopeless(draft: Draft): void {
  const { pool, nowMs } = draft;
  if (pool.waiting.length === 0) return;
  const supply = supplyOf(pool, nowMs);
  if (supply >= pool.waiting.length) return;
  const cooled = coolingTimes(pool);
  let place = supply;
  const fault = whyNot(pool, nowMs);
  pool.waiting = pool.waiting.filter(({ attachment, deadlineMs }, index) => {
    if (index < supply) return true;
    const untilMs = cooled[place - supply];
    if (untilMs !== undefined && untilMs < deadlineMs) {
      place += 1;
      return true;
    }
    refuse(draft, attachment, fault);
    return false;
  });
}

/** How many addresses may still come, at most. */
export function supplyOf(pool: Pool, nowMs: number): number {
  if (!pool.cloudSeen) return isSurveyRefused(pool) ? 0 : Number.POSITIVE_INFINITY;
  let supply = 0;
  for (const eni of pool.enis.values()) supply += supplyOfEni(pool, eni, nowMs);
  const isAsking = pool.vSwitchesAskedMs !== undefined;
  const hasVSwitch = isAsking || pool.vSwitches.some((vSwitch) => isOpen(vSwitch, nowMs));
  if (hasVSwitch && !isInhibited(pool, nowMs))
    supply += Math.max(0, roomForEnis(pool, true)) * sizeOfNewEni(pool);
  return supply;
}

function isSurveyRefused({ survey }: Pool): boolean {
  return survey.fault?.class === "configuration";
}

/** What the ENI has on its way, and what it has room for. */
function supplyOfEni(pool: Pool, eni: Eni, nowMs: number): number {
  const { state } = eni;
  const room = roomOfVSwitch(pool, eni.vSwitch, nowMs) > 0 ? pool.limits.addressesPerEni : 0;
  switch (state.kind) {
    case "creating":
      return isSoon(state.call, nowMs) ? Math.max(state.request.secondaryCount + 1, room) : 0;
    case "attaching":
    case "linking":
      // The whole ENI, less what pods have already (after a restart).
      return countOf(eni, "idle") + Math.max(0, room - eni.addresses.size);
    case "ready": {
      const assigning =
        eni.assigning !== undefined && isSoon(eni.assigning.call, nowMs) ? eni.assigning.count : 0;
      const canAsk = (eni.assignAfterMs ?? 0) <= nowMs + SOON_MS;
      const leaving = countOf(eni, "unassigning");
      return Math.max(assigning, canAsk ? room - eni.addresses.size + leaving : 0);
    }
    case "detaching":
    case "deleting":
      return 0;
    default:
      return state satisfies never;
  }
}

/** When the addresses that cool down are free again, the first one first. */
function coolingTimes(pool: Pool): number[] {
  const times: number[] = [];
  for (const eni of pool.enis.values())
    for (const state of eni.addresses.values()) if (state.kind === "cooling") times.push(state.untilMs);
  return times.sort((a, b) => a - b);
}

/** Why no address can be had, most telling first. */
export function whyNot(pool: Pool, nowMs: number): Fault {
  if (!pool.cloudSeen && pool.survey.fault !== undefined) return pool.survey.fault.fault;
  if (roomForEnis(pool, false) <= 0 && !isInhibited(pool, nowMs)) return whyFull(pool, nowMs);
  if (pool.inhibited !== undefined && isInhibited(pool, nowMs)) return pool.inhibited.fault;
  return whyExhausted(pool, nowMs);
}

function whyFull(pool: Pool, nowMs: number): Fault {
  const { enisMax, addressesPerEni } = pool.limits;
  const partial = [...pool.enis.values()].filter(({ addresses }) => addresses.size < addressesPerEni);
  const refused = partial.some(({ assignAfterMs = 0 }) => assignAfterMs > nowMs) ? pool.lastFault : undefined;
  const blocked = pool.vSwitches.find(({ view }) => partial.some(({ vSwitch }) => vSwitch === view.id));
  return {
    kind: "no-address",
    reason: `this instance has all its ${enisMax} secondary ENIs, of ${addressesPerEni} addresses at most, and none is free`,
    ...becauseOf(refused ?? blocked?.block?.fault),
  };
}

function whyExhausted(pool: Pool, nowMs: number): Fault {
  const newest = pool.vSwitches.flatMap(({ block }) => block ?? []).sort((a, b) => b.sinceMs - a.sinceMs)[0];
  const untilMs = Math.min(...pool.vSwitches.flatMap(({ block }) => block?.untilMs ?? []));
  const ids = pool.vSwitches.map(({ view }) => view.id).join(", ");
  return {
    kind: "no-address",
    reason: `no vSwitch of the list can be used (${ids})`,
    ...(newest === undefined ? {} : { cause: describeFault(newest.fault) }),
    ...(untilMs > nowMs && Number.isFinite(untilMs) ? { retryAfterMs: untilMs - nowMs } : {}),
  };
}
