/**
 * A simulated VPC with nodes whose agents can be killed, each with a pod that talks all the while.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drainAgent, type AgentOptions } from "../harness/agent.ts";
import { confFor, deletePodNamespace, type Pod } from "../harness/pod.ts";
import { allEnded, must } from "../harness/process.ts";
import { type Simulator, simulatorUp } from "../harness/simulator.ts";
import { differences, networkSnapshot } from "../harness/snapshot.ts";
import { pingStream } from "../harness/traffic.ts";
import { topologyOf, vSwitchesOf, ZONE } from "../e2e/topology.ts";
import { type Bug } from "./bugs.ts";
import { buildKillable } from "./build.ts";
import { type KillNode, openKillNode } from "./node.ts";

/** How much an instance holds, so that a scenario needs what it is about. */
export type Size = {
  /** ENIs, the primary one included, and addresses of each. */
  readonly enis: number;
  readonly addresses: number;
  /** `max_pool_size`. */
  readonly idleMax: number;
  /** `address_cooldown`. */
  readonly cooldownMs: number;
  /** Namespaces of pods, of which the first one talks; three where absent. */
  readonly pods?: number;
};

export type NodeSize = Size & {
  /** Which bug its agent has. */
  readonly bug?: Bug;
};

export type Lab = AsyncDisposable & {
  /**
   * Runs `work` on a node with an agent and one pod that talks: what was wrong. Every node is used once.
   */
  readonly onNode: (
    name: string,
    work: (node: KillNode) => Promise<readonly string[]>,
  ) => Promise<readonly string[]>;
};

const CNI_CONF = '{"cniVersion": "0.3.0", "name": "terway", "type": "terway"}';
const PODS = 3;
/** A cloud that does not keep anybody waiting; the order of what it does stays. */
const LATENCIES = Object.fromEntries(
  Object.entries({
    create: 30,
    attach: 20,
    assign: 30,
    unassign: 30,
    detach: 20,
    delete: 20,
    modify: 10,
    describe: 5,
    refuse: 5,
    attachLink: 60,
    attachInUse: 60,
    attachMetadata: 60,
    detachDone: 60,
    deleteDone: 40,
    dataPlane: 5,
    metadata: 20,
    visibility: 5,
    addressHoldOff: 200,
  }).map(([name, ms]) => [name, { minMs: ms, maxMs: 2 * ms }]),
);

export type LabOptions = {
  /** Part of every name on the machine. */
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSize>>;
};

export async function openLab({ name, nodes }: LabOptions): Promise<Lab> {
  const before = await networkSnapshot([]);
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  const specs = Object.keys(nodes).map((node) => ({ name: node, type: `ecs.kill.${node}` }));
  const topology = topologyOf(specs, {
    instanceTypes: Object.fromEntries(
      Object.entries(nodes).map(([node, { enis, addresses }]) => [
        `ecs.kill.${node}`,
        { eniQuantity: enis, eniPrivateIpAddressQuantity: addresses },
      ]),
    ),
    latencies: LATENCIES,
  });
  const file = join(directory, "topology.json");
  await writeFile(file, JSON.stringify(topology));
  const agent = await buildKillable(join(directory, "agent"));
  const simulator = await simulatorUp(name, [file]);
  if (Object.values(nodes).some(({ bug }) => bug !== undefined)) simulator.breaks("eni-without-owner");
  return {
    onNode: (node, work) => onNode({ simulator, directory, node, size: sizeOf(nodes, node), agent }, work),
    async [Symbol.asyncDispose]() {
      await simulator.down();
      await rm(directory, { recursive: true, force: true });
      const namespaces = (await must("ip", ["netns"]))
        .split("\n")
        .filter((line) => line.startsWith(`${name}-`));
      const left = [...namespaces, ...differences(before, await networkSnapshot([]))];
      if (left.length > 0) throw new Error(`left on the machine:\n${left.join("\n")}`);
    },
  };
}

function sizeOf(nodes: LabOptions["nodes"], name: string): NodeSize {
  const size = nodes[name];
  if (size === undefined) throw new Error(`the lab has no node ${name}`);
  return size;
}

type Opening = {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly node: string;
  readonly size: NodeSize;
  /** Path of its program. */
  readonly agent: string;
};

async function onNode(
  opening: Opening,
  work: (node: KillNode) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const { simulator, size } = opening;
  const options = agentOptions(opening);
  const [vSwitch = ""] = vSwitchesOf({ name: opening.node });
  const gateway = simulator.gateways[vSwitch] ?? "";
  const names = Array.from(
    { length: size.pods ?? PODS },
    (_, at) => `${simulator.name}-${opening.node}-p${at}`,
  );
  const node = simulator.nodes.find(({ name }) => name === opening.node);
  if (node === undefined) throw new Error(`the topology has no node ${opening.node}`);
  const stateDir = join(options.directory, "state");
  const killNode = await openKillNode({
    place: { simulator: simulator.name, node, stateDir, pods: names },
    options,
    gateway,
    conf: confFor(CNI_CONF, join(options.directory, "run/agent.sock")),
    ...(size.idleMax === 1 && { cooldownMs: size.cooldownMs }),
  });
  let left: readonly string[] = [];
  const talker = killNode.sandbox(0);
  try {
    left = await withTalker(killNode, talker, gateway, work).catch((error: unknown) => {
      throw new Error(`${opening.node}: ${String(error)}\n${killNode.output()}`, { cause: error });
    });
    await killNode.del(talker);
  } finally {
    await killNode.stop();
    const drained = await drainAgent(options).catch(String);
    const pods = names.map((namespace): Pod => ({ name: "", namespace, containerId: "", conf: "" }));
    await allEnded(pods.map(deletePodNamespace));
    if (left.length > 0) left = [...left, drained];
  }
  return left;
}

async function withTalker(
  node: KillNode,
  talker: Pod,
  gateway: string,
  work: (node: KillNode) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  await node.start(0);
  await node.add(talker);
  const stream = pingStream(talker.namespace, gateway, 20);
  let left: readonly string[] = [];
  try {
    left = await work(node);
  } finally {
    const { sent, received } = await stream.stop();
    if (received !== sent || sent === 0)
      left = [...left, `of ${sent} packets of a pod that ran all the while ${received} were answered`];
  }
  return left;
}

function agentOptions({ simulator, directory, node, size, agent }: Opening): AgentOptions {
  const own = join(directory, node);
  const eniConf = {
    version: "1",
    max_pool_size: size.idleMax,
    min_pool_size: 0,
    vswitches: { [ZONE]: vSwitchesOf({ name: node }).slice(0, 1) },
    security_group: "sg-pods",
    vswitch_selection_policy: "ordered",
    address_cooldown: `${size.cooldownMs}ms`,
    instance_type_limits: { [`ecs.kill.${node}`]: { eni: size.enis, ip: size.addresses } },
  };
  const namespace = simulator.nodes.find(({ name }) => name === node)?.namespace ?? "";
  return {
    namespace,
    directory: own,
    program: agent,
    enter: [
      "ip",
      "netns",
      "exec",
      namespace,
      "env",
      `TERWAY_KILL_DIR=${own}`,
      ...(size.bug === undefined ? [] : [`TERWAY_KILL_BUG=${size.bug}`]),
    ],
    eniConf: JSON.stringify(eniConf),
    cniConf: CNI_CONF,
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  };
}
