/**
 * Gets more addresses: for the pods that wait, and to keep `idleMin` idle ones. First from ENIs that have room, then by new
 * ENIs. Because a call takes much longer than it costs to ask for more, one that has to be made fills up to `idleMax`.
 *
 * @module
 */
import { type VSwitchId } from "../../../proto/ids.ts";
import {
  countOf,
  type Draft,
  type DraftEni,
  dropEni,
  edit,
  freeSlot,
  growthPriority,
  isKnown,
  type KnownEni,
  newToken,
  persist,
  putEni,
} from "./draft.ts";
import { type Call, type Eni, type Pool } from "./model.ts";
import {
  chooseVSwitch,
  refreshForChoice,
  reserveAddresses,
  roomOfVSwitch,
  unreserveAddresses,
} from "./vswitch.ts";

/** Pods that come within this time of each other are served by the same calls … */
const QUIET_MS = 10;
/** … but the first one is not kept longer than this. */
const GATHER_MAX_MS = 40;
/** The same while an ENI is on its way: the pods have to wait for that one anyway. */
const BUSY_QUIET_MS = 50;
const BUSY_GATHER_MAX_MS = 200;
/** Most secondary addresses in one call. AssignPrivateIpAddresses, CreateNetworkInterface: SecondaryPrivateIpAddressCount. */
const BATCH_MAX = 49;
/** A call that failed that often is not counted on any more; another ENI may do better. */
const TRUSTED_TRIES = 3;
/** The same for an ENI whose attachment failed that often, or whose device has been awaited that long. */
const TRUSTED_ROUNDS = 2;
export const TRUSTED_LINK_MS = 15_000;
/** What happens within this time is worth waiting for. */
export const SOON_MS = 10_000;

const FRESH: Call = { tries: 0 };

/** Starts to gather, or goes on: a pod has just come. */
export function gather(draft: Draft): void {
  const { pool, nowMs } = draft;
  const isBusy = pool.enis.values().some((eni) => isOnItsWay(eni));
  const sinceMs = pool.gathering?.sinceMs ?? nowMs;
  const quietMs = isBusy ? BUSY_QUIET_MS : QUIET_MS;
  const latestMs = sinceMs + (isBusy ? BUSY_GATHER_MAX_MS : GATHER_MAX_MS);
  pool.gathering = { sinceMs, atMs: Math.min(nowMs + quietMs, latestMs) };
}

/** Addresses that are missing, beyond what is on its way; negative where there are more than needed. */
export function missing(pool: Pool, nowMs: number): number {
  let idle = 0;
  let expected = 0;
  for (const eni of pool.enis.values()) {
    if (eni.state.kind === "ready") idle += countOf(eni, "idle");
    expected += expectedOf(eni, nowMs);
  }
  return pool.waiting.length + pool.settings.idleMin - idle - expected;
}

/** Asks the cloud for what is missing. */
export function grow(draft: Draft): void {
  const { pool, nowMs } = draft;
  if (!pool.cloudSeen) return;
  let necessary = missing(pool, nowMs);
  if (necessary <= 0) {
    delete pool.gathering;
    return;
  }
  if (pool.gathering !== undefined && pool.gathering.atMs > nowMs) return;
  delete pool.gathering;
  const extra = Math.max(0, pool.settings.idleMax - pool.settings.idleMin);
  for (const slot of slotsToFill(pool)) {
    if (necessary <= 0) return;
    const eni = edit(draft, slot);
    const count = eni === undefined ? 0 : Math.min(roomOfEni(pool, eni, nowMs), necessary + extra);
    if (eni === undefined || !isKnown(eni) || count <= 0) continue;
    startAssign(draft, eni, count);
    necessary -= count;
  }
  while (necessary > 0 && roomForEnis(pool, false) > 0 && !isInhibited(pool, nowMs)) {
    refreshForChoice(draft);
    const vSwitch = chooseVSwitch(draft);
    if (vSwitch === undefined) return;
    const count = Math.min(sizeOfNewEni(pool), necessary + extra, vSwitch.view.availableAddresses);
    startCreate(draft, vSwitch.view.id, count);
    necessary -= count;
  }
}

/** How many more addresses the ENI can be asked for now; 0 while a call for it is under way. */
export function roomOfEni(
  pool: Pick<Pool, "limits" | "batchMax" | "vSwitches">,
  eni: Eni,
  nowMs: number,
): number {
  const isFree =
    eni.state.kind === "ready" &&
    eni.assigning === undefined &&
    eni.refusedCount === undefined &&
    countOf(eni, "unassigning") === 0 &&
    (eni.assignAfterMs ?? 0) <= nowMs;
  if (!isFree) return 0;
  return Math.min(
    pool.limits.addressesPerEni - eni.addresses.size,
    BATCH_MAX,
    pool.batchMax ?? BATCH_MAX,
    roomOfVSwitch(pool, eni.vSwitch, nowMs),
  );
}

