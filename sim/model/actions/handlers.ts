/**
 * Who handles which action, and how long it takes.
 *
 * @module
 */
import { type Action } from "../action-names.ts";
import { type LatencyName } from "../latencies.ts";
import { assignPrivateIpAddresses, unassignPrivateIpAddresses } from "./addresses.ts";
import { attachNetworkInterface, deleteNetworkInterface, detachNetworkInterface } from "./attach.ts";
import { createNetworkInterface } from "./create.ts";
import { describeNetworkInterfaces } from "./describe-enis.ts";
import { describeInstanceAttribute, describeInstances, describeInstanceTypes } from "./describe-instances.ts";
import { describeVSwitches } from "./describe-vswitches.ts";
import { modifyNetworkInterfaceAttribute } from "./modify.ts";
import { assignIpv6Addresses, unassignIpv6Addresses } from "./ipv6-addresses.ts";
import { type Handler } from "./outcome.ts";

/** How an action is carried out. */
export type ActionRule = {
  readonly handle: Handler;
  /** From the call to its answer. */
  readonly latency: LatencyName;
  /** Takes a ClientToken. */
  readonly idempotent?: true;
  /** RegionId may be absent. */
  readonly anyRegion?: true;
};

/** The rule of each action. */
export const ACTION_RULES: Readonly<Record<Action, ActionRule>> = {
  CreateNetworkInterface: { handle: createNetworkInterface, latency: "create", idempotent: true },
  AttachNetworkInterface: { handle: attachNetworkInterface, latency: "attach" },
  DescribeNetworkInterfaces: { handle: describeNetworkInterfaces, latency: "describe" },
  AssignPrivateIpAddresses: { handle: assignPrivateIpAddresses, latency: "assign", idempotent: true },
  UnassignPrivateIpAddresses: { handle: unassignPrivateIpAddresses, latency: "unassign" },
  AssignIpv6Addresses: { handle: assignIpv6Addresses, latency: "assign", idempotent: true },
  UnassignIpv6Addresses: { handle: unassignIpv6Addresses, latency: "unassign" },
  DetachNetworkInterface: { handle: detachNetworkInterface, latency: "detach" },
  DeleteNetworkInterface: { handle: deleteNetworkInterface, latency: "delete" },
  ModifyNetworkInterfaceAttribute: { handle: modifyNetworkInterfaceAttribute, latency: "modify" },
  DescribeInstanceAttribute: { handle: describeInstanceAttribute, latency: "describe", anyRegion: true },
  DescribeInstances: { handle: describeInstances, latency: "describe" },
  DescribeInstanceTypes: { handle: describeInstanceTypes, latency: "describe", anyRegion: true },
  DescribeVSwitches: { handle: describeVSwitches, latency: "describe" },
};
