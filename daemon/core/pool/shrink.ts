/**
 * Gives a surplus back: whole ENIs that nobody uses first, then secondary addresses one by one. A primary address goes with
 * its ENI only, so the idle primaries of ENIs in use may stay above `idleMax`. Pairs go as pairs; incomplete ones that nobody
 * will complete, and IPv6 addresses that no pod gets, follow. What a pod has had lately stays in any case: the node has to have
 * said for the whole of `settleMs` that nobody uses it.
 *
 * @module
 */
import { isIpv6 } from "../../../proto/addr6.ts";
import { type Family, wantsPairs } from "../ip-stack.ts";
import { sendUnassign } from "./assign.ts";
import { type Draft, edit, isBusy, isKnown, type KnownEni, persist } from "./draft.ts";
import { startDetach } from "./eni-leave.ts";
import { missing } from "./grow.ts";
import { type AddressState, type Eni, type Pool } from "./model.ts";
import { countOf, idleOf, idleTotal, incompleteOf, pairsWanted } from "./pairs.ts";
import { roomForIpv6 } from "./room.ts";

/** Addresses in one UnassignPrivateIpAddresses or UnassignIpv6Addresses; the original never sends more. */
const UNASSIGN_MAX = 10;

/** Acts where the surplus has lasted `settleMs`. While pods wait there is none: they would have it. */
export function shrink(draft: Draft): void {
  const { pool, nowMs } = draft;
  const surplus = idleTotal(pool) - pool.settings.idleMax;
  if ((surplus <= 0 && !hasLeftovers(pool, nowMs)) || !pool.cloudSeen) {
    delete pool.surplusSinceMs;
    return;
  }
  pool.surplusSinceMs ??= nowMs;
  if (pool.surplusSinceMs + pool.settings.settleMs > nowMs || (pool.shrinkAfterMs ?? 0) > nowMs) return;
  delete pool.surplusSinceMs;
  delete pool.shrinkAfterMs;
  unassignFrom(draft, detachWhole(draft, Math.max(0, surplus)));
  // What a pod has had lately has to rest first, and nothing else may happen until then.
  const isResting = pool.enis
    .values()
    .some(({ addresses }) => addresses.values().some((state) => !isRested(draft, state)));
  if (isResting && idleTotal(pool) > pool.settings.idleMax) pool.surplusSinceMs = nowMs;
  if (!hasLeftovers(pool, nowMs)) return;
  for (const slot of pool.enis.keys()) {
    const eni = edit(draft, slot);
    if (eni === undefined || !isKnown(eni)) continue;
    const { family, count } = leftoversOf(pool, eni);
    if (count > 0) unassign(draft, eni, { [family]: count });
  }
}

/** True where an ENI has addresses that no pod will get as things are. While addresses are missing there are none. */
function hasLeftovers(pool: Pool, nowMs: number): boolean {
  const has = [...pool.enis.values()].some((eni) => leftoversOf(pool, eni).count > 0);
  return has && missing(pool, nowMs) <= 0;
}

/**
 * Addresses of the ENI that have no counterpart of the other family and will get none, because no more pairs are wanted or
 * the ENI has no room; where pods get no IPv6 address, those of IPv6.
 */
function leftoversOf(pool: Pool, eni: Eni): { readonly family: Family; readonly count: number } {
  const none = { family: "ipv6", count: 0 } as const;
  if (!isFree(eni)) return none;
  if (!wantsPairs(pool.settings.ipStack)) {
    // Who made the ENI gave them to it.
    return eni.borrowed === true ? none : { family: "ipv6", count: countOf(eni, "idle", "ipv6") };
  }
  const incomplete = incompleteOf(eni);
  if (incomplete <= 0) return { family: "ipv6", count: -incomplete };
  const completed = pairsWanted(pool) > 0 ? roomForIpv6(pool, eni) : 0;
  const primary = eni.facts?.primary;
  const isPrimaryIdle = primary !== undefined && eni.addresses.get(primary)?.kind === "idle";
  const secondaries = countOf(eni, "idle", "ipv4") - (isPrimaryIdle ? 1 : 0);
  return { family: "ipv4", count: Math.max(0, Math.min(incomplete - completed, secondaries)) };
}

/** Takes whole ENIs out of service as far as the surplus goes, the biggest first; what is left of it. */
function detachWhole(draft: Draft, surplus: number): number {
  let left = surplus;
  const spare = [...draft.pool.enis.values()]
    .filter((eni) => isFree(eni) && eni.borrowed !== true && !isBusy(eni))
    .filter(({ addresses }) => addresses.values().every((state) => isRested(draft, state)))
    .sort((a, b) => idleOf(draft.pool, b) - idleOf(draft.pool, a) || b.slot - a.slot);
  for (const { slot } of spare) {
    const eni = edit(draft, slot);
    const idle = eni === undefined ? 0 : idleOf(draft.pool, eni);
    if (eni === undefined || !isKnown(eni) || idle > left) continue;
    left -= idle;
    startDetach(draft, eni);
  }
  return left;
}

/** Unassigns secondary addresses, or pairs, of the ENI with the fewest pods first: it is the next one to become spare. */
function unassignFrom(draft: Draft, surplus: number): void {
  let left = surplus;
  const byPods = [...draft.pool.enis.values()]
    .filter((eni) => isFree(eni))
    .sort((a, b) => countOf(a, "used", "ipv4") - countOf(b, "used", "ipv4") || b.slot - a.slot);
  for (const { slot } of byPods) {
    const eni = left > 0 ? edit(draft, slot) : undefined;
    if (eni === undefined || !isKnown(eni)) continue;
    const most = Math.min(left, idleOf(draft.pool, eni));
    const isPair = wantsPairs(draft.pool.settings.ipStack);
    left -= unassign(draft, eni, isPair ? { ipv4: most, ipv6: most } : { ipv4: most });
  }
}

/**
 * Takes so many idle addresses out of service and asks the cloud to take them back: how many of IPv4. Where fewer of IPv4
 * can be spared, fewer of IPv6 go: one each.
 */
function unassign(draft: Draft, eni: KnownEni, most: Readonly<Partial<Record<Family, number>>>): number {
  const ipv4 = mark(draft, eni, "ipv4", most.ipv4 ?? 0);
  const ipv6 = mark(
    draft,
    eni,
    "ipv6",
    most.ipv4 === undefined ? (most.ipv6 ?? 0) : Math.min(ipv4, most.ipv6 ?? 0),
  );
  if (ipv4 + ipv6 === 0) return 0;
  sendUnassign(draft, eni);
  persist(draft, eni);
  return ipv4;
}

function mark(draft: Draft, eni: KnownEni, family: Family, most: number): number {
  let count = 0;
  for (const [address, state] of eni.addresses) {
    if (count >= Math.min(most, UNASSIGN_MAX)) break;
    if (state.kind !== "idle" || isIpv6(address) !== (family === "ipv6") || address === eni.facts.primary)
      continue;
    if (!isRested(draft, state)) continue;
    eni.addresses.set(address, { kind: "unassigning" });
    count += 1;
  }
  return count;
}

/** Nobody has had it for the whole quarantine. */
function isRested({ pool, nowMs }: Draft, state: AddressState): boolean {
  return state.kind !== "idle" || (state.sinceMs ?? 0) + pool.settings.settleMs <= nowMs;
}

function isFree(eni: Eni): boolean {
  return (
    eni.state.kind === "ready" &&
    eni.assigning === undefined &&
    eni.unassigning === undefined &&
    eni.refused === undefined
  );
}