/** How many more ENIs the instance can have; `leaving`: with those counted as gone that are about to leave. */
export function roomForEnis(pool: Pick<Pool, "enis" | "foreign" | "limits">, leaving: boolean): number {
  let count = pool.foreign;
  for (const { state } of pool.enis.values())
    if (state.kind !== "deleting" && !(leaving && state.kind === "detaching")) count += 1;
  return pool.limits.enisMax - count;
}

export function isInhibited(pool: Pick<Pool, "inhibited">, nowMs: number): boolean {
  return pool.inhibited !== undefined && pool.inhibited.untilMs > nowMs;
}

/** Addresses of a new ENI, the primary one included. */
export function sizeOfNewEni(pool: Pick<Pool, "limits" | "batchMax">): number {
  return Math.min(pool.limits.addressesPerEni, BATCH_MAX + 1, (pool.batchMax ?? BATCH_MAX) + 1);
}

/** True while the call is under way or will be repeated within `SOON_MS`. */
export function isSoon(call: Call, nowMs: number): boolean {
  return (call.retryAtMs ?? nowMs) <= nowMs + SOON_MS;
}

/** Sends the CreateNetworkInterface of an ENI in "creating" (again). */
export function sendCreate(draft: Draft, eni: Eni): void {
  if (eni.state.kind !== "creating") return;
  const { request } = eni.state;
  draft.effects.push({ kind: "create-eni", slot: eni.slot, request, priority: growthPriority(draft) });
}

/** Gives up an ENI that was surely not created. */
export function dropCreating(draft: Draft, eni: DraftEni): void {
  if (eni.state.kind !== "creating") return;
  unreserveAddresses(draft, eni.vSwitch, eni.state.request.secondaryCount + 1);
  dropEni(draft, eni);
}

/** Sends the AssignPrivateIpAddresses of an ENI (again). */
export function sendAssign(draft: Draft, eni: KnownEni): void {
  if (eni.assigning === undefined) return;
  const { count, token } = eni.assigning;
  const priority = growthPriority(draft);
  draft.effects.push({ kind: "assign", slot: eni.slot, eni: eni.facts.id, count, token, priority });
}

function startAssign(draft: Draft, eni: KnownEni, count: number): void {
  eni.assigning = { token: newToken(draft, eni.slot), count, unsure: false, call: FRESH };
  reserveAddresses(draft, eni.vSwitch, count);
  sendAssign(draft, eni);
}

function startCreate(draft: Draft, vSwitch: VSwitchId, count: number): void {
  const slot = freeSlot(draft.pool);
  const { securityGroups, eniTags, ownTags, resourceGroup } = draft.pool.settings;
  const eni = putEni(draft, {
    slot,
    vSwitch,
    addresses: new Map(),
    misses: 0,
    state: {
      kind: "creating",
      unsure: false,
      call: FRESH,
      request: {
        token: newToken(draft, slot),
        vSwitch,
        securityGroups,
        secondaryCount: count - 1,
        tags: { ...eniTags, ...ownTags },
        ...(resourceGroup === undefined ? {} : { resourceGroup }),
      },
    },
  });
  reserveAddresses(draft, vSwitch, count);
  persist(draft, eni);
  sendCreate(draft, eni);
}

/** The addresses that the ENI will bring, as far as that can be counted on. */
function expectedOf(eni: Eni, nowMs: number): number {
  const { state } = eni;
  switch (state.kind) {
    case "creating":
      return isSoon(state.call, nowMs) ? state.request.secondaryCount + 1 : 0;
    case "attaching":
      return state.rounds < TRUSTED_ROUNDS && state.call.tries < TRUSTED_TRIES ? countOf(eni, "idle") : 0;
    case "linking":
      return state.rounds < TRUSTED_ROUNDS && nowMs - state.sinceMs < TRUSTED_LINK_MS
        ? countOf(eni, "idle")
        : 0;
    case "ready":
      return eni.assigning !== undefined && eni.assigning.call.tries < TRUSTED_TRIES
        ? eni.assigning.count
        : 0;
    case "detaching":
    case "deleting":
      return 0;
    default:
      return state satisfies never;
  }
}

function isOnItsWay({ state }: Eni): boolean {
  return state.kind === "creating" || state.kind === "attaching" || state.kind === "linking";
}

/** ENIs in the order in which they are filled: "most_ips" the fullest first, "least_ips" the emptiest. */
function slotsToFill(pool: Pick<Pool, "enis" | "settings">): number[] {
  const sign = pool.settings.eniPolicy === "most_ips" ? -1 : 1;
  return [...pool.enis.values()]
    .sort((a, b) => sign * (a.addresses.size - b.addresses.size) || a.slot - b.slot)
    .map(({ slot }) => slot);
}
