/**
 * A simulated VPC with many nodes for tests that run side by side: on each node an agent, pods, faults aimed at it, and in
 * the end the proof that nothing of it is left.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { filesOf } from "../../sim/cli/run-directory.ts";
import { type RecentCall } from "../../sim/model/calls.ts";
import { type TopologyFile } from "../../sim/model/topology.ts";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import {
  addPod,
  type Attached,
  confFor,
  createPod,
  deletePodNamespace,
  delPod,
  type Pod,
  plugin,
} from "../harness/pod.ts";
import { must, until } from "../harness/process.ts";
import {
  callReport,
  cloudState,
  enisOf,
  type SimEni,
  type SimNode,
  type Simulator,
  simulatorUp,
} from "../harness/simulator.ts";
import { differences, networkSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type NodeSpec, topologyOf, vSwitchesOf, ZONE } from "./topology.ts";

const CNI_CONF = `{"cniVersion": "0.3.0", "name": "terway", "type": "terway"}`;

/** The calls that the documented RAM policy allows. */
export const ELEVEN_ACTIONS: readonly string[] = [
  "AssignPrivateIpAddresses",
  "AttachNetworkInterface",
  "CreateNetworkInterface",
  "DeleteNetworkInterface",
  "DescribeInstanceAttribute",
  "DescribeInstances",
  "DescribeNetworkInterfaces",
  "DescribeVSwitches",
  "DetachNetworkInterface",
  "ModifyNetworkInterfaceAttribute",
  "UnassignPrivateIpAddresses",
];

export type Rig = {
  readonly simulator: Simulator;
  /**
   * Runs `work` on a node of its own and closes it, whatever happens; a failure shows the agent's log. One line for each
   * thing that is left in cloud or kernel.
   */
  readonly onNode: (
    name: string,
    work: (node: RigNode) => Promise<void>,
    options?: NodeOptions,
  ) => Promise<string[]>;
  /** Every action of the API that was called, sorted. */
  readonly actionsCalled: () => Promise<string[]>;
  /** Takes it down. One line for each thing that is left on the machine or broken in the cloud. */
  readonly close: () => Promise<string[]>;
};

export type NodeOptions = {
  /** Keys of `eni_conf` beside those that every test has. */
  readonly eniConf?: Readonly<Record<string, unknown>>;
  readonly key?: { readonly accessKeyId: string; readonly accessKeySecret: string };
};

/** What the plugin printed, and how long it took. */
export type Failed = {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
  readonly tookMs: number;
};

export type RigNode = {
  readonly node: SimNode;
  /** In configured order. */
  readonly vSwitches: readonly string[];
  readonly options: AgentOptions;
  readonly agent: () => Agent;
  readonly start: () => Promise<void>;
  /** A pod's namespace without an address. */
  readonly newPod: () => Promise<Pod>;
  /** ADD that has to succeed; then the pod has to reach the gateway of its vSwitch. */
  readonly add: (pod?: Pod) => Promise<{ readonly pod: Pod } & Attached>;
  /** ADD that has to fail. */
  readonly addFails: (pod?: Pod) => Promise<Failed>;
  readonly del: (pod: Pod) => Promise<void>;
  /** Secondary ENIs of the instance, or in its vSwitches, whoever has them. */
  readonly enis: () => Promise<SimEni[]>;
  /** Calls that concern the instance, its vSwitches or one of `ids`, oldest first. */
  readonly calls: (action: string, ids?: readonly string[]) => Promise<RecentCall[]>;
  /** `terway-sim fault …`. */
  readonly fault: (...words: readonly string[]) => Promise<string>;
  readonly canReach: (pod: Pod, address: string) => Promise<void>;
  /** Deletes its pods, stops the agent, drains. One line for each thing that is left in cloud or kernel. */
  readonly close: () => Promise<string[]>;
};

/** `name` is a part of every name on the machine; one with the process's number is nobody else's. */
export async function openRig(
  name: string,
  specs: readonly NodeSpec[],
  changes: Partial<TopologyFile> = {},
): Promise<Rig> {
  const hostBefore = await networkSnapshot([]);
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  const file = join(directory, "topology.json");
  await writeFile(file, JSON.stringify(topologyOf(specs, changes)));
  const simulator = await simulatorUp(name, [file]);
  return {
    simulator,
    async onNode(nodeName, work, options = {}) {
      const spec = specs.find((candidate) => candidate.name === nodeName);
      if (spec === undefined) throw new Error(`the topology has no node ${nodeName}`);
      const node = await openNode({ simulator, directory, spec, options });
      let left: string[] = [];
      try {
        await work(node).catch((error: unknown) => {
          throw new Error(`${String(error)}\n${node.agent().process.output()}`, { cause: error });
        });
      } finally {
        left = await node.close();
      }
      return left;
    },
    async actionsCalled() {
      const names = Object.keys((await callReport(name)).totals);
      return names.filter((called) => !called.startsWith("Metadata")).sort();
    },
    async close() {
      const broken = await simulator.down().then(
        () => [],
        (error: unknown) => [String(error)],
      );
      await rm(directory, { recursive: true, force: true });
      const namespaces = (await must("ip", ["netns"]))
        .split("\n")
        .filter((line) => line.startsWith(`${name}-`));
      const files = [filesOf(name).directory, directory].filter((path) => existsSync(path));
      return [...broken, ...namespaces, ...files, ...differences(hostBefore, await networkSnapshot([]))];
    },
  };
}

