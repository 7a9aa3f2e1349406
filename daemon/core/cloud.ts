/**
 * The cloud as the core sees it: views of what is there, requests, and how a refusal is to be read.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../proto/addr6.ts";
import { type Cidr } from "../../proto/cidr.ts";
import { type Cidr6 } from "../../proto/cidr6.ts";
import { type Fault } from "../../proto/fault.ts";
import { type EniId, type InstanceId, type SecurityGroupId, type VSwitchId } from "../../proto/ids.ts";
import { type Result } from "../../proto/result.ts";
import { type Family } from "./ip-stack.ts";

/** `Status` of DescribeNetworkInterfaces. */
export type EniStatus = "Available" | "Attaching" | "InUse" | "Detaching" | "Deleting";

/** One NetworkInterfaceSet of DescribeNetworkInterfaces, or the answer of CreateNetworkInterface. */
export type EniView = {
  readonly id: EniId;
  readonly mac: Mac;
  readonly status: EniStatus;
  readonly type: "Primary" | "Secondary" | "Other";
  readonly vSwitch: VSwitchId;
  /** The instance it is (being) attached to. */
  readonly instance?: InstanceId;
  readonly primary: Ipv4;
  /** All private IPv4 addresses, the primary one included. */
  readonly addresses: readonly Ipv4[];
  /** Single IPv6 addresses; prefixes are not among them. */
  readonly addresses6: readonly Ipv6[];
  readonly securityGroups: readonly SecurityGroupId[];
  readonly tags: Readonly<Record<string, string>>;
  /** Managed by another service of the cloud: never ours. */
  readonly serviceManaged: boolean;
};

/** One VSwitch of DescribeVSwitches. */
export type VSwitchView = {
  readonly id: VSwitchId;
  readonly vpc: string;
  readonly zone: string;
  readonly cidr: Cidr;
  /** Absent: IPv6 is not enabled in the vSwitch. */
  readonly cidr6?: Cidr6;
  readonly availableAddresses: number;
};

/** What DescribeInstanceAttribute knows and the agent needs. */
export type InstanceView = {
  readonly id: InstanceId;
  readonly type: string;
  readonly zone: string;
  readonly vpc: string;
  readonly vSwitch: VSwitchId;
  readonly securityGroups: readonly SecurityGroupId[];
};

/**
 * How to go on after a failure:
 *
 * - "again": try again with the same token after a jittered back-off (throttling, conflicts, states in transition,
 *   no usable answer).
 * - "vswitch-full": the vSwitch has no address left; use another one and come back later.
 * - "eni-quota": the instance has as many ENIs as its type allows.
 * - "address-quota": the ENI has as many IPv4 addresses as the type allows.
 * - "address6-quota": the same for IPv6.
 * - "account-quota": a limit of the account or security group; long back-off.
 * - "gone": the thing named does not exist (any more, or not yet visible).
 * - "state": the ENI or instance is in a state that does not allow it; look, then decide.
 * - "new-token": the ClientToken cannot be used again.
 * - "configuration": a person has to change something (permissions, names, clock); retry at most once a minute.
 */
export type FailureClass =
  | "again"
  | "vswitch-full"
  | "eni-quota"
  | "address-quota"
  | "address6-quota"
  | "account-quota"
  | "gone"
  | "state"
  | "new-token"
  | "configuration";

export type CloudFailure = {
  readonly class: FailureClass;
  /** "unknown": the call may have had its effect (no usable answer). "none": the cloud refused, nothing changed. */
  readonly effect: "none" | "unknown";
  readonly fault: Fault;
  /** The cloud's own wish, milliseconds. */
  readonly retryAfterMs?: number;
};

export type CloudResult<Value> = Result<Value, CloudFailure>;

/** Which calls go first when the rate budget is short: the first one first. */
export type Priority = "pod" | "warm-up" | "release" | "describe";

export type CreateEni = {
  readonly token: string;
  readonly vSwitch: VSwitchId;
  readonly securityGroups: readonly SecurityGroupId[];
  /** Addresses beside the primary one, 0 to 49. */
  readonly secondaryCount: number;
  /** IPv6 addresses, 1 to 10; absent: none. */
  readonly count6?: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly resourceGroup?: string;
};

export type AssignAddresses = {
  readonly eni: EniId;
  readonly family: Family;
  /** 1 to 49, of IPv6 1 to 10. */
  readonly count: number;
  readonly token: string;
};

/** Every call is one attempt with a deadline; retries are the core's decision. */
export type Cloud = {
  /** CreateNetworkInterface. */
  createEni(request: CreateEni, priority: Priority): Promise<CloudResult<EniView>>;
  /** AttachNetworkInterface; success means accepted. */
  attachEni(eni: EniId, instance: InstanceId, priority: Priority): Promise<CloudResult<void>>;
  /** DescribeNetworkInterfaces, all pages. */
  describeEnis(query: EniQuery): Promise<CloudResult<readonly EniView[]>>;
  /** AssignPrivateIpAddresses or AssignIpv6Addresses, by count; the answer are the new addresses. */
  assignAddresses(request: AssignAddresses, priority: Priority): Promise<CloudResult<readonly IpAddress[]>>;
  /** UnassignPrivateIpAddresses or UnassignIpv6Addresses: the addresses are of one family. */
  unassignAddresses(eni: EniId, addresses: readonly IpAddress[]): Promise<CloudResult<void>>;
  /** DetachNetworkInterface; success means accepted. "gone" counts as success. */
  detachEni(eni: EniId, instance: InstanceId): Promise<CloudResult<void>>;
  /** DeleteNetworkInterface; success means accepted. "gone" counts as success. */
  deleteEni(eni: EniId): Promise<CloudResult<void>>;
  /** ModifyNetworkInterfaceAttribute: replaces the security groups. */
  setSecurityGroups(eni: EniId, groups: readonly SecurityGroupId[]): Promise<CloudResult<void>>;
  /** DescribeVSwitches: all of a zone of the VPC, or one by its id. */
  describeVSwitches(query: VSwitchQuery): Promise<CloudResult<readonly VSwitchView[]>>;
  /** DescribeInstanceAttribute. */
  describeInstance(instance: InstanceId): Promise<CloudResult<InstanceView>>;
};

export type EniQuery =
  | { readonly by: "instance"; readonly instance: InstanceId }
  | { readonly by: "ids"; readonly ids: readonly EniId[] }
  | { readonly by: "tags"; readonly tags: Readonly<Record<string, string>> };

export type VSwitchQuery =
  | { readonly by: "zone"; readonly vpc: string; readonly zone: string }
  | { readonly by: "id"; readonly id: VSwitchId };

/** Who this node is, from the metadata service (or DescribeInstanceAttribute where that is not reachable). */
export type NodeIdentity = {
  readonly instance: InstanceId;
  readonly instanceType: string;
  readonly region: string;
  readonly zone: string;
  readonly vpc: string;
  /** MAC of the primary ENI. */
  readonly primaryMac: Mac;
};
