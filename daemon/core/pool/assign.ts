/**
 * Addresses of an ENI, of both families: what the answers to the calls mean that give more of them or take some back.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { type EniId } from "../../../proto/ids.ts";
import { type CloudFailure } from "../cloud.ts";
import { CONFIGURATION_RETRY_MS } from "./back-off.ts";
import {
  backedOff,
  type Draft,
  type DraftEni,
  editKnown,
  type KnownEni,
  lookIn,
  newToken,
  note,
  persist,
  repeated,
} from "./draft.ts";
import { isAssignWanted, sendAssign } from "./grow.ts";
import { blockVSwitch, giveBackAddresses, unreserveAddresses } from "./vswitch.ts";

/** Most views are no older than that: enough where a mistake does no harm. */
export const VIEW_LAG_MS = 10_000;
/**
 * No view is older than that. The API documents no bound; metadata and Describe that were wrong for minutes are what made other
 * agents lose live addresses, so what a view lacks, or still shows, is believed only where it cannot be that late.
 */
export const VIEW_LAG_MAX_MS = 600_000;
/** An ENI that the cloud does not find, or not in a fitting state, is looked at, and asked again after this. */
const STATE_RETRY_MS = 5_000;
/** A device was there before its ENI is InUse, which takes two seconds at most: less than three of these. */
const IN_USE_RETRY_MS = 700;
const LOST_REPLY_LOOK_MS = 1_000;
const LOST_REPLY_LOOK_MAX_MS = 60_000;

export function onAssigned(draft: Draft, slot: number, id: EniId, addresses: readonly IpAddress[]): void {
  const eni = editKnown(draft, slot, id);
  if (eni === undefined) return;
  if (eni.assigning?.family !== "ipv6")
    unreserveAddresses(draft, eni.vSwitch, (eni.assigning?.count ?? 0) - addresses.length);
  delete eni.assigning;
  delete draft.pool.lastFault;
  eni.changedAtMs = draft.nowMs;
  eni.grewAtMs = draft.nowMs;
  for (const address of addresses) placeAddress(draft, eni, address);
  persist(draft, eni);
}

export function onAssignFailed(draft: Draft, slot: number, id: EniId, failure: CloudFailure): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.assigning === undefined) return;
  const { assigning } = eni;
  draft.pool.lastFault = failure.fault;
  if (failure.effect === "unknown") {
    const call = repeated(draft, assigning.call, failure);
    eni.assigning = { ...assigning, unsure: true, call };
    return;
  }
  switch (failure.class) {
    case "again":
      eni.assigning = { ...assigning, call: backedOff(draft, assigning.call, failure) };
      return;
    case "new-token":
      eni.assigning = {
        ...assigning,
        token: newToken(draft, slot),
        call: repeated(draft, assigning.call, failure),
      };
      return;
    case "vswitch-full":
      endAssign(draft, eni);
      if (assigning.family === "ipv6") {
        // An IPv6 block has 2^64 addresses: whatever is meant, the vSwitch's IPv4 addresses are not.
        pauseAssign(draft, eni, draft.pool.settings.vSwitchRetryMs, failure);
        return;
      }
      blockVSwitch(draft, eni.vSwitch, {
        fault: failure.fault,
        forMs: draft.pool.settings.vSwitchRetryMs,
        exhausted: true,
      });
      return;
    case "address-quota":
    case "address6-quota":
      endAssign(draft, eni);
      // Either the ENI has addresses that we do not know (a former run asked for them), or our limit is too high. A view
      // that is surely newer than whatever was asked before tells.
      eni.changedAtMs = draft.nowMs;
      eni.refused = { family: assigning.family, count: assigning.count };
      lookIn(draft, eni, lagOf(draft, eni));
      return;
    case "gone":
    case "state":
      // The device can be there before the cloud says InUse; then addresses are refused for a moment.
      if (failure.class === "state" && eni.state.kind === "ready" && !eni.state.confirmed) {
        const retryAfterMs = Math.max(IN_USE_RETRY_MS, failure.retryAfterMs ?? 0);
        eni.assigning = {
          ...assigning,
          call: backedOff(draft, assigning.call, { ...failure, retryAfterMs }),
        };
        return;
      }
      endAssign(draft, eni);
      eni.assignAfterMs = draft.nowMs + Math.max(STATE_RETRY_MS, failure.retryAfterMs ?? 0);
      lookIn(draft, eni, 0);
      return;
    case "eni-quota":
    case "account-quota":
    case "configuration":
      endAssign(draft, eni);
      pauseAssign(draft, eni, CONFIGURATION_RETRY_MS, failure);
      return;
    default:
      return failure.class satisfies never;
  }
}

function pauseAssign(draft: Draft, eni: KnownEni, pauseMs: number, failure: CloudFailure): void {
  eni.assignAfterMs = draft.nowMs + Math.max(pauseMs, failure.retryAfterMs ?? 0);
  const pause = pauseMs === CONFIGURATION_RETRY_MS ? "a minute" : `${Math.round(pauseMs / 1000)} s`;
  note(draft, "warn", `no more addresses for ${eni.facts.id} for ${pause}`, failure.fault);
}

/** Sends a call whose back-off is over once more, or gives it up where it is no longer wanted and surely had no effect. */
export function repeatAssign(draft: Draft, eni: KnownEni): void {
  const { assigning } = eni;
  if (assigning === undefined) return;
  if (!assigning.unsure && !isAssignWanted(draft.pool, eni, assigning, draft.nowMs)) {
    endAssign(draft, eni);
    return;
  }
  eni.assigning = { ...assigning, call: { tries: assigning.call.tries } };
  sendAssign(draft, eni);
}

