/**
 * Topologies for tests: one zone, as many nodes as there are cases, each with vSwitches of its own, so that a fault can be
 * aimed at one of them while others run beside it.
 *
 * @module
 */
import { DOCUMENTED_POLICY } from "../../sim/model/topology-default.ts";
import { type TopologyFile } from "../../sim/model/topology.ts";

export const ZONE = "cn-hangzhou-h";

/** An access key without the permission to create ENIs. */
export const KEY_WITHOUT_CREATE = { accessKeyId: "LTAI5tWithoutCreate", accessKeySecret: "without-create" };

/** Latencies of what a test waits for only to see that nothing is left. */
export const QUICK_RELEASE = {
  detachDone: { minMs: 300, maxMs: 600 },
  deleteDone: { minMs: 200, maxMs: 400 },
} as const;

export type NodeSpec = {
  /** Of the node; its vSwitches are called after it. */
  readonly name: string;
  /** `ecs.g7.xlarge`: 4 ENIs with 15 addresses. */
  readonly type?: string;
  /** Addresses that each vSwitch has; two vSwitches of a /24 where absent. */
  readonly vSwitches?: readonly number[];
};

const MOST_ADDRESSES = 252;

/** `vsw-NAME-a`, `vsw-NAME-b`, …: in the order of the configuration. */
export function vSwitchesOf(spec: NodeSpec): readonly string[] {
  return (spec.vSwitches ?? [MOST_ADDRESSES, MOST_ADDRESSES]).map(
    (_, index) => `vsw-${spec.name}-${"abcdefgh"[index]}`,
  );
}

export function topologyOf(specs: readonly NodeSpec[], changes: Partial<TopologyFile> = {}): TopologyFile {
  const [reads, ...rest] = DOCUMENTED_POLICY.Statement;
  if (reads === undefined) throw new Error("the documented policy has no statement");
  const withoutCreate = reads.Action.filter((action) => action !== "ecs:CreateNetworkInterface");
  return {
    region: "cn-hangzhou",
    zones: [ZONE],
    vpc: { id: "vpc-e2e", cidr: "10.0.0.0/8" },
    securityGroups: ["sg-pods"],
    vSwitches: [
      { id: "vsw-nodes", zone: ZONE, cidr: "10.10.0.0/24" },
      ...specs.flatMap((spec, node) =>
        vSwitchesOf(spec).map((id, index) => ({
          id,
          zone: ZONE,
          cidr: `10.${20 + node}.${index}.0/24`,
          availableAddresses: spec.vSwitches?.[index] ?? MOST_ADDRESSES,
        })),
      ),
    ],
    instances: specs.map(({ name, type = "ecs.g7.xlarge" }) => ({
      id: `i-${name}`,
      name,
      type,
      zone: ZONE,
      vSwitch: "vsw-nodes",
      securityGroups: ["sg-nodes"],
    })),
    policies: {
      terway: DOCUMENTED_POLICY,
      "without-create": {
        Version: "1",
        Statement: [{ ...reads, Action: withoutCreate }, ...rest],
      },
    },
    credentials: [
      { accessKeyId: "LTAI5tSimulatedVpcKey", accessKeySecret: "simulated-vpc-secret", policy: "terway" },
      { ...KEY_WITHOUT_CREATE, policy: "without-create" },
    ],
    ...changes,
  };
}
