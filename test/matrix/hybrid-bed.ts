/**
 * Pods of hybrid nodes on the simulated on-premises network: two nodes on one link, a third behind a router that knows no
 * pods. What each node's network is to be comes from the file that describes the hybrid network.
 *
 * @module
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bitsOf } from "../../proto/cidr6.ts";
import { type Result } from "../../proto/result.ts";
import { parseHybridConf } from "../../daemon/core/hybrid/conf.ts";
import { ownRecord, podMtu } from "../../daemon/core/hybrid/desire.ts";
import { type HybridView } from "../../daemon/core/hybrid/network.ts";
import { pathBetween } from "../../daemon/core/hybrid/path.ts";
import { type OnPrem, openOnPrem } from "../../sim/onprem/onprem.ts";
import { type OnPremNode, threeNodes } from "../../sim/onprem/site.ts";
import { type AgentOptions, drainAgent, startAgent } from "../harness/agent.ts";
import { addPod, confFor, createPod, deletePodNamespace, delPod, type Pod } from "../harness/pod.ts";
import { must } from "../harness/process.ts";
import { differences, networkSnapshot } from "../harness/snapshot.ts";
import { type Bed, familiesOf, type Place, PORT } from "./bed.ts";
import { addressesOf, byFamily, openPlace, refusedSources } from "./place.ts";
import { addService } from "./service.ts";
import { type Stack } from "./table.ts";
import { cniConfFor } from "./vpc-topology.ts";

/** Pods of each node. */
const PODS = { "node-1": 2, "node-2": 1, "node-3": 1 } as const;

/** Of the file: settings in which the two datapaths differ. An underlay tunnels between links, where nobody knows pods. */
const MODES = {
  overlay: { mode: "Overlay" },
  underlay: { mode: "Underlay", fallback: "VXLAN" },
} as const;

/** The file, beside the agents' directories. */
const CONF = "network.jsonc";

type Undo = (() => Promise<unknown>)[];

type Making = {
  readonly site: OnPrem;
  readonly directory: string;
  readonly datapath: "overlay" | "underlay";
  readonly stack: Stack;
  readonly undo: Undo;
};

type Made = { readonly pod: Pod; readonly addresses: Place["addresses"] };

/** `name` is a part of every name on the machine. */
export async function openHybridBed(
  name: string,
  datapath: "overlay" | "underlay",
  stack: Stack,
): Promise<Bed> {
  const before = await networkSnapshot([]);
  const directory = await mkdtemp(join(tmpdir(), "terway-matrix-"));
  const undo: Undo = [async () => rm(directory, { recursive: true, force: true })];
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
    const site = await openOnPrem(threeNodes({ name, ipv6: stack !== "v4" }));
    undo.push(async () => site[Symbol.asyncDispose]());
    return { ...(await standing({ site, directory, datapath, stack, undo })), stack, close };
  } catch (error) {
    const left = await close();
    throw new Error([String(error), ...left].join("; "), { cause: error });
  }
}

/** The file, as a user writes it. */
function confOf(site: OnPrem, datapath: "overlay" | "underlay", stack: Stack): string {
  const [v4, v6] = [stack !== "v6", stack !== "v4"];
  return JSON.stringify({
    network: {
      podCIDRs: [...(v4 ? ["10.245.0.0/16"] : []), ...(v6 ? ["fd00:245::/48"] : [])],
      nodeMaskSizeV6: 64,
      serviceCIDRs: ["172.21.0.0/20", ...(v6 ? ["fd00:172:21::/112"] : [])],
      ...MODES[datapath],
    },
    nodes: site.site.nodes.map((node, index) => ({
      name: node.name,
      nodeIP: `${node.address}/${bitsOf(node.subnet.cidr)}`,
      ...(v6 ? { nodeIPv6: `${node.ipv6Address}/64` } : {}),
      vtepMAC: `0a:58:00:00:00:0${index + 1}`,
      blocks: [...(v4 ? [`10.245.${index + 1}.0/24`] : []), ...(v6 ? [`fd00:245:0:${index + 1}::/64`] : [])],
    })),
  });
}

