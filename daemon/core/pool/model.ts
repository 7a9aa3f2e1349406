/**
 * The address pool of a node, as data: its ENIs, their addresses, who waits, what is under way.
 *
 * An ENI is in exactly one of these states:
 *
 * - "creating": CreateNetworkInterface under way (or to be repeated with the same token). It has no id yet.
 * - "attaching": created; AttachNetworkInterface under way or to be repeated.
 * - "linking": attach accepted (or its reply was lost); the device is awaited and configured.
 * - "ready": the device passes packets; its addresses serve pods.
 * - "detaching": no pod on it; DetachNetworkInterface under way, or accepted and not yet Available.
 * - "deleting": DeleteNetworkInterface under way, or accepted and not yet gone.
 *
 *     creating -> attaching -> linking -> ready -> detaching -> deleting -> (gone)
 *                     \___________\_______________/^             ^
 *                      \_________________________________________/
 *
 * An address of an ENI is in exactly one of these states:
 *
 * - "idle": nobody has it.
 * - "used": an attachment has it.
 * - "cooling": its attachment is gone; kept back until `untilMs`, so that nobody still talks to the old pod.
 * - "unassigning": the cloud was asked to take it back; never handed out again.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { type Fault } from "../../../proto/fault.ts";
import { type EniId, type InstanceId, type SecurityGroupId, type VSwitchId } from "../../../proto/ids.ts";
import {
  type CloudFailure,
  type CreateEni,
  type EniView,
  type Priority,
  type VSwitchView,
} from "../cloud.ts";

export type AddressState =
  | { readonly kind: "idle" }
  | { readonly kind: "used"; readonly attachment: Attachment }
  | { readonly kind: "cooling"; readonly untilMs: number }
  | { readonly kind: "unassigning" };

/** Retry bookkeeping of one call that failed: when next, how often so far. */
export type Retry = { readonly atMs: number; readonly tries: number };

export type EniState =
  | {
      readonly kind: "creating";
      readonly request: CreateEni;
      /** Absent while the call is under way. */
      readonly retry?: Retry;
    }
  | { readonly kind: "attaching"; readonly retry?: Retry; readonly tries: number }
  | { readonly kind: "linking"; readonly sinceMs: number; readonly tries: number }
  | { readonly kind: "ready"; readonly ifIndex: number; readonly confirmed: boolean }
  | { readonly kind: "detaching"; readonly accepted: boolean; readonly retry?: Retry; readonly tries: number }
  | { readonly kind: "deleting"; readonly accepted: boolean; readonly retry?: Retry; readonly tries: number };

/** What is known once the cloud has made it. */
export type EniFacts = { readonly id: EniId; readonly mac: Mac; readonly primary: Ipv4 };

/** An AssignPrivateIpAddresses under way; at most one an ENI (Operation.Conflict). */
export type Assigning = { readonly token: string; readonly count: number; readonly retry?: Retry };

export type Eni = {
  /** 0, 1, 2 …; its key in `Pool.enis`, and what its routing table follows from. */
  readonly slot: number;
  readonly vSwitch: VSwitchId;
  readonly state: EniState;
  /** Absent only in "creating". */
  readonly facts?: EniFacts;
  readonly addresses: ReadonlyMap<Ipv4, AddressState>;
  readonly assigning?: Assigning;
  /** When a refused UnassignPrivateIpAddresses is tried again. */
  readonly unassignRetry?: Retry;
};

/** A pod that waits for an address, oldest first in `Pool.waiting`. */
export type Waiter = {
  readonly attachment: Attachment;
  readonly sinceMs: number;
  readonly deadlineMs: number;
};

export type VSwitchState = {
  readonly view: VSwitchView;
  /** Exhausted: not asked again before this time. */
  readonly blockedUntilMs?: number;
  /** The cloud's words when it was found exhausted. */
  readonly fault?: Fault;
};

export type PoolSettings = {
  readonly instance: InstanceId;
  /** Idle addresses: refilled below `idleMin`, given back above `idleMax`. */
  readonly idleMin: number;
  readonly idleMax: number;
  readonly cooldownMs: number;
  /** A surplus must last this long before it is given back. */
  readonly settleMs: number;
  /** How long an exhausted vSwitch is left alone. */
  readonly vSwitchRetryMs: number;
  readonly vSwitchPolicy: "ordered" | "random" | "most";
  readonly eniPolicy: "most_ips" | "least_ips";
  readonly securityGroups: readonly SecurityGroupId[];
  readonly eniTags: Readonly<Record<string, string>>;
  readonly resourceGroup?: string;
  /** An ENI that was made for this node by us carries these. */
  readonly ownTags: Readonly<Record<string, string>>;
  /** ENIs of the instance with all these tags are used as well (eni_tag_filter). */
  readonly adoptTags?: Readonly<Record<string, string>>;
};

/** What the instance type allows; learnt values only ever lower it. */
export type Limits = {
  /** Secondary ENIs that pods may use. */
  readonly enisMax: number;
  /** Addresses of one ENI, the primary one included. */
  readonly addressesPerEni: number;
};