type Opening = {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly spec: NodeSpec;
  readonly options: NodeOptions;
};

function agentOptions({ simulator, directory, spec, options }: Opening, namespace: string): AgentOptions {
  const { accessKeyId, accessKeySecret } = options.key ?? simulator;
  const eniConf = {
    version: "1",
    max_pool_size: 0,
    min_pool_size: 0,
    vswitches: { [ZONE]: vSwitchesOf(spec) },
    eni_tags: { "ack.aliyun.com": "c-e2e" },
    security_group: "sg-pods",
    vswitch_selection_policy: "ordered",
    address_cooldown: "1s",
    ip_pool_sync_period: "5s",
    ...options.eniConf,
  };
  return {
    namespace,
    directory: join(directory, spec.name),
    eniConf: JSON.stringify(eniConf),
    cniConf: CNI_CONF,
    accessKeyId,
    accessKeySecret,
    apiUrl: simulator.apiUrl,
  };
}

async function openNode(opening: Opening): Promise<RigNode> {
  const { simulator, spec } = opening;
  const node = simulator.nodes.find(({ name }) => name === spec.name);
  if (node === undefined) throw new Error(`the topology has no node ${spec.name}`);
  const vSwitches = vSwitchesOf(spec);
  const options = agentOptions(opening, node.namespace);
  const before = await networkSnapshot(["ip", "netns", "exec", node.namespace]);
  await prepareAgent(options);
  let agent = await startAgent(options);
  const pods = new Set<Pod>();
  let made = 0;
  const newPod = async (): Promise<Pod> => {
    made += 1;
    const name = `${spec.name}-p${made}`;
    const namespace = `${simulator.name}-${name}`;
    const pod: Pod = {
      name,
      namespace,
      containerId: `${name}-sandbox`,
      conf: confFor(CNI_CONF, agent.socketPath),
    };
    await createPod(pod);
    pods.add(pod);
    return pod;
  };
  const enis = async (): Promise<SimEni[]> =>
    (await cloudEnis(simulator.name)).filter(
      (eni) => !eni.isPrimary && (eni.instance === node.instance || vSwitches.includes(eni.vSwitch)),
    );
  const self: RigNode = {
    node,
    vSwitches,
    options,
    enis,
    newPod,
    agent: () => agent,
    async start() {
      agent = await startAgent(options);
    },
    async add(given) {
      const pod = given ?? (await newPod());
      const attached = await addPod(pod);
      const vSwitch = (await enis()).find(({ addresses }) => addresses.includes(attached.address))?.vSwitch;
      await self.canReach(pod, simulator.gateways[vSwitch ?? ""] ?? `the gateway of ${attached.address}`);
      return { pod, ...attached };
    },
    async addFails(given) {
      const ran = await plugin("ADD", given ?? (await newPod()));
      const { code, msg, details } = CNI_ERROR.parse(JSON.parse(ran.stdout));
      return { code, msg, details, tookMs: ran.tookMs };
    },
    async del(pod) {
      await delPod(pod);
      await deletePodNamespace(pod);
      pods.delete(pod);
    },
    async calls(action, ids = []) {
      const names = new Set([node.instance, ...vSwitches, ...ids]);
      const { recent } = await callReport(simulator.name);
      return recent.filter(
        (call) => call.action === action && Object.values(call.parameters).some((value) => names.has(value)),
      );
    },
    fault: (...words) => simulator.call("fault", ...words),
    async canReach(pod, address) {
      // The data plane follows the API's answer a little later.
      await until(
        `${pod.name} reaches ${address}`,
        async () => (await ping(pod.namespace, address)).received === 3,
        3000,
      );
    },
    async close() {
      try {
        for (const pod of pods) await self.del(pod);
      } finally {
        await agent.stop();
      }
      const drained = await drainAgent(options);
      const left = (await enis()).map((eni) => `${eni.id} in ${eni.vSwitch}: ${eni.status}\n${drained}`);
      return [...left, ...(await changesOf(node, before))];
    },
  };
  return self;
}

async function changesOf(node: SimNode, before: Snapshot): Promise<string[]> {
  return differences(before, await networkSnapshot(["ip", "netns", "exec", node.namespace]));
}

const CNI_ERROR = z.looseObject({ code: z.number(), msg: z.string(), details: z.string().default("") });

async function cloudEnis(name: string): Promise<SimEni[]> {
  return enisOf(await cloudState(name));
}
