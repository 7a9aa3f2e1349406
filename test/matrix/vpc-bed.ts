/**
 * Pods on ENIs of the simulated VPC: three nodes in two zones, an agent on each, pods by the plugin.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SimulatorState } from "../../sim/http/operator.ts";
import { type Agent, type AgentOptions, prepareAgent, startAgent } from "../harness/agent.ts";
import {
  addPodAtLast,
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
import { addressesOf, byFamily, droppedByFilters, openPlace, refusedSources } from "./place.ts";
import { type Stack } from "./table.ts";
import { cniConfFor, eniConfFor, PODS, topologyFor } from "./vpc-topology.ts";

/** Outside of the VPC; addresses for documentation, RFC 5737 and RFC 3849. */
const OUTSIDE = { v4: "203.0.113.9", v6: "2001:db8:ffff::9" } as const;
const MTU = 1500;
/** Three agents start at the same time, in User Mode Linux on one processor that is not fast. */
const START_TIMEOUT_MS = 120_000;

export type EniDatapath = "veth" | "ipvlan";

type Making = {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly datapath: EniDatapath;
  readonly stack: Stack;
  readonly undo: (() => Promise<unknown>)[];
};

type Made = { readonly pod: Pod; readonly node: string; readonly attached: Attached; readonly eni: string };

/** `name` is a part of every name on the machine. */
export async function openVpcBed(name: string, datapath: EniDatapath, stack: Stack): Promise<Bed> {
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
    await writeFile(join(directory, "topology.json"), JSON.stringify(topologyFor(stack)));
    const simulator = await simulatorUp(name, [join(directory, "topology.json")]);
    undo.push(async () => simulator.down());
    const making = { simulator, directory, datapath, stack, undo };
    return { ...(await placesOf(making, await attachPods(making))), stack, close };
  } catch (error) {
    const left = await close();
    throw new Error([String(error), ...left].join("; "), { cause: error });
  }
}

/** The agents, then all pods; a node's one after the other, so that ENIs are filled. */
async function attachPods(making: Making): Promise<readonly Made[]> {
  const { simulator, undo } = making;
  const perNode = await Promise.all(
    Object.entries(PODS).map(async ([nodeName, count]) => {
      const node = simulator.nodes.find((candidate) => candidate.name === nodeName);
      if (node === undefined) throw new Error(`the topology has no node ${nodeName}`);
      const agent = await startedAgent(making, node);
      const pods: { readonly pod: Pod; readonly attached: Attached }[] = [];
      for (let index = 0; index < count; index++) {
        const pod: Pod = {
          name: `${nodeName}-p${index}`,
          namespace: `${simulator.name}-${nodeName}-p${index}`,
          containerId: `${nodeName}-p${index}-sandbox`,
          conf: confFor(cniConfFor(making.datapath, making.stack), agent.socketPath),
        };
        await createPod(pod);
        undo.push(async () => deletePodNamespace(pod));
        undo.push(async () => delPod(pod));
        pods.push({ pod, attached: await addPodAtLast(pod) });
      }
      return pods.map((each) => ({ ...each, node: nodeName }));
    }),
  );
  const { enis } = await simulator.state();
  return perNode.flat().map((each) => ({
    ...each,
    eni: enis.find((eni) => allOf(eni).includes(each.attached.address))?.id ?? "?",
  }));
}

async function startedAgent(making: Making, node: SimNode): Promise<Agent> {
  const { simulator, directory, datapath, stack, undo } = making;
  const options: AgentOptions = {
    namespace: node.namespace,
    directory: join(directory, node.name),
    eniConf: eniConfFor(stack),
    cniConf: cniConfFor(datapath, stack),
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  };
  if (stack !== "v4") await forwardIpv6(node);
  await prepareAgent(options);
  const agent = await startAgent(options, START_TIMEOUT_MS);
  undo.push(async () => agent.stop());
  return agent;
}

/** As the agent asks its user to where the kernel cannot forward by device, which begins with Linux 6.17. */
async function forwardIpv6({ namespace }: SimNode): Promise<void> {
  const all = "/proc/sys/net/ipv6/conf/all";
  const script = `[ -e ${all}/force_forwarding ] || echo 1 >${all}/forwarding`;
  await must("nsenter", [`--net=/run/netns/${namespace}`, "sh", "-c", script]);
}

type Standing = Omit<Bed, "stack" | "close">;

async function placesOf(
  { simulator, datapath, stack, undo }: Making,
  made: readonly Made[],
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
  const { enis } = await simulator.state();
  const nodeAt = async (name: string): Promise<Place> => {
    const node = simulator.nodes.find((candidate) => candidate.name === name);
    const primary = enis.find((eni) => eni.type === "Primary" && eni.owner === node?.instance);
    if (node === undefined || primary === undefined) throw new Error(`no node ${name} with an ENI`);
    const families = Object.entries(byFamily(allOf(primary))).filter(
      ([family]) => family in outsideAddresses,
    );
    return at(`node ${name}`, node.namespace, Object.fromEntries(families));
  };
  const podAt = async (which: (candidate: Made) => boolean): Promise<Place> => {
    const found = made.find(which);
    if (found === undefined) throw new Error(`no pod is where the matrix needs one: ${JSON.stringify(made)}`);
    return at(`pod ${found.pod.name}`, found.pod.namespace, addressesOf(found.attached.result));
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
    // With IPVLAN the agent translates clients: a backend on the client's own ENI would answer it past the node.
    serviceClient: datapath === "ipvlan" ? "node" : "pod",
    mtu: MTU,
    addService: async (address, endpoint) =>
      addService(nodeHere.station.namespace, {
        address,
        endpoint,
        port: PORT,
      }),
    spoofed: async () => {
      const filtered = datapath === "ipvlan" ? droppedByFilters(made.map(({ pod }) => pod.namespace)) : 0;
      return (await refusedSources(namespaces)) + (await filtered);
    },
    async narrow(mtu) {
      const [target = ""] = Object.values(otherNode.addresses);
      const route = /dev (\S+)/.exec(await must("ip", ["-n", routerNamespace, "route", "get", target]));
      await must("ip", ["-n", routerNamespace, "link", "set", route?.[1] ?? "?", "mtu", `${mtu}`]);
      return { to: otherNode };
    },
  };
}

/** Of both families. */
function allOf(eni: SimulatorState["enis"][number]): readonly string[] {
  return [...eni.addresses, ...eni.ipv6Addresses];
}
