/**
 * The first half of an ENI's life: created, attached, linked, ready. What each answer of the cloud means.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { type EniId } from "../../../proto/ids.ts";
import { type CloudFailure, type EniView } from "../cloud.ts";
import { INTENT_TAG } from "../eni-tags.ts";
import { placeAddress } from "./assign.ts";
import { accountPauseMs, CONFIGURATION_RETRY_MS } from "./back-off.ts";
import {
  backedOff,
  type Draft,
  type DraftEni,
  edit,
  editKnown,
  growthPriority,
  isBusy,
  type KnownEni,
  lookIn,
  moveTo,
  newToken,
  note,
  repeated,
} from "./draft.ts";
import { startDelete, startDetach } from "./eni-leave.ts";
import { dropCreating, isInhibited, missing, sendCreate } from "./grow.ts";
import { learnAddresses, setLimits } from "./limits.ts";
import { type Eni, type EniState } from "./model.ts";
import { sizeOf } from "./pairs.ts";
import { blockVSwitch, unreserveAddresses } from "./vswitch.ts";

/** First look after AttachNetworkInterface was accepted: most attachments take two seconds. */
export const ATTACH_LOOK_MS = 3_000;
/** After a lost reply of Attach. */
const LOST_REPLY_LOOK_MS = 1_000;
/** "InUse" is confirmed that long after the ENI began to serve; one look for all that wait for it. */
const CONFIRM_LOOK_MS = 3_000;
/** A vSwitch that the cloud does not find, or not in a fitting state, is left alone that long. */
const VSWITCH_STATE_RETRY_MS = 60_000;
/** AttachNetworkInterface says "gone" shortly after the creation: the ENI is not visible yet. Given up after so many. */
const LAG_TRIES_MAX = 5;
const LAG_RETRY_MS = 1_000;
/** An attachment that the cloud undid that often is given up. */
const ATTACH_ROUNDS_MAX = 3;
/** A device that failed and that pods need is tried again after this. */
const RELINK_MS = 5_000;

type Creating = Extract<EniState, { readonly kind: "creating" }>;

export function onCreated(draft: Draft, slot: number, view: EniView): void {
  const eni = edit(draft, slot);
  if (eni?.state.kind !== "creating") return;
  unreserveAddresses(draft, eni.vSwitch, eni.state.request.secondaryCount + 1 - view.addresses.length);
  eni.facts = { id: view.id, mac: view.mac, primary: view.primary };
  eni.changedAtMs = draft.nowMs;
  eni.grewAtMs = draft.nowMs;
  for (const address of new Set([view.primary, ...view.addresses, ...view.addresses6]))
    placeAddress(draft, eni, address);
  moveTo(draft, eni, { kind: "attaching", rounds: 0, call: { tries: 0 } });
  sendAttach(draft, { ...eni, facts: eni.facts });
}

export function onCreateFailed(draft: Draft, slot: number, failure: CloudFailure): void {
  const eni = edit(draft, slot);
  if (eni?.state.kind !== "creating") return;
  const { state } = eni;
  const { fault } = failure;
  draft.pool.lastFault = fault;
  if (failure.effect === "unknown") {
    eni.state = { ...state, unsure: true, call: repeated(draft, state.call, failure) };
    return;
  }
  switch (failure.class) {
    case "again":
      eni.state = { ...state, call: backedOff(draft, state.call, failure) };
      return;
    case "new-token": {
      const token = newToken(draft, slot);
      const tags = { ...state.request.tags, [INTENT_TAG]: token };
      const request = { ...state.request, token, tags };
      moveTo(draft, eni, { ...state, request, call: repeated(draft, state.call, failure) });
      return;
    }
    case "vswitch-full":
      dropCreating(draft, eni);
      blockVSwitch(draft, eni.vSwitch, {
        fault,
        forMs: draft.pool.settings.vSwitchRetryMs,
        exhausted: true,
      });
      return;
    case "eni-quota":
      dropCreating(draft, eni);
      inhibitForQuota(draft, failure);
      return;
    case "address-quota":
      dropCreating(draft, eni);
      onTooManyAddresses(draft, state.request.secondaryCount, failure);
      return;
    case "address6-quota":
      dropCreating(draft, eni);
      onTooManyAddresses6(draft, state.request.count6 ?? 0, failure);
      return;
    case "account-quota":
      dropCreating(draft, eni);
      inhibitForAccount(draft, failure);
      return;
    case "gone":
    case "state":
    case "configuration":
      onCreateImpossible(draft, eni, state, failure);
      return;
    default:
      return failure.class satisfies never;
  }
}