async function standing(making: Making): Promise<Omit<Bed, "stack" | "close">> {
  const { site, directory, datapath, stack, undo } = making;
  const conf = confOf(site, datapath, stack);
  await writeFile(join(directory, CONF), conf);
  const parsed = parseHybridConf(conf);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const { view } = parsed;
  const at = async (title: string, namespace: string, addresses: Place["addresses"]): Promise<Place> => {
    const place = await openPlace(title, namespace, addresses);
    undo.push(async () => place.station.close());
    return place;
  };
  const nodeAt = async (name: string): Promise<Place> => {
    const { namespace, address, ipv6Address } = site.node(name);
    return at(`node ${name}`, namespace, only(stack, [address, ipv6Address ?? ""]));
  };
  const perNode = await Promise.all(
    Object.entries(PODS).map(async ([name, count]) => {
      const pods = await joinedNode(making, site.node(name), count);
      return Promise.all(
        pods.map(async ({ pod, addresses }) => at(`pod ${pod.name}`, pod.namespace, addresses)),
      );
    }),
  );
  const { outside } = site.site;
  const [nodeHere, nodeOther, nodeOtherSubnet, outsideAt] = await Promise.all([
    nodeAt("node-1"),
    nodeAt("node-2"),
    nodeAt("node-3"),
    at("the host outside", outside.namespace, only(stack, [outside.address, outside.ipv6Address])),
  ]);
  const [[here, sameNode] = [], [otherNode] = [], [otherSubnet] = []] = perNode;
  if (here === undefined || sameNode === undefined || otherNode === undefined || otherSubnet === undefined)
    throw new Error("a pod is missing");
  const isTunnelled = (place: Place, node: string): boolean =>
    place.name === `node ${node}` && pathKind(view, "node-1", node) === "vxlan";
  const namespaces = site.site.nodes.map(({ namespace }) => namespace);
  return {
    pods: { here, sameNode, otherNode, otherSubnet },
    otherEni: { impossible: "on-premises nodes have no ENIs" },
    nodes: { here: nodeHere, otherNode: nodeOther, otherSubnet: nodeOtherSubnet },
    outside: outsideAt,
    seenAs: (from, to) => {
      // From a node: the kernel takes the address of the device that the packet leaves by.
      if (from === nodeHere) return undefined;
      const isNode = isTunnelled(to, "node-2") || isTunnelled(to, "node-3");
      return to === outsideAt || isNode ? nodeHere : from;
    },
    serviceClient: "pod",
    mtu: mtuOf(view, site.node("node-1")),
    addService: async (address, endpoint) =>
      addService(nodeHere.station.namespace, { address, endpoint, port: PORT }),
    spoofed: async () => refusedSources(namespaces),
    async narrow(mtu) {
      const { routerNamespace } = site.site;
      const route = await must("ip", ["-n", routerNamespace, "route", "get", outside.address]);
      const device = /dev (\S+)/.exec(route)?.[1] ?? "?";
      await must("ip", ["-n", routerNamespace, "link", "set", device, "mtu", `${mtu}`]);
      return { to: outsideAt };
    },
  };
}

function only(stack: Stack, addresses: readonly string[]): Place["addresses"] {
  const all = byFamily(addresses.filter((address) => address !== ""));
  return Object.fromEntries(familiesOf(stack).flatMap((family) => [[family, all[family] ?? ""]]));
}

function pathKind(view: HybridView, a: string, b: string): string {
  return pathBetween(value(ownRecord(view, a)), value(ownRecord(view, b)), view.network).kind;
}

function mtuOf(view: HybridView, { name, mtu }: OnPremNode): number {
  return podMtu(view.network, value(ownRecord(view, name)), mtu);
}

/** An agent on the node, and pods by the plugin. */
async function joinedNode(making: Making, node: OnPremNode, count: number): Promise<readonly Made[]> {
  const { directory, undo } = making;
  const cniConf = cniConfFor("veth", making.stack);
  const options: AgentOptions = {
    namespace: node.namespace,
    directory: join(directory, node.name),
    cniConf,
    flags: ["--hybrid-conf", join(directory, CONF), "--node-name", node.name],
    // There is no cloud, and nothing of one is written to the directory.
    eniConf: "",
    accessKeyId: "",
    accessKeySecret: "",
    apiUrl: "",
  };
  await mkdir(join(options.directory, "eni-config"), { recursive: true });
  await writeFile(join(options.directory, "eni-config", "10-terway.conf"), cniConf);
  const agent = await startAgent(options);
  undo.push(
    async () => drainAgent(options),
    async () => agent.stop(),
  );
  const made: Made[] = [];
  for (let index = 0; index < count; index++) {
    const name = `${node.name}-p${index}`;
    const namespace = `${node.namespace}-p${index}`;
    const pod = { name, namespace, containerId: `${name}-sandbox`, conf: confFor(cniConf, agent.socketPath) };
    await createPod(pod);
    undo.push(async () => deletePodNamespace(pod));
    const { result } = await addPod(pod);
    undo.push(async () => delPod(pod));
    made.push({ pod, addresses: addressesOf(result) });
  }
  return made;
}

/** @throws Error with the fault. */
function value<Value>(result: Result<Value, unknown>): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.fault));
  return result.value;
}
