/**
 * The cloud that the benchmark measures against: one node, and delays that do not vary. Pure.
 *
 * @module
 */
import { type LatencyName } from "../sim/model/latencies.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../sim/model/topology-default.ts";
import { type TopologyFile } from "../sim/model/topology.ts";

/** Milliseconds. What a pod's first address has to wait for is subtracted from wall time to give own time. */
export const DELAY_MS = {
  create: 450,
  attach: 200,
  assign: 600,
  unassign: 600,
  detach: 200,
  delete: 200,
  modify: 75,
  describe: 75,
  refuse: 75,
  attachLink: 1750,
  attachInUse: 1750 + 450,
  attachMetadata: 1750 + 850,
  detachDone: 1800,
  deleteDone: 1050,
  dataPlane: 0,
  metadata: 850,
  visibility: 0,
  addressHoldOff: 2000,
} as const satisfies Record<LatencyName, number>;

/** vSwitch of the pods, with room for all of them, and its zone. */
export const POD_VSWITCH = "vsw-pods-h2";
const ZONE = "cn-hangzhou-h";

/** What the row needs of the cloud. */
export type CloudSettings = {
  readonly instanceType: string;
  /** Is the cloud a part of what is measured? Else it answers at once. */
  readonly delays: boolean;
};

/** 3 ENIs for pods with 15 addresses each. */
export const SMALL_NODE: CloudSettings = { instanceType: "ecs.g7.xlarge", delays: true };

/** 14 ENIs for pods with 30 addresses each. */
export const LARGE_NODE: CloudSettings = { instanceType: "ecs.g7.32xlarge", delays: false };

/** The built-in topology with its first node alone. */
export function benchTopology(cloud: CloudSettings): TopologyFile {
  const latencies = Object.fromEntries(
    Object.entries(DELAY_MS).map(([name, ms]) => {
      const delayMs = cloud.delays ? ms : Math.min(ms, 1);
      return [name, { minMs: delayMs, maxMs: delayMs }];
    }),
  );
  const instances = DEFAULT_TOPOLOGY_FILE.instances
    .slice(0, 1)
    .map((instance) => ({ ...instance, type: cloud.instanceType }));
  return { ...DEFAULT_TOPOLOGY_FILE, instances, latencies };
}

/** `min_pool_size`, `max_pool_size` and `address_cooldown` of `eni_conf`. */
export type PoolSettings = { readonly idleMin: number; readonly idleMax: number; readonly cooldown: string };

/** The pool of the ConfigMap as it is shipped, without cooldown: upstream has none. */
export const SHIPPED_POOL: PoolSettings = { idleMin: 0, idleMax: 5, cooldown: "0s" };

/** All addresses that a large node has, from the start: nothing waits for the cloud. */
export const FULL_POOL: PoolSettings = { idleMin: 100, idleMax: 420, cooldown: "0s" };

/** Text of `eni_conf`. */
export function eniConf(pool: PoolSettings): string {
  return JSON.stringify({
    version: "1",
    min_pool_size: pool.idleMin,
    max_pool_size: pool.idleMax,
    address_cooldown: pool.cooldown,
    vswitches: { [ZONE]: [POD_VSWITCH] },
    eni_tags: { "ack.aliyun.com": "c-bench" },
    service_cidr: "172.21.0.0/20",
    security_group: "sg-pods",
    vswitch_selection_policy: "ordered",
  });
}

/** Text of `10-terway.conf`. */
export const CNI_CONF = JSON.stringify({ cniVersion: "0.3.0", name: "terway", type: "terway" });
