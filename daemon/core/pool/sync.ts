/**
 * Compares the addresses of an ENI with what the cloud lists. The list may be late: one that lacks an address is believed where
 * it is surely newer than the last address that the ENI got, and one that has more where it is surely newer than the last
 * address that was given back. What the cloud has answered to a call of ours counts more than any view until then.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { type EniView } from "../cloud.ts";
import {
  isSurely,
  lagOf,
  placeAddress,
  removeUnassigning,
  sendUnassign,
  unassigningOf,
  untilSure,
  VIEW_LAG_MS,
} from "./assign.ts";
import { type Draft, type KnownEni, lookIn, note, persist, setAside } from "./draft.ts";
import { learnAddresses, setLimits } from "./limits.ts";
import { limitOf, sizeOf } from "./pairs.ts";
import { markLost } from "./serve.ts";

/** `askedMs`: when the question was sent. */
export function syncAddresses(draft: Draft, eni: KnownEni, view: EniView, askedMs: number): void {
  const listed = new Set<IpAddress>([...view.addresses, ...view.addresses6]);
  if (eni.unassigning?.unsure === true) {
    // An address that is not listed is gone even in a late view: nobody assigns it again.
    removeUnassigning(
      draft,
      eni,
      unassigningOf(eni).filter((address) => !listed.has(address)),
    );
    // Nothing is given back before everything that is attached was seen: that view comes, and settles the rest.
    if (draft.pool.cloudSeen) sendUnassign(draft, eni);
  }
  if (eni.assigning !== undefined || eni.unassigning !== undefined) return;
  const unknown = [...listed].filter((address) => !eni.addresses.has(address));
  const unlisted = [...eni.addresses.keys()].filter((address) => !listed.has(address));
  const sure = { toFind: isSurely(askedMs, eni.shrankAtMs), toLose: isSurely(askedMs, eni.grewAtMs) };
  const found = sure.toFind ? unknown : [];
  if (sure.toFind) {
    foundAgain(eni, listed);
    delete eni.shrankAtMs;
  }
  const lost = sure.toLose ? remove(draft, eni, unlisted) : 0;
  for (const address of found) placeAddress(draft, eni, address);
  if (found.length > 0) {
    eni.grewAtMs = draft.nowMs;
    allow(draft, eni);
  }
  if (found.length > 0 || lost > 0) {
    persist(draft, eni);
    const what = `${found.length} addresses found, ${lost} gone, by what the cloud lists`;
    note(draft, "info", `${eni.facts.id}: ${what}`);
  }
  if (unknown.length > found.length) lookIn(draft, eni, untilSure(draft, eni.shrankAtMs));
  if (unlisted.length > 0 && !sure.toLose) lookIn(draft, eni, untilSure(draft, eni.grewAtMs));
  settleRefused(draft, eni, unknown, askedMs);
}

/** Where so many addresses were refused, the view tells whether the ENI has others than those that are known, or a lower limit. */
function settleRefused(draft: Draft, eni: KnownEni, unknown: readonly IpAddress[], askedMs: number): void {
  if (eni.refused === undefined) return;
  if (eni.changedAtMs !== undefined && askedMs <= eni.changedAtMs + VIEW_LAG_MS) {
    lookIn(draft, eni, lagOf(draft, eni));
    return;
  }
  const { family, count } = eni.refused;
  const more = unknown.filter((address) => isIpv6(address) === (family === "ipv6"));
  // They are taken in as soon as that is safe; until then more would be refused again.
  if (more.some((address) => !eni.addresses.has(address))) return;
  delete eni.refused;
  if (count > 0 && more.length === 0) learnAddresses(draft, family, count, sizeOf(eni, family) + count - 1);
}

/** What works is allowed, whatever was learnt with a view that lagged. */
function allow(draft: Draft, eni: KnownEni): void {
  const { limits, learnt } = draft.pool;
  const [ipv4, ipv6] = [sizeOf(eni, "ipv4"), sizeOf(eni, "ipv6")];
  if (learnt.addressesPerEni !== undefined && ipv4 > limitOf(limits, "ipv4"))
    setLimits(draft, { addressesPerEni: ipv4 });
  if (learnt.addresses6PerEni !== undefined && ipv6 > limitOf(limits, "ipv6"))
    setLimits(draft, { addresses6PerEni: ipv6 });
}

/** Addresses of pods that were gone, and are there. */
function foundAgain(eni: KnownEni, listed: ReadonlySet<IpAddress>): void {
  for (const [address, state] of eni.addresses)
    if (listed.has(address) && state.kind === "used" && state.lost === true)
      eni.addresses.set(address, { kind: "used", attachment: state.attachment });
}

/**
 * Drops what the cloud does not have any more; how many. Those of pods stay, marked, so that nobody else gets them; a cooldown
 * goes on, for the cloud may give the same address again.
 */
function remove(draft: Draft, eni: KnownEni, unlisted: readonly IpAddress[]): number {
  let lost = 0;
  for (const address of unlisted) {
    const state = eni.addresses.get(address);
    if (state?.kind === "used") {
      if (state.lost !== true) eni.shrankAtMs = draft.nowMs;
      markLost(draft, eni, address);
      continue;
    }
    eni.addresses.delete(address);
    eni.shrankAtMs = draft.nowMs;
    lost += 1;
    if (state?.kind === "cooling") setAside(draft, address, state);
  }
  return lost;
}