/** Refused before the token was looked at: after a lost reply only the same token tells whether the ENI exists. */
function onCreateImpossible(draft: Draft, eni: DraftEni, state: Creating, failure: CloudFailure): void {
  const { fault } = failure;
  if (state.unsure) {
    const tries = state.call.tries + 1;
    eni.state = { ...state, call: { tries, retryAtMs: draft.nowMs + CONFIGURATION_RETRY_MS } };
  } else {
    dropCreating(draft, eni);
  }
  if (failure.class === "configuration") inhibit(draft, fault, CONFIGURATION_RETRY_MS);
  else blockVSwitch(draft, eni.vSwitch, { fault, forMs: VSWITCH_STATE_RETRY_MS, exhausted: false });
}

/** Sends a creation whose back-off is over once more, or gives it up where it is not wanted and surely had no effect. */
export function repeatCreate(draft: Draft, eni: DraftEni): void {
  const { state } = eni;
  if (state.kind !== "creating") return;
  const isWanted = missing(draft.pool, draft.nowMs) + state.request.secondaryCount + 1 > 0;
  if (!state.unsure && !isWanted) {
    dropCreating(draft, eni);
    return;
  }
  eni.state = { ...state, call: { tries: state.call.tries } };
  sendCreate(draft, eni);
}

/** Sends the AttachNetworkInterface of an ENI in "attaching" (again). */
export function sendAttach(draft: Draft, eni: KnownEni): void {
  const priority = growthPriority(draft);
  draft.effects.push({ kind: "attach-eni", slot: eni.slot, eni: eni.facts.id, priority });
}

export function repeatAttach(draft: Draft, eni: KnownEni): void {
  if (eni.state.kind !== "attaching") return;
  eni.state = { ...eni.state, call: { tries: eni.state.call.tries } };
  sendAttach(draft, eni);
}

export function onAttachAccepted(draft: Draft, slot: number, id: EniId): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind === "attaching") startLink(draft, eni, { unsure: false });
}

/** The ENI is, or (`unsure`) may be, on its way to us: its device is awaited. */
export function startLink(draft: Draft, eni: KnownEni, { unsure }: { readonly unsure: boolean }): void {
  const rounds = eni.state.kind === "attaching" ? eni.state.rounds : 0;
  eni.state = { kind: "linking", sinceMs: draft.nowMs, rounds, inUse: false, unsure };
  delete eni.look;
  lookIn(draft, eni, unsure ? LOST_REPLY_LOOK_MS : ATTACH_LOOK_MS);
  draft.effects.push({ kind: "link-eni", slot: eni.slot, eni: eni.facts.id });
}

export function onAttachFailed(draft: Draft, slot: number, id: EniId, failure: CloudFailure): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind !== "attaching") return;
  const { state } = eni;
  draft.pool.lastFault = failure.fault;
  if (failure.effect === "unknown") {
    startLink(draft, eni, { unsure: true });
    return;
  }
  switch (failure.class) {
    case "state":
      // InUse on us is success, Attaching means wait: the view tells. Without one the call is repeated.
      lookIn(draft, eni, 0);
      eni.state = { ...state, call: backedOff(draft, state.call, { ...failure, retryAfterMs: 5_000 }) };
      return;
    case "again":
    case "new-token":
    case "vswitch-full":
      eni.state = { ...state, call: backedOff(draft, state.call, failure) };
      return;
    case "gone":
      if (state.call.tries < LAG_TRIES_MAX || isBusy(eni)) {
        const retryAfterMs = LAG_RETRY_MS * (state.call.tries + 1);
        eni.state = { ...state, call: backedOff(draft, state.call, { ...failure, retryAfterMs }) };
        return;
      }
      break;
    case "eni-quota":
      inhibitForQuota(draft, failure, slot);
      break;
    case "address-quota":
      onTooManyAddresses(draft, sizeOf(eni, "ipv4") - 1, failure);
      break;
    case "address6-quota":
      onTooManyAddresses6(draft, sizeOf(eni, "ipv6"), failure);
      break;
    case "account-quota":
      inhibitForAccount(draft, failure);
      break;
    case "configuration":
      inhibit(draft, failure.fault, CONFIGURATION_RETRY_MS);
      break;
    default:
      return failure.class satisfies never;
  }
  if (isBusy(eni)) {
    // Pods are on it (it was detached behind our back): it is not given up.
    const retryAfterMs = CONFIGURATION_RETRY_MS;
    eni.state = { ...state, call: backedOff(draft, state.call, { ...failure, retryAfterMs }) };
    return;
  }
  startDelete(draft, eni);
}

/** The device passes packets: its addresses serve. It may come while the attachment is still believed to have failed. */
export function onLinked(draft: Draft, slot: number, id: EniId, ifIndex: number): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind !== "linking" && eni?.state.kind !== "attaching") return;
  const { pool } = draft;
  const confirmed = eni.state.kind === "linking" && eni.state.inUse;
  moveTo(draft, eni, { kind: "ready", ifIndex, confirmed });
  delete eni.look;
  if (!confirmed) lookIn(draft, eni, CONFIRM_LOOK_MS);
  if (eni.refused !== undefined || eni.unassigning?.unsure === true) lookIn(draft, eni, 0);
  delete pool.inhibited;
  delete pool.lastFault;
  const ready = [...pool.enis.values()].filter(({ state }) => state.kind === "ready");
  const attached = pool.foreign + ready.length;
  // What works is allowed, whatever was learnt from a refusal that crossed it.
  if (attached > pool.limits.enisMax) setLimits(draft, { enisMax: attached });
}

