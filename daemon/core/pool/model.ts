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
 * Where pods get pairs (`wantsPairs`), the IPv6 addresses of an ENI live beside its IPv4 addresses in the same states. A pod
 * takes one idle address of each family, and what one of the two goes through, the other goes through at the same time. So
 * the idle pairs of an ENI are as many as the family has that has fewer; the rest is incomplete, and serves nobody.
 *
 * All times are wall-clock milliseconds, because cooldowns outlive a restart.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../../proto/addr6.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { type Cidr } from "../../../proto/cidr.ts";
import { type Cidr6 } from "../../../proto/cidr6.ts";
import { type Fault } from "../../../proto/fault.ts";
import { type EniId, type InstanceId, type SecurityGroupId, type VSwitchId } from "../../../proto/ids.ts";
import {
  type CloudFailure,
  type CreateEni,
  type EniView,
  type Priority,
  type VSwitchView,
} from "../cloud.ts";
import { type Family, type IpStack } from "../ip-stack.ts";

export type AddressState =
  /** `sinceMs`: when the last pod's cooldown was over, or this run began to know it. Absent: no pod has had it. */
  | { readonly kind: "idle"; readonly sinceMs?: number }
  /** `lost`: the cloud does not list the address any more; it goes away with its pod. */
  | { readonly kind: "used"; readonly attachment: Attachment; readonly lost?: true }
  | { readonly kind: "cooling"; readonly untilMs: number }
  | { readonly kind: "unassigning" };

/** A call to the cloud: under way while `retryAtMs` is absent, else to be repeated then. `tries` counts its failures. */
export type Call = { readonly tries: number; readonly retryAtMs?: number };

/** When something in transition is looked at next, and how often it was looked at so far. */
export type Look = { readonly atMs: number; readonly tries: number };

/**
 * `sinceMs`: when the call was issued. `unsure`: its reply was lost, so what the cloud shows decides. `call`: absent once
 * it was accepted (or its reply was lost). `repeated`: an earlier call may have been accepted, and may still have its effect.
 */
type Leaving = {
  readonly sinceMs: number;
  readonly unsure: boolean;
  readonly call?: Call;
  readonly repeated?: true;
};

export type EniState =
  /** `unsure`: a reply was lost, so the ENI may exist: only the same token finds it. */
  | { readonly kind: "creating"; readonly request: CreateEni; readonly unsure: boolean; readonly call: Call }
  /** `rounds`: accepted attachments that failed afterwards. */
  | { readonly kind: "attaching"; readonly rounds: number; readonly call: Call }
  /**
   * `inUse`: the cloud has said so. `unsure`: the reply to Attach was lost. `relinkAtMs`: "link-eni" is given out (again)
   * then.
   */
  | {
      readonly kind: "linking";
      readonly sinceMs: number;
      readonly rounds: number;
      readonly inUse: boolean;
      readonly unsure: boolean;
      readonly relinkAtMs?: number;
      /** Its device was on the node before, and passed packets: where it is not, it was taken away. */
      readonly wasReady?: true;
    }
  /** `confirmed`: the cloud has said InUse. */
  | { readonly kind: "ready"; readonly ifIndex: number; readonly confirmed: boolean }
  | ({ readonly kind: "detaching" } & Leaving)
  | ({ readonly kind: "deleting" } & Leaving);

/** What is known once the cloud has made it. */
export type EniFacts = { readonly id: EniId; readonly mac: Mac; readonly primary: Ipv4 };

/** An AssignPrivateIpAddresses or AssignIpv6Addresses under way; at most one of both an ENI (Operation.Conflict). */
export type Assigning = {
  readonly family: Family;
  readonly token: string;
  readonly count: number;
  readonly unsure: boolean;
  readonly call: Call;
};

/**
 * The "unassigning" addresses are being given back, those of IPv4 first, then those of IPv6. `unsure`: not repeated, what the
 * cloud lists decides.
 */
