/**
 * What the cloud shows of an ENI, and what follows from it in each state. Views may be late (eventual consistency), so
 * nothing is concluded from one view that an older state of things could have given. An ENI whose device is on the node is
 * attached to it, whatever a view shows: the kernel does not lag.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { type EniView } from "../cloud.ts";
import { isSurely, lagOf } from "./assign.ts";
import { lookPauseMs } from "./back-off.ts";
import { type Draft, draw, isBusy, type KnownEni, lookIn, moveTo, note, persist, setAside } from "./draft.ts";
import { giveUpLink, onAttachUndone, sendAttach, startLink } from "./eni-create.ts";
import { onEniGone, sendLeave, startDelete, startDetach } from "./eni-leave.ts";
import { type EniState } from "./model.ts";
import { markLost } from "./serve.ts";
import { syncAddresses } from "./sync.ts";

/** A view that was asked for so soon after Attach may still show what was before it. */
const ATTACH_LAG_MS = 2_500;
/** An ENI that is InUse has its device long before; what takes longer does not come. */
export const LINK_TIMEOUT_MS = 30_000;
const ATTACH_TIMEOUT_MS = 90_000;
/** Detach and Delete that show no effect after this are sent again. */
const STUCK_MS = 20_000;
/** An ENI that is still leaving after so many refused attachments or looks, seconds apart, is made to leave. */
const STUCK_TRIES = 5;
/** Views in a row until a missing attachment, or a missing ENI, is believed. */
const MISSES_DETACHED = 2;
const MISSES_GONE = 3;
/** Between two looks at an ENI of which cloud and node tell different things. */
const DISAGREEMENT_LOOK_MS = 30_000;
/** AttachNetworkInterface that says "gone" that often is believed where views and kernel say so, too. */
const GONE_REFUSALS = 5;

type Linking = Extract<EniState, { readonly kind: "linking" }>;

/** `askedMs`: when the question was sent. `isPresent`: the device is on the node although no view shows it as attached. */
export type Asked = { readonly askedMs: number; readonly isPresent: boolean };

/** The answer to a question about one ENI. */
export function onView(draft: Draft, eni: KnownEni, view: EniView, asked: Asked): void {
  const { state } = eni;
  const { askedMs } = asked;
  const isOurs = view.instance === undefined || view.instance === draft.pool.settings.instance;
  switch (state.kind) {
    case "creating":
      return;
    case "attaching":
      if (!isOurs) leaveIfSure(draft, eni, askedMs);
      else if (view.status === "InUse" || view.status === "Attaching") {
        startLink(draft, eni, { unsure: false });
        onView(draft, eni, view, asked);
      } else if (view.status === "Available") delete eni.look;
      else if (state.call.tries >= STUCK_TRIES && canLeave(eni)) startDetach(draft, eni);
      else lookAgain(draft, eni);
      return;
    case "linking":
      if (asked.isPresent) disagree(draft, eni);
      else if (isOurs) onViewOfLinking(draft, eni, state, view, askedMs);
      else leaveIfSure(draft, eni, askedMs);
      return;
    case "ready":
      if (asked.isPresent) disagree(draft, eni);
      else onViewOfReady(draft, eni, view, { askedMs, isOurs });
      return;
    case "detaching":
      // Deleting: somebody has asked for it, and it may be stuck.
      if (view.status === "Available" || view.status === "Deleting") startDelete(draft, eni);
      else if (isOurs) lookAtLeaving(draft, eni, view.status === "InUse");
      else leaveIfSure(draft, eni, askedMs);
      return;
    case "deleting":
      if (!isOurs) leaveIfSure(draft, eni, askedMs);
      else if (view.status === "InUse" || isStuckDetaching(draft, state, view)) startDetach(draft, eni);
      else lookAtLeaving(draft, eni, view.status === "Available");
      return;
    default:
      return state satisfies never;
  }
}

