/**
 * Compares the addresses of an ENI with what the cloud lists, where the list is surely newer than our last change.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { type EniView } from "../cloud.ts";
import {
  lagOf,
  placeAddress,
  removeUnassigning,
  sendUnassign,
  unassigningOf,
  VIEW_LAG_MS,
} from "./assign.ts";
import { type Draft, type KnownEni, lookIn, note, persist } from "./draft.ts";
import { learnAddresses } from "./limits.ts";
import { sizeOf } from "./pairs.ts";
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
  if (eni.changedAtMs !== undefined && askedMs <= eni.changedAtMs + VIEW_LAG_MS) {
    if (eni.refused !== undefined) lookIn(draft, eni, lagOf(draft, eni));
    return;
  }
  if (isDoubtful(eni, listed, askedMs)) {
    doubt(draft, eni);
    return;
  }
  const before = new Set(eni.addresses.keys());
  for (const address of listed) placeAddress(draft, eni, address);
  const found = [...eni.addresses.keys()].filter((address) => !before.has(address));
  const lost = removeUnlisted(draft, eni, listed);
  if (found.length > 0 || lost > 0) {
    persist(draft, eni);
    note(
      draft,
      "info",
      `${eni.facts.id}: ${found.length} addresses found, ${lost} gone, by what the cloud lists`,
    );
  }
  if (eni.refused === undefined) return;
  const { family, count } = eni.refused;
  delete eni.refused;
  if (count > 0 && !found.some((address) => isIpv6(address) === (family === "ipv6")))
    learnAddresses(draft, family, count, sizeOf(eni, family) + count - 1);
}

/**
 * After a restart the last change is not known: an address may be missing in the view because it is too new. Or it is listed
 * although the former run has just given it back, and another node may have it by now.
 */
function isDoubtful(eni: KnownEni, listed: ReadonlySet<IpAddress>, askedMs: number): boolean {
  const { changedAtMs, shrankAtMs, addresses } = eni;
  if (changedAtMs !== undefined) return false;
  const maySeeOld = shrankAtMs !== undefined && askedMs <= shrankAtMs + VIEW_LAG_MS;
  return (
    addresses.keys().some((address) => !listed.has(address)) ||
    (maySeeOld && listed.keys().some((address) => !addresses.has(address)))
  );
}

/** Wants a second view, later; nothing is found or lost yet. */
function doubt(draft: Draft, eni: KnownEni): void {
  eni.changedAtMs = draft.nowMs;
  eni.refused ??= { family: "ipv4", count: 0 };
  lookIn(draft, eni, lagOf(draft, eni));
}

/** How many addresses are dropped because the cloud does not list them. Those of pods stay, marked. */
function removeUnlisted(draft: Draft, eni: KnownEni, listed: ReadonlySet<string>): number {
  let lost = 0;
  for (const [address, state] of eni.addresses) {
    if (listed.has(address)) {
      if (state.kind === "used" && state.lost === true)
        eni.addresses.set(address, { kind: "used", attachment: state.attachment });
      continue;
    }
    if (state.kind === "used") {
      markLost(draft, eni, address);
      continue;
    }
    eni.addresses.delete(address);
    eni.shrankAtMs = draft.nowMs;
    lost += 1;
    if (state.kind === "cooling") draft.effects.push({ kind: "forget-cooldown", address });
  }
  return lost;
}