/** The cloud will not do it. Where an earlier reply was lost, a view tells what happened. */
function endAssign(draft: Draft, eni: DraftEni): void {
  const { assigning } = eni;
  if (assigning === undefined) return;
  if (assigning.family === "ipv4") unreserveAddresses(draft, eni.vSwitch, assigning.count);
  delete eni.assigning;
  if (!assigning.unsure) return;
  eni.changedAtMs = draft.nowMs;
  eni.refused = { family: assigning.family, count: 0 };
  lookIn(draft, eni, lagOf(draft, eni));
}

/** How long until no view is older than what happened `sinceMs`; 0 where it was long ago. */
export function untilSure({ nowMs }: Draft, sinceMs: number | undefined): number {
  return sinceMs === undefined ? 0 : Math.max(0, sinceMs + VIEW_LAG_MAX_MS + 1 - nowMs);
}

/** True of a view that was asked for at `askedMs`: it is newer than what happened `sinceMs`. */
export function isSurely(askedMs: number, sinceMs: number | undefined): boolean {
  return sinceMs === undefined || askedMs > sinceMs + VIEW_LAG_MAX_MS;
}

/** How long until a view is most likely newer than our last change. */
export function lagOf(draft: Draft, eni: DraftEni): number {
  return eni.changedAtMs === undefined ? 0 : Math.max(0, eni.changedAtMs + VIEW_LAG_MS + 1 - draft.nowMs);
}

/** Takes an address in, in the state that the store knows it in, idle otherwise. */
export function placeAddress(draft: Draft, eni: DraftEni, address: IpAddress): void {
  if (eni.addresses.has(address)) return;
  const { unplaced } = draft.pool;
  const known = unplaced.get(address);
  eni.addresses.set(address, known?.state ?? { kind: "idle" });
  if (known !== undefined)
    draft.pool.unplaced = new Map([...unplaced].filter(([other]) => other !== address));
}

/** Asks the cloud to take the "unassigning" addresses of the ENI back: those of IPv4, or those of IPv6 where no other is left. */
export function sendUnassign(draft: Draft, eni: KnownEni): void {
  const all = unassigningOf(eni);
  const ipv4 = all.filter((address) => !isIpv6(address));
  const addresses = ipv4.length > 0 ? ipv4 : all;
  if (addresses.length === 0) return;
  eni.unassigning = { unsure: false, call: { tries: eni.unassigning?.call.tries ?? 0 } };
  draft.effects.push({ kind: "unassign", slot: eni.slot, eni: eni.facts.id, addresses });
}

export function onUnassigned(draft: Draft, slot: number, id: EniId, addresses: readonly IpAddress[]): void {
  const eni = editKnown(draft, slot, id);
  if (eni === undefined) return;
  removeUnassigning(draft, eni, addresses);
  // The other half of the pairs.
  if (eni.unassigning !== undefined) sendUnassign(draft, eni);
}

/** The cloud has taken these addresses back. */
export function removeUnassigning(draft: Draft, eni: DraftEni, addresses: readonly IpAddress[]): void {
  const gone = addresses.filter((address) => eni.addresses.get(address)?.kind === "unassigning");
  if (gone.length === 0) return;
  for (const address of gone) eni.addresses.delete(address);
  if (unassigningOf(eni).length === 0) delete eni.unassigning;
  giveBackAddresses(draft, eni.vSwitch, gone.filter((address) => !isIpv6(address)).length);
  eni.changedAtMs = draft.nowMs;
  eni.shrankAtMs = draft.nowMs;
  persist(draft, eni);
}

export function onUnassignFailed(draft: Draft, slot: number, id: EniId, failure: CloudFailure): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.unassigning === undefined) return;
  switch (failure.class) {
    case "again":
    case "state":
    case "new-token":
      if (failure.effect === "none") {
        eni.unassigning = { unsure: false, call: backedOff(draft, eni.unassigning.call, failure) };
        return;
      }
      break;
    case "gone":
      break;
    case "vswitch-full":
    case "eni-quota":
    case "address-quota":
    case "address6-quota":
    case "account-quota":
    case "configuration":
      if (failure.effect === "unknown") break;
      note(draft, "warn", `${id} keeps addresses that nobody needs`, failure.fault);
      draft.pool.shrinkAfterMs = draft.nowMs + Math.max(CONFIGURATION_RETRY_MS, failure.retryAfterMs ?? 0);
      if (failure.fault.kind !== "cloud" || eni.unassigning.call.tries > 0) {
        // Not the cloud's refusal: the node itself doubts that nobody has them. Or an earlier call, whose reply was lost, may
        // have taken them back, and the view may have been late. Nobody gets them before that is settled.
        const retryAfterMs = CONFIGURATION_RETRY_MS;
        const call = backedOff(draft, eni.unassigning.call, { ...failure, retryAfterMs });
        eni.unassigning = { unsure: false, call };
        return;
      }
      // Refused for good: the addresses are still ours, so pods may have them.
      for (const address of unassigningOf(eni)) eni.addresses.set(address, { kind: "idle" });
      delete eni.unassigning;
      persist(draft, eni);
      return;
    default:
      return failure.class satisfies never;
  }
  // The reply was lost, or the cloud knows only some of the addresses: what it lists decides.
  const tries = eni.unassigning.call.tries + 1;
  eni.unassigning = { unsure: true, call: { tries } };
  lookIn(draft, eni, Math.min(LOST_REPLY_LOOK_MS * tries, LOST_REPLY_LOOK_MAX_MS));
}

export function unassigningOf(eni: DraftEni): IpAddress[] {
  return [...eni.addresses].flatMap(([address, { kind }]) => (kind === "unassigning" ? [address] : []));
}