export type Unassigning = { readonly unsure: boolean; readonly call: Call };

export type Eni = {
  /** 0, 1, 2 …; its key in `Pool.enis`, and what its routing table follows from. */
  readonly slot: number;
  readonly vSwitch: VSwitchId;
  readonly state: EniState;
  /** Absent only in "creating". */
  readonly facts?: EniFacts;
  /** Of both families. The idle ones stand in the order in which they became idle. */
  readonly addresses: ReadonlyMap<IpAddress, AddressState>;
  /** Used because of `adoptTags`, not made by us: never detached or deleted. */
  readonly borrowed?: true;
  readonly assigning?: Assigning;
  /** Present exactly while addresses are "unassigning". */
  readonly unassigning?: Unassigning;
  /** No more addresses are asked for before this time. */
  readonly assignAfterMs?: number;
  /**
   * That many addresses more were refused as too many (0: a reply was lost). A view that is fresh enough to tell is wanted,
   * and nothing is assigned before it.
   */
  readonly refused?: { readonly family: Family; readonly count: number };
  /** When its view is wanted; absent where nothing is in transition. */
  readonly look?: Look;
  /** Views in a row in which it was missing or not attached although it has to be. */
  readonly misses: number;
  /** When the cloud last answered a call that changes its addresses, or may have. */
  readonly changedAtMs?: number;
  /** When it last got an address, or was made: views that lag lack it. Absent: longer ago than any view lags. */
  readonly grewAtMs?: number;
  /** When it last lost an address: views that lag still list it. Absent: as above. */
  readonly shrankAtMs?: number;
};

/** A pod that waits for an address, oldest first in `Pool.waiting`. */
export type Waiter = {
  readonly attachment: Attachment;
  readonly sinceMs: number;
  readonly deadlineMs: number;
};

export type VSwitchState = {
  /** `availableAddresses` is kept up to date with what we take and give back between two views. */
  readonly view: VSwitchView;
  /** Not asked before `untilMs`, and why. */
  readonly block?: { readonly sinceMs: number; readonly untilMs: number; readonly fault: Fault };
};

