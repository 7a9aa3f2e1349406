/**
 * `step` is the whole pool: the next state and what to do about it. It reads no clock, touches no network and keeps nothing
 * between calls.
 *
 * @module
 */
import {
  onAssigned,
  onAssignFailed,
  onUnassigned,
  onUnassignFailed,
  repeatAssign,
  sendUnassign,
} from "./assign.ts";
import { onBlockSet, settleBlocks } from "./block.ts";
import { type Draft, edit, isKnown, type KnownEni, openDraft } from "./draft.ts";
import {
  onAttachAccepted,
  onAttachFailed,
  onCreated,
  onCreateFailed,
  onLinked,
  onLinkFailed,
  repeatAttach,
  repeatCreate,
} from "./eni-create.ts";
import { onLeaveAccepted, onLeaveFailed, sendLeave } from "./eni-leave.ts";
import { complete, gather, grow } from "./grow.ts";
import { onReconciled } from "./reconciled.ts";
import { refuseHopeless } from "./hope.ts";
import { type Call, type Pool, type PoolEffect, type PoolEvent, type Step } from "./model.ts";
import { enqueue, release, serve, thaw } from "./serve.ts";
import { shrink } from "./shrink.ts";
import { look, onDescribed, onDescribeFailed } from "./survey.ts";
import { lookAtVSwitches, onVSwitchesDescribed, onVSwitchesDescribeFailed } from "./vswitch.ts";
import { wakeTime } from "./wake.ts";

/**
 * The next state, what to do (records first), and when to send "ticked". Every effect that is a call has to be answered by
 * its event exactly once; answers that come too late are ignored.
 */
export function step(pool: Pool, event: PoolEvent): Step {
  const draft = openDraft(pool, event.nowMs);
  take(draft, event);
  thaw(draft);
  settleBlocks(draft);
  serve(draft);
  repeatCalls(draft);
  look(draft);
  lookAtVSwitches(draft);
  if (event.kind === "add-requested" && pool.cloudSeen) gather(draft);
  complete(draft);
  grow(draft);
  refuseHopeless(draft);
  shrink(draft);
  const wakeAtMs = wakeTime(draft.pool, draft.nowMs);
  return {
    pool: draft.pool,
    effects: recordsFirst(draft.effects),
    ...(wakeAtMs === undefined ? {} : { wakeAtMs }),
  };
}

function take(draft: Draft, event: PoolEvent): void {
  switch (event.kind) {
    case "add-requested":
      return enqueue(draft, event.attachment, event.deadlineMs);
    case "released":
      return release(draft, event.attachment);
    case "eni-created":
      return onCreated(draft, event.slot, event.view);
    case "eni-create-failed":
      return onCreateFailed(draft, event.slot, event.failure);
    case "attach-accepted":
      return onAttachAccepted(draft, event.slot, event.eni);
    case "attach-failed":
      return onAttachFailed(draft, event.slot, event.eni, event.failure);
    case "eni-linked":
      return onLinked(draft, event.slot, event.eni, event.ifIndex);
    case "eni-link-failed":
      return onLinkFailed(draft, event.slot, event.eni, event.fault);
    case "described":
      return onDescribed(draft, event);
    case "describe-failed":
      return onDescribeFailed(draft, event.scope, event.failure);
    case "vswitches-described":
      return onVSwitchesDescribed(draft, event.views);
    case "vswitches-describe-failed":
      return onVSwitchesDescribeFailed(draft, event.failure);
    case "assigned":
      return onAssigned(draft, event.slot, event.eni, event.addresses);
    case "assign-failed":
      return onAssignFailed(draft, event.slot, event.eni, event.failure);
    case "unassigned":
      return onUnassigned(draft, event.slot, event.eni, event.addresses);
    case "unassign-failed":
      return onUnassignFailed(draft, event.slot, event.eni, event.failure);
    case "detach-accepted":
      return onLeaveAccepted(draft, event.slot, event.eni, "detaching");
    case "detach-failed":
      return onLeaveFailed(draft, event.slot, event.eni, { kind: "detaching", failure: event.failure });
    case "delete-accepted":
      return onLeaveAccepted(draft, event.slot, event.eni, "deleting");
    case "delete-failed":
      return onLeaveFailed(draft, event.slot, event.eni, { kind: "deleting", failure: event.failure });
    case "reconciled":
      return onReconciled(draft, event);
    case "block-set":
      return onBlockSet(draft, event.own);
    case "ticked":
      return;
    default:
      return event satisfies never;
  }
}

/** Sends the calls whose back-off is over. Nothing is created or given back before the cloud's view was seen. */
function repeatCalls(draft: Draft): void {
  const { nowMs, pool } = draft;
  const isDue = (call: Call | undefined): boolean =>
    pool.cloudSeen && call?.retryAtMs !== undefined && call.retryAtMs <= nowMs;
  for (const { state, assigning, unassigning, slot } of pool.enis.values()) {
    const isRelinkDue =
      state.kind === "linking" && state.relinkAtMs !== undefined && state.relinkAtMs <= nowMs;
    const isStateDue = "call" in state && isDue(state.call);
    if (!isRelinkDue && !isStateDue && !isDue(assigning?.call) && !isDue(unassigning?.call)) continue;
    const eni = edit(draft, slot);
    if (eni === undefined) continue;
    if (eni.state.kind === "creating") repeatCreate(draft, eni);
    if (!isKnown(eni)) continue;
    if (isDue(eni.assigning?.call)) repeatAssign(draft, eni);
    if (isDue(eni.unassigning?.call)) sendUnassign(draft, eni);
    if (isStateDue) repeatState(draft, eni);
    if (isRelinkDue) relink(draft, eni);
  }
}

function repeatState(draft: Draft, eni: KnownEni): void {
  if (eni.state.kind === "attaching") repeatAttach(draft, eni);
  else sendLeave(draft, eni);
}

function relink(draft: Draft, eni: KnownEni): void {
  if (eni.state.kind !== "linking") return;
  const { relinkAtMs: _, ...state } = eni.state;
  eni.state = state;
  draft.effects.push({ kind: "link-eni", slot: eni.slot, eni: eni.facts.id });
}

function recordsFirst(effects: readonly PoolEffect[]): PoolEffect[] {
  return [...effects.filter(isRecord), ...effects.filter((effect) => !isRecord(effect))];
}

function isRecord({ kind }: PoolEffect): boolean {
  return kind.startsWith("persist-") || kind.startsWith("forget-");
}
