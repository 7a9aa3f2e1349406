/**
 * Pods on ENIs of the simulated VPC: three nodes in two zones, an agent on each, pods by the plugin.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCUMENTED_POLICY } from "../../sim/model/topology-default.ts";
import { type Agent, type AgentOptions, prepareAgent, startAgent } from "../harness/agent.ts";
import {
  addPod,
  type Attached,
  confFor,
  createPod,
  deletePodNamespace,
  delPod,
  type Pod,
} from "../harness/pod.ts";
import { must } from "../harness/process.ts";
import { differences, networkSnapshot } from "../harness/snapshot.ts";
import { type SimNode, type Simulator, simulatorUp } from "../harness/simulator.ts";
import { type Bed, familiesOf, type Place, PORT } from "./bed.ts";
import { addService } from "./service.ts";
import { byFamily, openPlace, refusedSources } from "./place.ts";
import { type Stack } from "./table.ts";

/** Outside of the VPC; addresses for documentation, RFC 5737 and RFC 3849. */
const OUTSIDE = { v4: "203.0.113.9", v6: "2001:db8:ffff::9" } as const;
const MTU = 1500;
const CNI_CONF = '{"cniVersion": "0.3.1", "name": "terway", "type": "terway"}';
/** Three pods on the first node: two share an ENI. */
const PODS = { n1: 3, n2: 1, n3: 1 } as const;
const ENI_ADDRESSES = 2;
const QUICK = { minMs: 30, maxMs: 50 } as const;

const TOPOLOGY = {
  region: "cn-hangzhou",
  zones: ["cn-hangzhou-h", "cn-hangzhou-i"],
  vpc: { id: "vpc-matrix", cidr: "10.0.0.0/8" },
  securityGroups: ["sg-pods"],
  vSwitches: [
    { id: "vsw-nodes-h", zone: "cn-hangzhou-h", cidr: "10.10.0.0/24" },
    { id: "vsw-nodes-i", zone: "cn-hangzhou-i", cidr: "10.10.1.0/24" },
    { id: "vsw-pods-h", zone: "cn-hangzhou-h", cidr: "10.10.16.0/24" },
    { id: "vsw-pods-i", zone: "cn-hangzhou-i", cidr: "10.10.32.0/24" },
  ],
  instanceTypes: { "matrix.small": { eniQuantity: 3, eniPrivateIpAddressQuantity: ENI_ADDRESSES } },
  instances: ["h", "h", "i"].map((zone, index) => ({
    id: `i-n${index + 1}`,
    name: `n${index + 1}`,
    type: "matrix.small",
    zone: `cn-hangzhou-${zone}`,
    vSwitch: `vsw-nodes-${zone}`,
    securityGroups: ["sg-nodes"],
  })),
  policies: { terway: DOCUMENTED_POLICY },
  credentials: [
    { accessKeyId: "LTAI5tSimulatedVpcKey", accessKeySecret: "simulated-vpc-secret", policy: "terway" },
  ],
  latencies: {
    attachLink: QUICK,
    attachInUse: QUICK,
    attachMetadata: QUICK,
    detachDone: QUICK,
    deleteDone: QUICK,
  },
};

const ENI_CONF = {
  version: "1",
  max_pool_size: 0,
  min_pool_size: 0,
  vswitches: { "cn-hangzhou-h": ["vsw-pods-h"], "cn-hangzhou-i": ["vsw-pods-i"] },
  service_cidr: "172.21.0.0/20",
  security_group: "sg-pods",
  address_cooldown: "1s",
};

type Made = { readonly pod: Pod; readonly node: string; readonly attached: Attached; readonly eni: string };

/** `name` is a part of every name on the machine. */
export async function openVpcBed(name: string, stack: Stack): Promise<Bed> {
  const before = await networkSnapshot([]);
  const directory = await mkdtemp(join(tmpdir(), "terway-matrix-"));
  const undo: (() => Promise<unknown>)[] = [async () => rm(directory, { recursive: true, force: true })];
  const close = async (): Promise<string[]> => {
    const left: string[] = [];
    for (const step of undo.splice(0).toReversed())
      await step().catch((error: unknown) => left.push(String(error).replaceAll("\n", " ")));
    const namespaces = (await must("ip", ["netns"]))
      .split("\n")
      .filter((line) => line.startsWith(`${name}-`));
    return [...left, ...namespaces, ...differences(before, await networkSnapshot([]))];
  };
  try {
    await writeFile(join(directory, "topology.json"), JSON.stringify(TOPOLOGY));
    const simulator = await simulatorUp(name, [join(directory, "topology.json")]);
    undo.push(async () => simulator.down());
    const made = await attachPods(simulator, directory, undo);
    return { ...(await placesOf(simulator, stack, made, undo)), stack, close };
  } catch (error) {
    const left = await close();
    throw new Error([String(error), ...left].join("; "), { cause: error });
  }
}

