/**
 * Secondary addresses of an ENI: what the answers to AssignPrivateIpAddresses and UnassignPrivateIpAddresses mean.
 *
 * @module
 */
import { type Ipv4 } from "../../../proto/addr.ts";
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
import { missing, sendAssign } from "./grow.ts";
import { blockVSwitch, giveBackAddresses, unreserveAddresses } from "./vswitch.ts";

/** Views may be older than our last change by that much: they say nothing about addresses so early. */
export const VIEW_LAG_MS = 10_000;
/** An ENI that the cloud does not find, or not in a fitting state, is looked at, and asked again after this. */
const STATE_RETRY_MS = 5_000;
/** A device was there before its ENI is InUse, which takes two seconds at most: less than three of these. */
const IN_USE_RETRY_MS = 700;
const LOST_REPLY_LOOK_MS = 1_000;

export function onAssigned(draft: Draft, slot: number, id: EniId, addresses: readonly Ipv4[]): void {
  const eni = editKnown(draft, slot, id);
  if (eni === undefined) return;
  unreserveAddresses(draft, eni.vSwitch, (eni.assigning?.count ?? 0) - addresses.length);
  delete eni.assigning;
  delete draft.pool.lastFault;
  eni.changedAtMs = draft.nowMs;
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
      blockVSwitch(draft, eni.vSwitch, {
        fault: failure.fault,
        forMs: draft.pool.settings.vSwitchRetryMs,
        exhausted: true,
      });
      return;
    case "address-quota":
      endAssign(draft, eni);
      // Either the ENI has addresses that we do not know (a former run asked for them), or our limit is too high. A view
      // that is surely newer than whatever was asked before tells.
      eni.changedAtMs = draft.nowMs;
      eni.refusedCount = assigning.count;
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
      eni.assignAfterMs = draft.nowMs + Math.max(CONFIGURATION_RETRY_MS, failure.retryAfterMs ?? 0);
      note(draft, "warn", `no more addresses for ${id} for a minute`, failure.fault);
      return;
    default:
      return failure.class satisfies never;
  }
}

/** Sends a call whose back-off is over once more, or gives it up where it is no longer wanted and surely had no effect. */
export function repeatAssign(draft: Draft, eni: KnownEni): void {
  const { assigning } = eni;
  if (assigning === undefined) return;
  const isWanted = missing(draft.pool, draft.nowMs) + assigning.count > 0;
  if (!assigning.unsure && !isWanted) {
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
  unreserveAddresses(draft, eni.vSwitch, assigning.count);
  delete eni.assigning;
  if (!assigning.unsure) return;
  eni.changedAtMs = draft.nowMs;
  eni.refusedCount = 0;
  lookIn(draft, eni, lagOf(draft, eni));
}

/** How long until a view is surely newer than our last change. */
export function lagOf(draft: Draft, eni: DraftEni): number {
  return eni.changedAtMs === undefined ? 0 : Math.max(0, eni.changedAtMs + VIEW_LAG_MS + 1 - draft.nowMs);
}

/** Takes an address in, in the state that the store knows it in, idle otherwise. */
export function placeAddress(draft: Draft, eni: DraftEni, address: Ipv4): void {
  if (eni.addresses.has(address)) return;
  const { unplaced } = draft.pool;
  const known = unplaced.get(address);
  eni.addresses.set(address, known?.state ?? { kind: "idle" });
  if (known !== undefined)
    draft.pool.unplaced = new Map([...unplaced].filter(([other]) => other !== address));
}

/** Asks the cloud to take the "unassigning" addresses of the ENI back. */
export function sendUnassign(draft: Draft, eni: KnownEni): void {
  const addresses = unassigningOf(eni);
  if (addresses.length === 0) return;
  eni.unassigning = { unsure: false, call: { tries: eni.unassigning?.call.tries ?? 0 } };
  draft.effects.push({ kind: "unassign", slot: eni.slot, eni: eni.facts.id, addresses });
}

export function onUnassigned(draft: Draft, slot: number, id: EniId, addresses: readonly Ipv4[]): void {
  const eni = editKnown(draft, slot, id);
  if (eni === undefined) return;
  removeUnassigning(draft, eni, addresses);
}

/** The cloud has taken these addresses back. */
export function removeUnassigning(draft: Draft, eni: DraftEni, addresses: readonly Ipv4[]): void {
  const gone = addresses.filter((address) => eni.addresses.get(address)?.kind === "unassigning");
  if (gone.length === 0) return;
  for (const address of gone) eni.addresses.delete(address);
  if (unassigningOf(eni).length === 0) delete eni.unassigning;
  giveBackAddresses(draft, eni.vSwitch, gone.length);
  eni.changedAtMs = draft.nowMs;
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
    case "account-quota":
    case "configuration":
      if (failure.effect === "unknown") break;
      note(draft, "warn", `${id} keeps addresses that nobody needs`, failure.fault);
      draft.pool.shrinkAfterMs = draft.nowMs + Math.max(CONFIGURATION_RETRY_MS, failure.retryAfterMs ?? 0);
      if (failure.fault.kind !== "cloud") {
        // Not the cloud's refusal: the node itself doubts that nobody has them. Nobody gets them before that is settled.
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
  lookIn(draft, eni, LOST_REPLY_LOOK_MS * Math.min(tries, 10));
}

export function unassigningOf(eni: DraftEni): Ipv4[] {
  return [...eni.addresses].flatMap(([address, { kind }]) => (kind === "unassigning" ? [address] : []));
}
