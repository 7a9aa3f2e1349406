/**
 * The second half of an ENI's life: detached, deleted, gone. An ENI enters it only when no pod has, or just had, one of its
 * addresses.
 *
 * @module
 */
import { type EniId } from "../../../proto/ids.ts";
import { type CloudFailure } from "../cloud.ts";
import { CONFIGURATION_RETRY_MS } from "./back-off.ts";
import {
  backedOff,
  type Draft,
  dropEni,
  editKnown,
  isBusy,
  type KnownEni,
  lookIn,
  moveTo,
  note,
} from "./draft.ts";
import { untilSure } from "./assign.ts";
import { sizeOf } from "./pairs.ts";
import { giveBackAddresses } from "./vswitch.ts";

/** Detach and Delete take a second or two. */
const LEAVE_LOOK_MS = 2_000;
const LOST_REPLY_LOOK_MS = 1_000;

/** Detaches the ENI, then deletes it. Its addresses serve nobody from now on. */
export function startDetach(draft: Draft, eni: KnownEni): void {
  if (isBusy(eni)) throw new Error(`${eni.facts.id} has pods and cannot be detached`);
  delete eni.assigning;
  moveTo(draft, eni, { kind: "detaching", sinceMs: draft.nowMs, unsure: false, call: { tries: 0 } });
  delete eni.look;
  sendLeave(draft, eni);
}

/** Deletes an ENI that is not attached. */
export function startDelete(draft: Draft, eni: KnownEni): void {
  if (isBusy(eni)) throw new Error(`${eni.facts.id} has pods and cannot be deleted`);
  moveTo(draft, eni, { kind: "deleting", sinceMs: draft.nowMs, unsure: false, call: { tries: 0 } });
  delete eni.look;
  sendLeave(draft, eni);
}

/**
 * Sends the call of an ENI in "detaching" or "deleting" (again). What the node has of it goes each time: a former run may have
 * ended before it could.
 */
export function sendLeave(draft: Draft, eni: KnownEni): void {
  const { state } = eni;
  if (state.kind !== "detaching" && state.kind !== "deleting") return;
  const tries = state.call?.tries ?? 0;
  const repeated = state.call === undefined && { repeated: true as const };
  eni.state = { ...state, ...repeated, sinceMs: draft.nowMs, unsure: false, call: { tries } };
  draft.effects.push({ kind: "unlink-eni", slot: eni.slot, eni: eni.facts.id });
  const kind = state.kind === "detaching" ? "detach-eni" : "delete-eni";
  draft.effects.push({ kind, slot: eni.slot, eni: eni.facts.id });
}

export function onLeaveAccepted(draft: Draft, slot: number, id: EniId, kind: "detaching" | "deleting"): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind !== kind) return;
  eni.state = { kind, sinceMs: draft.nowMs, unsure: false };
  delete eni.look;
  lookIn(draft, eni, LEAVE_LOOK_MS);
}

export function onLeaveFailed(
  draft: Draft,
  slot: number,
  id: EniId,
  { kind, failure }: { readonly kind: "detaching" | "deleting"; readonly failure: CloudFailure },
): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind !== kind || eni.state.call === undefined) return;
  const { state } = eni;
  if (failure.effect === "unknown") {
    eni.state = { kind, sinceMs: state.sinceMs, unsure: true };
    lookIn(draft, eni, LOST_REPLY_LOOK_MS);
    return;
  }
  switch (failure.class) {
    case "gone":
    case "state":
      eni.state = { kind, sinceMs: state.sinceMs, unsure: true };
      lookIn(draft, eni, LOST_REPLY_LOOK_MS);
      return;
    case "again":
    case "new-token":
    case "vswitch-full":
      eni.state = { ...state, call: backedOff(draft, eni.state.call, failure) };
      return;
    case "eni-quota":
    case "address-quota":
    case "address6-quota":
    case "account-quota":
    case "configuration":
      onLeaveRefused(draft, eni, failure);
      return;
    default:
      return failure.class satisfies never;
  }
}

/**
 * Refused for good: an attached ENI comes back into service. One that is not attached, or that an earlier call may still take
 * away, has to wait for its end.
 */
function onLeaveRefused(draft: Draft, eni: KnownEni, failure: CloudFailure): void {
  const { state } = eni;
  const retryAfterMs = Math.max(CONFIGURATION_RETRY_MS, failure.retryAfterMs ?? 0);
  const atMs = draft.nowMs + retryAfterMs;
  if (state.kind === "detaching" && state.repeated !== true) {
    note(draft, "warn", `${eni.facts.id} cannot be detached and stays`, failure.fault);
    const linking = { sinceMs: draft.nowMs, rounds: 0, inUse: true, unsure: false };
    moveTo(draft, eni, { kind: "linking", ...linking, relinkAtMs: atMs });
  } else if (state.kind === "detaching" || state.kind === "deleting") {
    const what = state.kind === "detaching" ? "detached" : "deleted";
    note(draft, "warn", `${eni.facts.id} cannot be ${what}`, failure.fault);
    eni.state = { ...state, call: backedOff(draft, state.call, { ...failure, retryAfterMs }) };
  }
}

/** The ENI is not in the cloud any more: its addresses are the vSwitch's again, and the node has nothing of it to keep. */
export function onEniGone(draft: Draft, eni: KnownEni): void {
  draft.effects.push({ kind: "unlink-eni", slot: eni.slot, eni: eni.facts.id });
  const { pool, nowMs } = draft;
  const young = [...pool.departed].filter(([, atMs]) => untilSure(draft, atMs) > 0);
  pool.departed = new Map([...young, [eni.facts.id, nowMs]]);
  giveBackAddresses(draft, eni.vSwitch, sizeOf(eni, "ipv4"));
  dropEni(draft, eni);
}
