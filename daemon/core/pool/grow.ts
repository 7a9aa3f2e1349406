/**
 * Gets more addresses: for the pods that wait, and to keep `idleMin` idle ones. First from ENIs that have room, then by new
 * ENIs. Because a call takes much longer than it costs to ask for more, one that has to be made fills up to `idleMax`.
 *
 * @module
 */
import { type VSwitchId } from "../../../proto/ids.ts";
import { type CreateEni } from "../cloud.ts";
import { INTENT_TAG } from "../eni-tags.ts";
import { type Family, wantsPairs } from "../ip-stack.ts";
import {
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
import { type Assigning, type Call, type Eni, type Pool } from "./model.ts";
import {
  countOf,
  idleOf,
  idleTotal,
  incompleteOf,
  limitOf,
  pairsWanted,
  podsPerEni,
  sizeOf,
} from "./pairs.ts";
import { batch6Of, roomForEnis, roomForIpv6, roomOfEni, roomToComplete, sizeOfNewEni } from "./room.ts";
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

/** Addresses (or pairs) that are missing, beyond what is on its way; negative where there are more than needed. */
export function missing(pool: Pool, nowMs: number): number {
  let expected = 0;
  for (const eni of pool.enis.values()) expected += expectedOf(pool, eni, nowMs);
  return pool.waiting.length + pool.settings.idleMin - idleTotal(pool) - expected;
}

/**
 * Asks for the IPv6 addresses that idle IPv4 ones lack, as far as the pairs are wanted. Comes before `grow`, which counts on
 * them.
 */
export function complete(draft: Draft): void {
  const { pool, nowMs } = draft;
  if (!pool.cloudSeen) return;
  let wanted = pairsWanted(pool);
  for (const { assigning } of pool.enis.values()) if (assigning?.family === "ipv6") wanted -= assigning.count;
  for (const slot of wanted > 0 ? slotsToFill(pool) : []) {
    if (wanted <= 0) return;
    const eni = edit(draft, slot);
    const count = eni === undefined ? 0 : Math.min(roomToComplete(pool, eni, nowMs), wanted);
    if (eni === undefined || !isKnown(eni) || count <= 0) continue;
    startAssign(draft, eni, "ipv6", count);
    wanted -= count;
  }
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
    startAssign(draft, eni, "ipv4", count);
    necessary -= count;
  }
  necessary -= roomLater(pool, nowMs);
  while (necessary > 0 && roomForEnis(pool, false) > 0 && !isInhibited(pool, nowMs)) {
    refreshForChoice(draft);
    const vSwitch = chooseVSwitch(draft);
    if (vSwitch === undefined) return;
    const count = Math.min(sizeOfNewEni(pool), necessary + extra, vSwitch.view.availableAddresses);
    startCreate(draft, vSwitch.view.id, count);
    necessary -= count;
  }
}

export function isInhibited(pool: Pick<Pool, "inhibited">, nowMs: number): boolean {
  return pool.inhibited !== undefined && pool.inhibited.untilMs > nowMs;
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

/** True where a call that failed would be made anew if it were given up. */
export function isAssignWanted(
  pool: Pool,
  eni: Eni | DraftEni,
  { family, count }: Assigning,
  nowMs: number,
): boolean {
  if (family === "ipv6") return pairsWanted(pool) > 0 && incompleteOf(eni) > 0;
  return missing(pool, nowMs) + count > 0;
}

/** Sends the AssignPrivateIpAddresses or AssignIpv6Addresses of an ENI (again). */
export function sendAssign(draft: Draft, eni: KnownEni): void {
  if (eni.assigning === undefined) return;
  const { family, count, token } = eni.assigning;
  const priority = growthPriority(draft);
  draft.effects.push({ kind: "assign", slot: eni.slot, eni: eni.facts.id, family, count, token, priority });
}

function startAssign(draft: Draft, eni: KnownEni, family: Family, count: number): void {
  eni.assigning = { family, token: newToken(draft, eni.slot), count, unsure: false, call: FRESH };
  if (family === "ipv4") reserveAddresses(draft, eni.vSwitch, count);
  sendAssign(draft, eni);
}

function startCreate(draft: Draft, vSwitch: VSwitchId, count: number): void {
  const slot = freeSlot(draft.pool);
  const { ipStack, securityGroups, eniTags, ownTags, resourceGroup } = draft.pool.settings;
  const token = newToken(draft, slot);
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
        token,
        vSwitch,
        securityGroups,
        secondaryCount: count - 1,
        // Those that one call cannot bring are asked for when the ENI serves.
        ...(wantsPairs(ipStack) ? { count6: Math.min(count, batch6Of(draft.pool)) } : {}),
        tags: { ...eniTags, ...ownTags, [INTENT_TAG]: token },
        ...(resourceGroup === undefined ? {} : { resourceGroup }),
      },
    },
  });
  reserveAddresses(draft, vSwitch, count);
  persist(draft, eni);
  sendCreate(draft, eni);
}