/** The cloud does not know the ENI: it is gone, or not visible yet. */
export function onMissing(draft: Draft, eni: KnownEni, { askedMs, isPresent }: Asked): void {
  const { state } = eni;
  switch (state.kind) {
    case "creating":
      return;
    case "attaching":
      // The call itself says "gone", and gives up in the end, if no pods are on it.
      if (isBusy(eni) && state.call.tries >= GONE_REFUSALS) leaveIfSure(draft, eni, askedMs);
      else delete eni.look;
      return;
    case "linking":
    case "ready":
      if (isPresent) {
        disagree(draft, eni);
        return;
      }
      eni.misses += 1;
      if (eni.misses < MISSES_GONE) lookAgain(draft, eni);
      // Its device was here and is not any more: where it is not gone, it is an ENI without an owner.
      else if (state.kind === "ready" || state.wasReady === true) leaveToOthers(draft, eni);
      else leaveIfSure(draft, eni, askedMs);
      return;
    case "detaching":
      startDelete(draft, eni);
      return;
    case "deleting":
      delete eni.look;
      if (state.call !== undefined) return;
      // A deletion that is not sure, of an ENI that may only not be visible yet: the call itself tells.
      if (!state.unsure || isSurely(askedMs, eni.grewAtMs)) onEniGone(draft, eni);
      else if (lagOf(draft, eni) > 0) lookIn(draft, eni, lagOf(draft, eni));
      else sendLeave(draft, eni);
      return;
    default:
      return state satisfies never;
  }
}

/** No view to be had, or one that decides nothing: later again. A look that is not due yet stays as it is. */
export function lookAgain(draft: Draft, eni: KnownEni, atLeastMs = 0): void {
  const { look } = eni;
  if (look !== undefined && look.atMs > draft.nowMs) return;
  const tries = (look?.tries ?? 0) + 1;
  eni.look = { atMs: draft.nowMs + Math.max(atLeastMs, lookPauseMs(tries, draw(draft))), tries };
}

function onViewOfLinking(draft: Draft, eni: KnownEni, state: Linking, view: EniView, askedMs: number): void {
  const { nowMs } = draft;
  switch (view.status) {
    case "InUse":
      eni.misses = 0;
      eni.state = { ...state, inUse: true };
      syncAddresses(draft, eni, view, askedMs);
      if (nowMs - state.sinceMs >= LINK_TIMEOUT_MS) giveUpLink(draft, eni, noDevice(eni, state, nowMs));
      // The device is awaited on the node; the cloud has nothing more to tell before the time is up.
      else eni.look = { atMs: state.sinceMs + LINK_TIMEOUT_MS, tries: 0 };
      return;
    case "Attaching":
      eni.misses = 0;
      if (nowMs - state.sinceMs >= ATTACH_TIMEOUT_MS) giveUpLink(draft, eni, noDevice(eni, state, nowMs));
      else lookAgain(draft, eni);
      return;
    case "Available":
      if (!state.unsure && askedMs - state.sinceMs < ATTACH_LAG_MS) lookAgain(draft, eni);
      else if (eni.borrowed === true) leaveIfSure(draft, eni, askedMs);
      else onAttachUndone(draft, eni);
      return;
    case "Detaching":
    case "Deleting":
      // A detachment of ours, or of a former run, that does not end by itself.
      if (nowMs - state.sinceMs >= ATTACH_TIMEOUT_MS && canLeave(eni)) startDetach(draft, eni);
      else lookAgain(draft, eni);
      return;
    default:
      return view.status satisfies never;
  }
}

function noDevice(eni: KnownEni, { sinceMs }: Linking, nowMs: number): Fault {
  const { id, mac } = eni.facts;
  return { kind: "deadline", what: `the device of ${id} (${mac})`, waitedMs: nowMs - sinceMs };
}

