/**
 * Pods that wait for nothing are told at once, with the cause: no address is on its way, none can be asked for, and none
 * cools down in time.
 *
 * @module
 */
import { describeFault, type Fault } from "../../../proto/fault.ts";
import { isIpv6 } from "../../../proto/addr6.ts";
import { type Family, wantsPairs } from "../ip-stack.ts";
import { whyNoBlockAddress } from "./block.ts";
import { type Draft } from "./draft.ts";
import { isInhibited, isSoon, SOON_MS } from "./grow.ts";
import { type Eni, type Pool } from "./model.ts";
import { countOf, limitOf, podsPerEni, sizeOf } from "./pairs.ts";
import { roomForEnis, sizeOfNewEni } from "./room.ts";
import { becauseOf, refuse } from "./serve.ts";
import { hasIpv6, isOpen, roomOfVSwitch } from "./vswitch.ts";

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

/** How many addresses (or pairs) may still come, at most. */
export function supplyOf(pool: Pool, nowMs: number): number {
  if (!pool.cloudSeen) return isSurveyRefused(pool) ? 0 : Number.POSITIVE_INFINITY;
  let supply = 0;
  for (const eni of pool.enis.values()) supply += supplyOfEni(pool, eni, nowMs);
  const isAsking = pool.vSwitchesAskedMs !== undefined;
  const hasVSwitch = isAsking || pool.vSwitches.some((vSwitch) => isOpen(pool, vSwitch, nowMs));
  if (hasVSwitch && !isInhibited(pool, nowMs))
    supply += Math.max(0, roomForEnis(pool, true)) * sizeOfNewEni(pool);
  return supply;
}

function isSurveyRefused({ survey }: Pool): boolean {
  return survey.fault?.class === "configuration";
}

/** What the ENI has on its way, and what it has room for: of pairs, as many as the family has that has fewer. */
function supplyOfEni(pool: Pool, eni: Eni, nowMs: number): number {
  const ipv4 = supplyOfFamily(pool, eni, "ipv4", nowMs);
  return wantsPairs(pool.settings.ipStack) ? Math.min(ipv4, supplyOfFamily(pool, eni, "ipv6", nowMs)) : ipv4;
}

function supplyOfFamily(pool: Pool, eni: Eni, family: Family, nowMs: number): number {
  const { state } = eni;
  const hasSource =
    family === "ipv4" ? roomOfVSwitch(pool, eni.vSwitch, nowMs) > 0 : hasIpv6(pool, eni.vSwitch);
  const room = hasSource ? limitOf(pool.limits, family) : 0;
  switch (state.kind) {
    case "creating":
      return isSoon(state.call, nowMs) ? Math.max(state.request.secondaryCount + 1, room) : 0;
    case "attaching":
    case "linking":
      // The whole ENI, less what pods have already (after a restart).
      return countOf(eni, "idle", family) + Math.max(0, room - sizeOf(eni, family));
    case "ready": {
      const { assigning } = eni;
      const isComing = assigning?.family === family && isSoon(assigning.call, nowMs);
      const canAsk = (eni.assignAfterMs ?? 0) <= nowMs + SOON_MS;
      const leaving = countOf(eni, "unassigning", family);
      const more = Math.max(
        isComing ? assigning.count : 0,
        canAsk ? room - sizeOf(eni, family) + leaving : 0,
      );
      // Idle ones have been served from already, unless their counterparts are lacking.
      return wantsPairs(pool.settings.ipStack) ? countOf(eni, "idle", family) + Math.max(0, more) : more;
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
  for (const eni of pool.enis.values()) {
    // A former block of the node: nobody new gets its addresses.
    if (eni.state.kind === "detaching") continue;
    for (const [address, state] of eni.addresses)
      if (state.kind === "cooling" && !isIpv6(address)) times.push(state.untilMs);
  }
  return times.sort((a, b) => a - b);
}

/** Why no address can be had, most telling first. */
export function whyNot(pool: Pool, nowMs: number): Fault {
  const ofBlock = whyNoBlockAddress(pool);
  if (ofBlock !== undefined) return ofBlock;
  if (!pool.cloudSeen && pool.survey.fault !== undefined) return pool.survey.fault.fault;
  if (roomForEnis(pool, false) <= 0 && !isInhibited(pool, nowMs)) return whyFull(pool, nowMs);
  if (pool.inhibited !== undefined && isInhibited(pool, nowMs)) return pool.inhibited.fault;
  return whyExhausted(pool, nowMs);
}

function whyFull(pool: Pool, nowMs: number): Fault {
  const { enisMax } = pool.limits;
  const most = podsPerEni(pool);
  const partial = [...pool.enis.values()].filter(
    (eni) => sizeOf(eni, "ipv4") < most || isIncomplete(pool, eni),
  );
  const refused = partial.some(({ assignAfterMs = 0 }) => assignAfterMs > nowMs) ? pool.lastFault : undefined;
  const things = wantsPairs(pool.settings.ipStack) ? "pairs of addresses" : "addresses";
  const blocked = pool.vSwitches.find(({ view }) => partial.some(({ vSwitch }) => vSwitch === view.id));
  return {
    kind: "no-address",
    reason: `this instance has all its ${enisMax} secondary ENIs, of ${most} ${things} at most, and none is free`,
    ...becauseOf(refused ?? blocked?.block?.fault),
  };
}

function isIncomplete({ settings }: Pool, eni: Eni): boolean {
  return wantsPairs(settings.ipStack) && sizeOf(eni, "ipv6") < sizeOf(eni, "ipv4");
}

function whyExhausted(pool: Pool, nowMs: number): Fault {
  const newest = pool.vSwitches.flatMap(({ block }) => block ?? []).sort((a, b) => b.sinceMs - a.sinceMs)[0];
  const untilMs = Math.min(...pool.vSwitches.flatMap(({ block }) => block?.untilMs ?? []));
  const ids = pool.vSwitches.map(({ view }) => view.id).join(", ");
  return {
    kind: "no-address",
    reason: hasPairless(pool)
      ? `no vSwitch of the list has an IPv6 block (${ids}); ip_stack is ${pool.settings.ipStack}`
      : `no vSwitch of the list can be used (${ids})`,
    ...(newest === undefined ? {} : { cause: describeFault(newest.fault) }),
    ...(untilMs > nowMs && Number.isFinite(untilMs) ? { retryAfterMs: untilMs - nowMs } : {}),
  };
}

/** Pairs are wanted, and no vSwitch has IPv6 (any more: the start would have refused). */
function hasPairless({ settings, vSwitches }: Pool): boolean {
  return wantsPairs(settings.ipStack) && vSwitches.every(({ view }) => view.cidr6 === undefined);
}