/** The agents, then all pods; a node's one after the other, so that ENIs are filled. */
async function attachPods(
  simulator: Simulator,
  directory: string,
  undo: (() => Promise<unknown>)[],
): Promise<readonly Made[]> {
  const perNode = await Promise.all(
    Object.entries(PODS).map(async ([nodeName, count]) => {
      const node = simulator.nodes.find((candidate) => candidate.name === nodeName);
      if (node === undefined) throw new Error(`the topology has no node ${nodeName}`);
      const agent = await startedAgent(simulator, node, directory, undo);
      const pods: { readonly pod: Pod; readonly attached: Attached }[] = [];
      for (let index = 0; index < count; index++) {
        const pod: Pod = {
          name: `${nodeName}-p${index}`,
          namespace: `${simulator.name}-${nodeName}-p${index}`,
          containerId: `${nodeName}-p${index}-sandbox`,
          conf: confFor(CNI_CONF, agent.socketPath),
        };
        await createPod(pod);
        undo.push(async () => deletePodNamespace(pod));
        pods.push({ pod, attached: await addPod(pod) });
        undo.push(async () => delPod(pod));
      }
      return pods.map((each) => ({ ...each, node: nodeName }));
    }),
  );
  const enis = await simulator.enis();
  return perNode.flat().map((each) => ({
    ...each,
    eni: enis.find(({ addresses }) => addresses.includes(each.attached.address))?.id ?? "?",
  }));
}

async function startedAgent(
  simulator: Simulator,
  node: SimNode,
  directory: string,
  undo: (() => Promise<unknown>)[],
): Promise<Agent> {
  const options: AgentOptions = {
    namespace: node.namespace,
    directory: join(directory, node.name),
    eniConf: JSON.stringify(ENI_CONF),
    cniConf: CNI_CONF,
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  };
  await prepareAgent(options);
  const agent = await startAgent(options);
  undo.push(async () => agent.stop());
  return agent;
}

type Standing = Omit<Bed, "stack" | "close">;

async function placesOf(
  simulator: Simulator,
  stack: Stack,
  made: readonly Made[],
  undo: (() => Promise<unknown>)[],
): Promise<Standing> {
  const { routerNamespace } = simulator;
  const outsideAddresses = Object.fromEntries(familiesOf(stack).map((family) => [family, OUTSIDE[family]]));
  for (const address of Object.values(outsideAddresses))
    await must("ip", ["-n", routerNamespace, "address", "add", address, "dev", "lo"]);
  const at = async (name: string, namespace: string, addresses: Place["addresses"]): Promise<Place> => {
    const place = await openPlace(name, namespace, addresses);
    undo.push(async () => place.station.close());
    return place;
  };
  const enis = await simulator.enis();
  const nodeAt = async (name: string): Promise<Place> => {
    const node = simulator.nodes.find((candidate) => candidate.name === name);
    const primary = enis.find((eni) => eni.isPrimary && eni.instance === node?.instance);
    return at(`node ${name}`, node?.namespace ?? "?", byFamily(primary?.addresses ?? []));
  };
  const podAt = async (which: (candidate: Made) => boolean): Promise<Place> => {
    const found = made.find(which);
    if (found === undefined) throw new Error(`no pod is where the matrix needs one: ${JSON.stringify(made)}`);
    return at(`pod ${found.pod.name}`, found.pod.namespace, addressesOf(found.attached));
  };
  const [first] = made;
  if (first === undefined) throw new Error("no pod was made");
  const isHere = ({ node }: Made): boolean => node === first.node;
  const [here, sameNode, otherEni, otherNode, otherSubnet, ...rest] = await Promise.all([
    podAt((candidate) => candidate === first),
    podAt((candidate) => isHere(candidate) && candidate !== first && candidate.eni === first.eni),
    podAt((candidate) => isHere(candidate) && candidate.eni !== first.eni),
    podAt(({ node }) => node === "n2"),
    podAt(({ node }) => node === "n3"),
    nodeAt("n1"),
    nodeAt("n2"),
    nodeAt("n3"),
    at("the host outside", routerNamespace, outsideAddresses),
  ]);
  const [nodeHere, nodeOther, nodeOtherSubnet, outside] = rest;
  const namespaces = [routerNamespace, ...simulator.nodes.map(({ namespace }) => namespace)];
  return {
    pods: { here, sameNode, otherNode, otherSubnet },
    otherEni,
    nodes: { here: nodeHere, otherNode: nodeOther, otherSubnet: nodeOtherSubnet },
    outside,
    seenAs: (from) => from,
    mtu: MTU,
    addService: async (address, endpoint) => addService(nodeHere.station.namespace, address, endpoint, PORT),
    spoofed: async () => refusedSources(namespaces),
    async narrow(mtu) {
      const [target = ""] = Object.values(otherNode.addresses);
      const route = /dev (\S+)/.exec(await must("ip", ["-n", routerNamespace, "route", "get", target]));
      await must("ip", ["-n", routerNamespace, "link", "set", route?.[1] ?? "?", "mtu", `${mtu}`]);
      return { to: otherNode };
    },
  };
}

function addressesOf({ result }: Attached): Place["addresses"] {
  return byFamily(result.ips.map(({ address }) => address.split("/")[0] ?? ""));
}