export type PoolSettings = {
  readonly instance: InstanceId;
  readonly ipStack: IpStack;
  /** Idle addresses, or pairs of them: refilled below `idleMin`, given back above `idleMax`. */
  readonly idleMin: number;
  readonly idleMax: number;
  readonly cooldownMs: number;
  /** A surplus must last this long before it is given back, and so long an address must have been idle (its quarantine). */
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

/** What the instance type allows. */
export type Limits = {
  /** Secondary ENIs of the instance, those included that are not ours. */
  readonly enisMax: number;
  /** IPv4 addresses of one ENI, the primary one included. */
  readonly addressesPerEni: number;
  /** IPv6 addresses of one ENI; absent: as many. */
  readonly addresses6PerEni?: number;
};

/** Why no new ENI is made before `untilMs`; kept until one was made, so that the pauses grow. */
export type Inhibition = { readonly untilMs: number; readonly tries: number; readonly fault: Fault };

/** `slot`: where the ENI was, if a pod has the address; its routing table follows from it. */
export type Unplaced = { readonly state: AddressState; readonly slot?: number };

/** A hybrid node's block, or why it has none. `cidr6`: pods get an address of each. */
export type OwnBlock =
  | { readonly kind: "block"; readonly cidr: Cidr; readonly cidr6?: Cidr6 }
  /** For people: what is wrong and what to do. */
  | { readonly kind: "none"; readonly reason: string };

export type Pool = {
  readonly settings: PoolSettings;
  /** Present where addresses are of the node's block, and there is no cloud: see `block.ts`. */
  readonly block?: OwnBlock;
  readonly limits: Limits;
  /** The part of `limits` that refusals of the cloud taught: what is worth keeping. */
  readonly learnt: Partial<Limits>;
  /** In configured order. */
  readonly vSwitches: readonly VSwitchState[];
  /** A DescribeVSwitches is under way since then. */
  readonly vSwitchesAskedMs?: number;
  /** When the views of the vSwitches were new. */
  readonly vSwitchesSeenMs: number;
  readonly enis: ReadonlyMap<number, Eni>;
  /** When ENIs of ours were gone, as long as a view may still show them. */
  readonly departed: ReadonlyMap<EniId, number>;
  /** Secondary ENIs of the instance that are not ours, in the last view. */
  readonly foreign: number;
  /** Addresses that the store knows and whose ENI is not known (yet). */
  readonly unplaced: ReadonlyMap<IpAddress, Unplaced>;
  readonly waiting: readonly Waiter[];
  /** False until the cloud's view was seen once: before that nothing is created or given back. */
  readonly cloudSeen: boolean;
  /** A DescribeNetworkInterfaces is under way since `sinceMs`. */
  readonly describing?: { readonly sinceMs: number };
  /** When everything attached to the instance is listed next; `fault`: why the last time failed. */
  readonly survey: Look & { readonly fault?: CloudFailure };
  /** The instance refused one more ENI when it had so many, as far as we knew: the next survey counts them. */
  readonly refusedAtEnis?: number;
  /** Growth waits until `atMs` for more pods, so that one call serves them all. */
  readonly gathering?: { readonly sinceMs: number; readonly atMs: number };
  /** No new ENI before this time, and why. */
  readonly inhibited?: Inhibition;
  /** Most secondary addresses in one call, once a call was refused for asking too many. */
  readonly batchMax?: number;
  /** The same for IPv6 addresses. */
  readonly batch6Max?: number;
  /** The newest refusal that concerned growth, for the pod's event. */
  readonly lastFault?: Fault;
  readonly surplusSinceMs?: number;
  /** Nothing is given back before this time: the cloud refused. */
  readonly shrinkAfterMs?: number;
  /** State of the pseudo-random sequence (jitter, "random" policy, tokens). */
  readonly random: number;
};

export type DescribeScope =
  | { readonly by: "instance" }
  | { readonly by: "ids"; readonly ids: readonly EniId[] };

type OfEni = { readonly slot: number; readonly eni: EniId };

/**
 * Every event carries the time at which it is handled. Those about one ENI carry its id as well: an answer that comes
 * after the ENI left its slot is ignored.
 */
export type PoolEvent = { readonly nowMs: number } & (
  | { readonly kind: "add-requested"; readonly attachment: Attachment; readonly deadlineMs: number }
  /** The pod is gone (DEL done in the kernel), or its set-up failed and was undone. */
  | { readonly kind: "released"; readonly attachment: Attachment }
  | { readonly kind: "eni-created"; readonly slot: number; readonly view: EniView }
  | { readonly kind: "eni-create-failed"; readonly slot: number; readonly failure: CloudFailure }
  | ({ readonly kind: "attach-accepted" } & OfEni)
  | ({ readonly kind: "attach-failed"; readonly failure: CloudFailure } & OfEni)
  /** The device is there, configured, and the gateway answers. */
  | ({ readonly kind: "eni-linked"; readonly ifIndex: number } & OfEni)
  | ({ readonly kind: "eni-link-failed"; readonly fault: Fault } & OfEni)
  /** `scope`: "instance" lists everything attached to us; "ids" answers for the ids that were asked. */
  | {
      readonly kind: "described";
      readonly scope: DescribeScope;
      readonly views: readonly EniView[];
      /** Those whose device is on the node although `views` do not show them as attached to it. */
      readonly present?: readonly EniId[];
    }
  | { readonly kind: "describe-failed"; readonly scope: DescribeScope; readonly failure: CloudFailure }
  | { readonly kind: "vswitches-described"; readonly views: readonly VSwitchView[] }
  | { readonly kind: "vswitches-describe-failed"; readonly failure: CloudFailure }
  | ({ readonly kind: "assigned"; readonly addresses: readonly IpAddress[] } & OfEni)
  | ({ readonly kind: "assign-failed"; readonly failure: CloudFailure } & OfEni)
  | ({ readonly kind: "unassigned"; readonly addresses: readonly IpAddress[] } & OfEni)
  | ({
      readonly kind: "unassign-failed";
      readonly addresses: readonly IpAddress[];
      readonly failure: CloudFailure;
    } & OfEni)
  | ({ readonly kind: "detach-accepted" } & OfEni)
  | ({ readonly kind: "detach-failed"; readonly failure: CloudFailure } & OfEni)
  | ({ readonly kind: "delete-accepted" } & OfEni)
  | ({ readonly kind: "delete-failed"; readonly failure: CloudFailure } & OfEni)
  /** `hold`: the kernel uses them without a lease. `ask`, `survey`: what the API is to be asked for. */
  | {
      readonly kind: "reconciled";
      readonly hold: readonly IpAddress[];
      readonly ask: readonly EniId[];
      readonly survey: boolean;
    }
  /** Hybrid mode: what the node's block is now. */
  | { readonly kind: "block-set"; readonly own: OwnBlock }
  | { readonly kind: "ticked" }
);

/** What a pod has. `address6`: where it was given a pair. */
export type Granted = { readonly address: Ipv4; readonly address6?: Ipv6; readonly slot: number };

/** What the loop in daemon/agent.ts must do, in this order. Records ("persist-…", "forget-…") come first. */
export type PoolEffect =
  /** Write the ENI's record (`eniRecord()` of the new pool) durably, or remove it, before anything that follows. */
  | { readonly kind: "persist-eni"; readonly slot: number }
  | { readonly kind: "forget-eni"; readonly slot: number }
  /** `learnt` of the new pool. */
  | { readonly kind: "persist-limits" }
  /** Write or remove the cooldown of an address. */
  | { readonly kind: "persist-cooldown"; readonly address: IpAddress; readonly untilMs: number }
  | { readonly kind: "forget-cooldown"; readonly address: IpAddress }
  /** The attachment has this address now, or this pair. */
  | ({ readonly kind: "grant"; readonly attachment: Attachment } & Granted)
  | { readonly kind: "refuse"; readonly attachment: Attachment; readonly fault: Fault }
  | {
      readonly kind: "create-eni";
      readonly slot: number;
      readonly request: CreateEni;
      readonly priority: Priority;
    }
  | ({ readonly kind: "attach-eni"; readonly priority: Priority } & OfEni)
  /** Await the device and configure it; answered by "eni-linked" or "eni-link-failed". May come again for the same ENI. */
  | ({ readonly kind: "link-eni" } & OfEni)
  /** The ENI leaves: stop awaiting it, remove its table and rule. Comes before "detach-eni". */
  | ({ readonly kind: "unlink-eni" } & OfEni)
  | { readonly kind: "describe"; readonly scope: DescribeScope }
  | { readonly kind: "describe-vswitches" }
  | ({
      readonly kind: "assign";
      readonly family: Family;
      readonly count: number;
      readonly token: string;
      readonly priority: Priority;
    } & OfEni)
  | ({ readonly kind: "unassign"; readonly addresses: readonly IpAddress[] } & OfEni)
  | ({ readonly kind: "detach-eni" } & OfEni)
  | ({ readonly kind: "delete-eni" } & OfEni)
  /** A line for the log and the metrics: something worth a person's attention. */
  | { readonly kind: "note"; readonly level: "info" | "warn"; readonly text: string; readonly fault?: Fault };

/** `wakeAtMs`: send "ticked" at this time at the latest; absent where nothing is due. */
export type Step = {
  readonly pool: Pool;
  readonly effects: readonly PoolEffect[];
  readonly wakeAtMs?: number;
};