/** The addresses (or pairs) that the ENI will bring, as far as that can be counted on. */
function expectedOf(pool: Pool, eni: Eni, nowMs: number): number {
  const { state } = eni;
  switch (state.kind) {
    case "creating":
      return isSoon(state.call, nowMs) ? promisedByNew(pool, state.request) : 0;
    case "attaching":
      return state.rounds < TRUSTED_ROUNDS && state.call.tries < TRUSTED_TRIES ? promisedBy(pool, eni) : 0;
    case "linking":
      return state.rounds < TRUSTED_ROUNDS && nowMs - state.sinceMs < TRUSTED_LINK_MS
        ? promisedBy(pool, eni)
        : 0;
    case "ready":
      return expectedOfReady(pool, eni, nowMs);
    case "detaching":
    case "deleting":
      return 0;
    default:
      return state satisfies never;
  }
}

function promisedByNew(pool: Pool, { secondaryCount }: CreateEni): number {
  const count = secondaryCount + 1;
  return wantsPairs(pool.settings.ipStack) ? Math.min(count, podsPerEni(pool)) : count;
}

/**
 * Pairs take two calls, and an ENI takes one at a time. What fits on an ENI that is being asked comes sooner from there, when
 * the call has ended, than from a new ENI.
 */
function roomLater(pool: Pool, nowMs: number): number {
  if (!wantsPairs(pool.settings.ipStack)) return 0;
  let room = 0;
  for (const eni of pool.enis.values()) {
    const { state, assigning, assignAfterMs = 0 } = eni;
    if (state.kind !== "ready" || assigning === undefined || assignAfterMs > nowMs) continue;
    if (assigning.call.tries >= TRUSTED_TRIES) continue;
    const coming4 = assigning.family === "ipv4" ? assigning.count : 0;
    const inVSwitch = roomOfVSwitch(pool, eni.vSwitch, nowMs);
    const room4 = Math.min(limitOf(pool.limits, "ipv4") - sizeOf(eni, "ipv4") - coming4, inVSwitch);
    room += Math.max(0, Math.min(room4, roomForIpv6(pool, eni) - incompleteOf(eni) - coming4));
  }
  return room;
}

/** What the call under way brings, and what completes the incomplete pairs after it. */
function expectedOfReady(pool: Pool, eni: Eni, nowMs: number): number {
  const { assigning, refused, assignAfterMs = 0 } = eni;
  const isTrusted = assigning === undefined || assigning.call.tries < TRUSTED_TRIES;
  const canAsk = refused === undefined && assignAfterMs <= nowMs;
  const coming = isTrusted ? assigning : undefined;
  return promisedBy(pool, eni, coming, isTrusted && canAsk) - idleOf(pool, eni);
}

/**
 * What is idle, and what will be when `coming` has come; `canAsk`: IPv6 addresses that are lacking then can be asked for.
 */
function promisedBy(pool: Pool, eni: Eni, coming?: Assigning, canAsk = true): number {
  const of = (family: Family): number =>
    countOf(eni, "idle", family) + (coming?.family === family ? coming.count : 0);
  if (!wantsPairs(pool.settings.ipStack)) return of("ipv4");
  const more6 = canAsk ? roomForIpv6(pool, eni) - (coming?.family === "ipv6" ? coming.count : 0) : 0;
  return Math.min(of("ipv4"), of("ipv6") + Math.max(0, more6));
}

function isOnItsWay({ state }: Eni): boolean {
  return state.kind === "creating" || state.kind === "attaching" || state.kind === "linking";
}

/** ENIs in the order in which they are filled: "most_ips" the fullest first, "least_ips" the emptiest. */
function slotsToFill(pool: Pick<Pool, "enis" | "settings">): number[] {
  const sign = pool.settings.eniPolicy === "most_ips" ? -1 : 1;
  return [...pool.enis.values()]
    .sort((a, b) => sign * (sizeOf(a, "ipv4") - sizeOf(b, "ipv4")) || a.slot - b.slot)
    .map(({ slot }) => slot);
}