export function onLinkFailed(draft: Draft, slot: number, id: EniId, fault: Fault): void {
  const eni = editKnown(draft, slot, id);
  if (eni?.state.kind === "linking") giveUpLink(draft, eni, fault);
}

/** The device does not work: away with the ENI, unless pods are on it; then it is tried again. */
export function giveUpLink(draft: Draft, eni: KnownEni, fault: Fault): void {
  draft.pool.lastFault = fault;
  if (isBusy(eni) || eni.borrowed === true) {
    const { nowMs } = draft;
    note(draft, "warn", `${eni.facts.id} does not pass packets; its pods wait for it`, fault);
    eni.state = {
      kind: "linking",
      sinceMs: nowMs,
      rounds: 0,
      inUse: false,
      unsure: false,
      relinkAtMs: nowMs + RELINK_MS,
    };
    lookIn(draft, eni, ATTACH_LOOK_MS);
    return;
  }
  inhibit(draft, fault, CONFIGURATION_RETRY_MS);
  startDetach(draft, eni);
}

/** An accepted attachment failed afterwards: once more, a few times; then another ENI may do better. */
export function onAttachUndone(draft: Draft, eni: KnownEni): void {
  if (eni.state.kind !== "linking") return;
  const rounds = eni.state.rounds + (eni.state.unsure ? 0 : 1);
  if (rounds >= ATTACH_ROUNDS_MAX && !isBusy(eni)) {
    const { instance } = draft.pool.settings;
    const fault: Fault = {
      kind: "not-ready",
      reason: `the cloud accepted ${rounds} times to attach ${eni.facts.id} to ${instance}, and undid it each time`,
    };
    draft.pool.lastFault = fault;
    inhibit(draft, fault, CONFIGURATION_RETRY_MS);
    startDelete(draft, eni);
    return;
  }
  note(draft, "warn", `${eni.facts.id} was not attached although that was accepted; once more`);
  moveTo(draft, eni, { kind: "attaching", rounds, call: { tries: 0 } });
  delete eni.look;
  sendAttach(draft, eni);
}

/** One more ENI is refused: no other one for a minute, and the next survey counts how many there are. */
function inhibitForQuota(draft: Draft, failure: CloudFailure, refusedSlot?: number): void {
  const { pool } = draft;
  inhibit(draft, failure.fault, Math.max(CONFIGURATION_RETRY_MS, failure.retryAfterMs ?? 0));
  const others = [...pool.enis.values()].filter((eni) => eni.slot !== refusedSlot && mayCount(eni));
  pool.refusedAtEnis = pool.foreign + others.length;
  pool.survey = { atMs: draft.nowMs, tries: 0 };
}

/**
 * True where the cloud may count the ENI as attached: attach calls cross each other, a detach takes its time, and what no view
 * shows yet may have been attached by a call of a former run, whatever this run's own call was answered.
 */
function mayCount({ state }: Eni): boolean {
  return state.kind !== "creating" && state.kind !== "deleting";
}

/** The account's limits are lifted by people or by other nodes: the pauses grow. */
function inhibitForAccount(draft: Draft, failure: CloudFailure): void {
  const { pool, nowMs } = draft;
  const pauseMs = accountPauseMs((pool.inhibited?.tries ?? 0) + (isInhibited(pool, nowMs) ? 0 : 1));
  inhibit(draft, failure.fault, Math.max(pauseMs, failure.retryAfterMs ?? 0));
}

function inhibit(draft: Draft, fault: Fault, pauseMs: number): void {
  const { pool, nowMs } = draft;
  // Calls that were under way together and fail together count once.
  const tries = (pool.inhibited?.tries ?? 0) + (isInhibited(pool, nowMs) ? 0 : 1);
  pool.inhibited = { untilMs: nowMs + pauseMs, tries, fault };
  note(draft, "warn", `no new ENI for ${Math.round(pauseMs / 1000)} s`, fault);
}

/** So many secondary addresses of a new ENI were too many. Where even none is, no ENI can be had. */
function onTooManyAddresses(draft: Draft, secondaryCount: number, failure: CloudFailure): void {
  if (secondaryCount > 0) learnAddresses(draft, "ipv4", secondaryCount, secondaryCount);
  else inhibit(draft, failure.fault, CONFIGURATION_RETRY_MS);
}

/** The same for IPv6 addresses, where one is the least. */
function onTooManyAddresses6(draft: Draft, count: number, failure: CloudFailure): void {
  if (count > 1) learnAddresses(draft, "ipv6", count, count - 1);
  else inhibit(draft, failure.fault, CONFIGURATION_RETRY_MS);
}
