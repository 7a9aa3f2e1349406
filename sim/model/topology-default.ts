/**
 * The topology that is used when no file is given: two zones with a node each, three vSwitches for the pods of which
 * the first is small, and a credential with exactly the permissions that the product asks for.
 *
 * @module
 */
import { type TopologyFile } from "./topology.ts";

/** The permissions of the product's documentation: eleven actions. */
export const DOCUMENTED_POLICY = {
  Version: "1" as const,
  Statement: [
    {
      Action: [
        "ecs:CreateNetworkInterface",
        "ecs:DescribeNetworkInterfaces",
        "ecs:AttachNetworkInterface",
        "ecs:DetachNetworkInterface",
        "ecs:DeleteNetworkInterface",
        "ecs:DescribeInstanceAttribute",
        "ecs:AssignPrivateIpAddresses",
        "ecs:UnassignPrivateIpAddresses",
        "ecs:DescribeInstances",
        "ecs:ModifyNetworkInterfaceAttribute",
      ],
      Resource: ["*"],
      Effect: "Allow" as const,
    },
    { Action: ["vpc:DescribeVSwitches"], Resource: ["*"], Effect: "Allow" as const },
  ],
};

/** What IPv6 needs beside: two actions that are not in the product's documentation. */
export const IPV6_POLICY = {
  Version: "1" as const,
  Statement: [
    ...DOCUMENTED_POLICY.Statement,
    {
      Action: ["ecs:AssignIpv6Addresses", "ecs:UnassignIpv6Addresses"],
      Resource: ["*"],
      Effect: "Allow" as const,
    },
  ],
};

/** The default topology as a file, so that it can be printed and edited. */
export const DEFAULT_TOPOLOGY_FILE: TopologyFile = {
  region: "cn-hangzhou",
  zones: ["cn-hangzhou-h", "cn-hangzhou-i"],
  vpc: { id: "vpc-demo", cidr: "10.10.0.0/16" },
  securityGroups: ["sg-pods"],
  vSwitches: [
    { id: "vsw-pods-h1", zone: "cn-hangzhou-h", cidr: "10.10.16.0/28" },
    { id: "vsw-pods-h2", zone: "cn-hangzhou-h", cidr: "10.10.32.0/20" },
    { id: "vsw-pods-i1", zone: "cn-hangzhou-i", cidr: "10.10.48.0/20" },
    { id: "vsw-nodes-h", zone: "cn-hangzhou-h", cidr: "10.10.0.0/24" },
    { id: "vsw-nodes-i", zone: "cn-hangzhou-i", cidr: "10.10.1.0/24" },
  ],
  instances: [
    {
      id: "i-node-1",
      name: "node-1",
      type: "ecs.g7.xlarge",
      zone: "cn-hangzhou-h",
      vSwitch: "vsw-nodes-h",
      address: "10.10.0.11",
      securityGroups: ["sg-nodes"],
    },
    {
      id: "i-node-2",
      name: "node-2",
      type: "ecs.g7.xlarge",
      zone: "cn-hangzhou-i",
      vSwitch: "vsw-nodes-i",
      address: "10.10.1.12",
      securityGroups: ["sg-nodes"],
    },
  ],
  policies: { terway: DOCUMENTED_POLICY },
  credentials: [
    { accessKeyId: "LTAI5tSimulatedVpcKey", accessKeySecret: "simulated-vpc-secret", policy: "terway" },
  ],
  ramRole: { name: "terway-node", policy: "terway" },
};

/**
 * The default topology with IPv6: a network for each vSwitch, an address for each node, and the two permissions more.
 * The vSwitches share a /56, as in a VPC of the cloud.
 */
export const DUAL_STACK_TOPOLOGY_FILE: TopologyFile = {
  ...DEFAULT_TOPOLOGY_FILE,
  vSwitches: DEFAULT_TOPOLOGY_FILE.vSwitches.map((vSwitch, index) => ({
    ...vSwitch,
    ipv6Cidr: `fd00:10:0:${index + 1}::/64`,
  })),
  instances: DEFAULT_TOPOLOGY_FILE.instances.map((instance, index) => ({
    ...instance,
    ipv6Address: `fd00:10:0:${index + 4}::1${index + 1}`,
  })),
  policies: { terway: IPV6_POLICY },
};