export type Pool = {
  readonly settings: PoolSettings;
  readonly limits: Limits;
  /** In configured order. */
  readonly vSwitches: readonly VSwitchState[];
  readonly enis: ReadonlyMap<number, Eni>;
  readonly waiting: readonly Waiter[];
  /** False until the cloud's view was seen once: before that nothing is created or given back. */
  readonly cloudSeen: boolean;
  /** A DescribeNetworkInterfaces is under way. */
  readonly describing: boolean;
  /** When to look again at ENIs in transition; absent where none is. */
  readonly describeAtMs?: number;
  /** No new ENI before this time, and why. */
  readonly inhibited?: { readonly untilMs: number; readonly fault: Fault };
  /** The newest refusal that concerned growth, for the pod's event. */
  readonly lastFault?: Fault;
  readonly surplusSinceMs?: number;
  /** State of the pseudo-random sequence (jitter, "random" policy, tokens). */
  readonly random: number;
};

/** Every event carries the time at which it is handled. */
export type PoolEvent = { readonly nowMs: number } & (
  | { readonly kind: "add-requested"; readonly attachment: Attachment; readonly deadlineMs: number }
  /** The pod is gone (DEL done in the kernel), or its set-up failed and was undone. */
  | { readonly kind: "released"; readonly attachment: Attachment }
  | { readonly kind: "eni-created"; readonly slot: number; readonly view: EniView }
  | { readonly kind: "eni-create-failed"; readonly slot: number; readonly failure: CloudFailure }
  | { readonly kind: "attach-accepted"; readonly slot: number }
  | { readonly kind: "attach-failed"; readonly slot: number; readonly failure: CloudFailure }
  /** The device is there, configured, and the gateway answers. */
  | { readonly kind: "eni-linked"; readonly slot: number; readonly ifIndex: number }
  | { readonly kind: "eni-link-failed"; readonly slot: number; readonly fault: Fault }
  /** `scope`: "instance" lists everything attached to us; "ids" answers for the ids that were asked. */
  | { readonly kind: "described"; readonly scope: DescribeScope; readonly views: readonly EniView[] }
  | { readonly kind: "describe-failed"; readonly scope: DescribeScope; readonly failure: CloudFailure }
  | { readonly kind: "vswitches-described"; readonly views: readonly VSwitchView[] }
  | { readonly kind: "assigned"; readonly slot: number; readonly addresses: readonly Ipv4[] }
  | { readonly kind: "assign-failed"; readonly slot: number; readonly failure: CloudFailure }
  | { readonly kind: "unassigned"; readonly slot: number; readonly addresses: readonly Ipv4[] }
  | {
      readonly kind: "unassign-failed";
      readonly slot: number;
      readonly addresses: readonly Ipv4[];
      readonly failure: CloudFailure;
    }
  | { readonly kind: "detach-accepted"; readonly slot: number }
  | { readonly kind: "detach-failed"; readonly slot: number; readonly failure: CloudFailure }
  | { readonly kind: "delete-accepted"; readonly slot: number }
  | { readonly kind: "delete-failed"; readonly slot: number; readonly failure: CloudFailure }
  | { readonly kind: "ticked" }
);

export type DescribeScope =
  | { readonly by: "instance" }
  | { readonly by: "ids"; readonly ids: readonly EniId[] };

/** What the loop in daemon/agent.ts must do, in this order: first all "persist", then the rest. */
export type PoolEffect =
  /** Write the ENI's record (see `records.ts`) durably, or remove it, before anything that follows. */
  | { readonly kind: "persist-eni"; readonly slot: number }
  | { readonly kind: "forget-eni"; readonly slot: number }
  /** Write or remove the cooldown of an address. */
  | { readonly kind: "persist-cooldown"; readonly address: Ipv4; readonly untilMs: number }
  | { readonly kind: "forget-cooldown"; readonly address: Ipv4 }
  | { readonly kind: "persist-limits" }
  /** The attachment has this address now. */
  | { readonly kind: "grant"; readonly attachment: Attachment; readonly address: Ipv4; readonly slot: number }
  | { readonly kind: "refuse"; readonly attachment: Attachment; readonly fault: Fault }
  | {
      readonly kind: "create-eni";
      readonly slot: number;
      readonly request: CreateEni;
      readonly priority: Priority;
    }
  | { readonly kind: "attach-eni"; readonly slot: number; readonly eni: EniId; readonly priority: Priority }
  /** Await the device and configure it; answered by "eni-linked" or "eni-link-failed". */
  | { readonly kind: "link-eni"; readonly slot: number }
  /** The ENI leaves: stop awaiting it, remove its table and rule. */
  | { readonly kind: "unlink-eni"; readonly slot: number }
  | { readonly kind: "describe"; readonly scope: DescribeScope }
  | { readonly kind: "describe-vswitches" }
  | {
      readonly kind: "assign";
      readonly slot: number;
      readonly eni: EniId;
      readonly count: number;
      readonly token: string;
      readonly priority: Priority;
    }
  | {
      readonly kind: "unassign";
      readonly slot: number;
      readonly eni: EniId;
      readonly addresses: readonly Ipv4[];
    }
  | { readonly kind: "detach-eni"; readonly slot: number; readonly eni: EniId }
  | { readonly kind: "delete-eni"; readonly slot: number; readonly eni: EniId }
  /** A line for the log and the metrics: something worth a person's attention. */
  | { readonly kind: "note"; readonly level: "info" | "warn"; readonly text: string; readonly fault?: Fault };

/** `wakeAtMs`: send "ticked" at this time at the latest; absent where nothing is due. */
export type Step = {
  readonly pool: Pool;
  readonly effects: readonly PoolEffect[];
  readonly wakeAtMs?: number;
};