function onViewOfReady(
  draft: Draft,
  eni: KnownEni,
  view: EniView,
  { askedMs, isOurs }: { readonly askedMs: number; readonly isOurs: boolean },
): void {
  if (eni.state.kind !== "ready") return;
  if (isOurs && view.status === "InUse") {
    eni.misses = 0;
    eni.state = { ...eni.state, confirmed: true };
    delete eni.look;
    syncAddresses(draft, eni, view, askedMs);
    return;
  }
  if (isOurs && view.status === "Attaching" && !eni.state.confirmed) {
    lookAgain(draft, eni);
    return;
  }
  eni.misses += 1;
  if (eni.misses < MISSES_DETACHED) {
    lookAgain(draft, eni);
  } else if (!isOurs || (eni.borrowed === true && view.status === "Available")) {
    leaveIfSure(draft, eni, askedMs);
  } else if (view.status === "Available") {
    note(draft, "warn", `${eni.facts.id} was detached, not by us: it is attached again`);
    eni.misses = 0;
    moveTo(draft, eni, { kind: "attaching", rounds: 0, call: { tries: 0 } });
    delete eni.look;
    sendAttach(draft, eni);
  } else if (view.status === "Detaching" && eni.misses >= STUCK_TRIES && canLeave(eni)) {
    startDetach(draft, eni);
  } else {
    lookAgain(draft, eni);
  }
}

/** Nobody is on it, and it is not somebody else's. */
function canLeave(eni: KnownEni): boolean {
  return !isBusy(eni) && eni.borrowed !== true;
}

/** It was taken for detached by a view that was late, and its detachment does not end: only asking for that again helps. */
function isStuckDetaching(
  { nowMs }: Draft,
  state: Extract<EniState, { readonly kind: "deleting" }>,
  view: EniView,
): boolean {
  return view.status === "Detaching" && state.call === undefined && nowMs - state.sinceMs >= STUCK_MS;
}

/** `isAsBefore`: the view shows nothing of what was asked for. */
function lookAtLeaving(draft: Draft, eni: KnownEni, isAsBefore: boolean): void {
  const { state } = eni;
  if (state.kind !== "detaching" && state.kind !== "deleting") return;
  if (state.call !== undefined) {
    delete eni.look;
    return;
  }
  const isStuck = draft.nowMs - state.sinceMs >= STUCK_MS;
  if (isStuck || (state.unsure && isAsBefore)) {
    delete eni.look;
    sendLeave(draft, eni);
  } else {
    lookAgain(draft, eni);
  }
}

/** The kernel has it: a view that shows it anywhere else is late, or will be right in a moment, when the device goes. */
function disagree(draft: Draft, eni: KnownEni): void {
  eni.misses = 0;
  lookAgain(draft, eni, DISAGREEMENT_LOOK_MS);
}

/** Where the view may be older than the ENI itself, another one is waited for. */
function leaveIfSure(draft: Draft, eni: KnownEni, askedMs: number): void {
  if (isSurely(askedMs, eni.grewAtMs)) leaveToOthers(draft, eni);
  else lookAgain(draft, eni, DISAGREEMENT_LOOK_MS);
}

/**
 * The ENI is gone, or attached to another instance. Pods that are on it have lost their network; it stays in the pool, and
 * serves nobody, until they are gone.
 */
function leaveToOthers(draft: Draft, eni: KnownEni): void {
  const { id } = eni.facts;
  const { kind } = eni.state;
  const isLeaving = kind === "detaching" || kind === "deleting";
  if (!isLeaving && isBusy(eni)) {
    for (const [address, state] of eni.addresses) {
      if (state.kind === "used") {
        markLost(draft, eni, address);
        continue;
      }
      eni.addresses.delete(address);
      if (state.kind === "cooling") setAside(draft, address, state);
    }
    delete eni.look;
    delete eni.assigning;
    delete eni.unassigning;
    const wasReady = kind === "ready" || (eni.state.kind === "linking" && eni.state.wasReady === true);
    eni.state = {
      kind: "linking",
      sinceMs: draft.nowMs,
      rounds: 0,
      inUse: false,
      unsure: false,
      ...(wasReady && { wasReady: true }),
    };
    persist(draft, eni);
    if (eni.addresses.size > 0) return;
  }
  note(draft, "warn", `${id} is not ours any more: it was deleted, or attached to another instance`);
  onEniGone(draft, eni);
}

/** Has the ENI looked at where it is not where it should be in a list of everything that is attached. */
export function onUnlisted(draft: Draft, eni: KnownEni): void {
  const { kind } = eni.state;
  if (kind === "linking" || kind === "ready" || kind === "detaching") lookIn(draft, eni, 0);
}
