/**
 * A simulated VPC, and agents and pods on its first node: what the end-to-end tests share.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_TOPOLOGY_FILE } from "../../sim/model/topology-default.ts";
import { type TopologyFile } from "../../sim/model/topology.ts";
import { type AgentOptions } from "../harness/agent.ts";
import { confFor, createPod, deletePodNamespace, type Pod } from "../harness/pod.ts";
import { networkSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { type SimNode, type Simulator, simulatorUp } from "../harness/simulator.ts";

/** `10-terway.conf` of the ConfigMap. */
export const CNI_CONF = '{"cniVersion": "0.3.0", "name": "terway", "type": "terway"}';

/** The values of `eni_conf` that fit the default topology; waits are short. */
export const ENI_CONF: Readonly<Record<string, unknown>> = {
  version: "1",
  max_pool_size: 5,
  min_pool_size: 0,
  vswitches: { "cn-hangzhou-h": ["vsw-pods-h2"] },
  security_group: "sg-pods",
  vswitch_selection_policy: "ordered",
  address_cooldown: "1s",
};

export type OneNode = AsyncDisposable & {
  readonly simulator: Simulator;
  readonly node: SimNode;
  /** Of the test; removed in the end. */
  readonly directory: string;
  /** An agent of its own name with `eni_conf` as `ENI_CONF` and these changes. */
  readonly agent: (name: string, changes?: Readonly<Record<string, unknown>>) => AgentOptions;
  /** A pod's namespace, and the configuration that leads to the agent. Removed in the end. */
  readonly pod: (name: string, agent: AgentOptions) => Promise<Pod>;
  /** Links, addresses, rules, routes, nftables, forwarding of the node, and what the cloud holds. */
  readonly snapshot: () => Promise<Snapshot>;
};

/** `name` is a part of every name on the machine; `changes` are made to the default topology. */
export async function openOneNode(
  name: string,
  changes: Partial<TopologyFile> = {},
  args: readonly string[] = [],
): Promise<OneNode> {
  const directory = await mkdtemp(join(tmpdir(), "terway-e2e-"));
  const topology = join(directory, "topology.json");
  await writeFile(topology, JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, ...changes }));
  const simulator = await simulatorUp(name, [topology, ...args]);
  const [node] = simulator.nodes;
  if (node === undefined) throw new Error("the topology has no node");
  const pods: Pod[] = [];
  return {
    simulator,
    node,
    directory,
    agent: (own, eniChanges = {}) => ({
      namespace: node.namespace,
      directory: join(directory, own),
      eniConf: JSON.stringify({ ...ENI_CONF, ...eniChanges }, undefined, 2),
      cniConf: CNI_CONF,
      accessKeyId: simulator.accessKeyId,
      accessKeySecret: simulator.accessKeySecret,
      apiUrl: simulator.apiUrl,
    }),
    async pod(own, agent) {
      const conf = confFor(CNI_CONF, socketOf(agent));
      const pod = { name: own, namespace: `${name}-${own}`, containerId: `${own}-sandbox`, conf };
      await createPod(pod);
      pods.push(pod);
      return pod;
    },
    async snapshot() {
      const { vSwitches, enis } = await simulator.state();
      const cloud = {
        vSwitches: vSwitches.map(({ id, used }) => `${id}: ${used} used`),
        enis: enis.map(({ id, status, addresses }) => `${id} ${status} ${addresses.join(" ")}`),
        broken: await simulator.brokenInvariants(),
      };
      return {
        ...(await networkSnapshot(["ip", "netns", "exec", node.namespace])),
        ...Object.fromEntries(Object.entries(cloud).map(([title, lines]) => [title, lines.join("\n")])),
      };
    },
    async [Symbol.asyncDispose]() {
      for (const pod of pods) await deletePodNamespace(pod);
      try {
        await simulator.down();
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

export function socketOf(agent: AgentOptions): string {
  return join(agent.directory, "run/agent.sock");
}
