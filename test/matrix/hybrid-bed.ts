/**
 * Pods of hybrid nodes on the simulated on-premises network: two nodes on one link, a third behind a router that knows no
 * pods. What each node's network is to be comes from the file that describes the hybrid network.
 *
 * @module
 */
import { isIpv6 } from "../../proto/addr6.ts";
import { addressOf, bitsOf } from "../../proto/cidr6.ts";
import { type Result } from "../../proto/result.ts";
import { parseHybridConf } from "../../daemon/core/hybrid/conf.ts";
import { desireOf, ownRecord, podMtu } from "../../daemon/core/hybrid/desire.ts";
import { type HybridView } from "../../daemon/core/hybrid/network.ts";
import { pathBetween } from "../../daemon/core/hybrid/path.ts";
import { type PodLink } from "../../daemon/core/kernel.ts";
import { openHybridNetwork } from "../../daemon/netlink/hybrid/network.ts";
import { openKernel } from "../../daemon/netlink/kernel.ts";
import { type OnPrem, openOnPrem } from "../../sim/onprem/onprem.ts";
import { type OnPremNode, threeNodes } from "../../sim/onprem/site.ts";
import { must, run } from "../harness/process.ts";
import { differences, networkSnapshot } from "../harness/snapshot.ts";
import { type Bed, familiesOf, type Place, PORT } from "./bed.ts";
import { byFamily, openPlace, refusedSources } from "./place.ts";
import { addService } from "./service.ts";
import { type Stack } from "./table.ts";

/** Pods of each node. */
const PODS = { "node-1": 2, "node-2": 1, "node-3": 1 } as const;

/** Of the file: settings in which the two datapaths differ. An underlay tunnels between links, where nobody knows pods. */
const MODES = {
  overlay: { mode: "Overlay" },
  underlay: { mode: "Underlay", fallback: "VXLAN" },
} as const;

type Undo = (() => Promise<unknown>)[];

/** `name` is a part of every name on the machine. */
export async function openHybridBed(
  name: string,
  datapath: "overlay" | "underlay",
  stack: Stack,
): Promise<Bed> {
  const before = await networkSnapshot([]);
  const undo: Undo = [];
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
    return { ...(await standing(site, datapath, stack, undo)), stack, close };
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
      podCIDRs: [...(v4 ? ["10.245.0.0/16"] : []), ...(v6 ? ["fd00:245::/32"] : [])],
      nodeMaskSizeV6: 64,
      serviceCIDRs: ["172.21.0.0/20", ...(v6 ? ["fd00:172:21::/112"] : [])],
      ...MODES[datapath],
    },
    nodes: site.site.nodes.map((node, index) => ({
      name: node.name,
      nodeIP: `${node.address}/${bitsOf(node.subnet.cidr)}`,
      ...(v6 ? { nodeIPv6: `${node.ipv6Address}/64` } : {}),
      vtepMAC: `0a:58:00:00:00:0${index + 1}`,
      blocks: [...(v4 ? [`10.245.${index + 1}.0/24`] : []), ...(v6 ? [`fd00:245:${index + 1}::/64`] : [])],
    })),
  });
}

async function standing(
  site: OnPrem,
  datapath: "overlay" | "underlay",
  stack: Stack,
  undo: Undo,
): Promise<Omit<Bed, "stack" | "close">> {
  const parsed = parseHybridConf(confOf(site, datapath, stack));
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
      const pods = await joinedNode(site, site.node(name), view, count, undo);
      return Promise.all(pods.map(async (pod) => at(pod.namespace, pod.namespace, byFamily(pod.addresses))));
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
    mtu: mtuOf(view, site.node("node-1")),
    addService: async (address, endpoint) => addService(nodeHere.station.namespace, address, endpoint, PORT),
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

type MadePod = { readonly namespace: string; readonly addresses: readonly string[] };

/** The node's network as the file wants it, and its pods, by what the agent does it with. */
async function joinedNode(
  site: OnPrem,
  node: OnPremNode,
  view: HybridView,
  count: number,
  undo: Undo,
): Promise<readonly MadePod[]> {
  const nodeNetns = `/run/netns/${node.namespace}`;
  const kernel = await openKernel({ nodeNetns });
  undo.push(async () => kernel[Symbol.asyncDispose]());
  const network = value(await openHybridNetwork({ thread: kernel.thread, nodeNetns }));
  undo.push(async () => network[Symbol.asyncDispose]());
  value(await kernel.prepareHost());
  const own = value(ownRecord(view, node.name));
  const link = /^(\d+):/.exec(await site.must(node.name, "ip", "-o", "link", "show", node.uplink));
  const uplink = { name: node.uplink, ifIndex: Number(link?.[1]), mtuBytes: node.mtu };
  const { desired } = desireOf(view, own, uplink);
  value(await network.apply(desired));
  undo.push(async () => value(await network.clean()));
  const made: MadePod[] = [];
  for (let index = 0; index < count; index++) {
    const namespace = `${node.namespace}-p${index}`;
    await must("ip", ["netns", "add", namespace]);
    undo.push(async () => run("ip", ["netns", "del", namespace]));
    const addresses = desired.blocks.map((block) => addressOf(block, BigInt(10 + index)));
    const pod: PodLink = {
      hostName: `tw${node.name}x${index}`,
      netns: `/run/netns/${namespace}`,
      ifName: "eth0",
      addresses: Object.fromEntries(addresses.map((address) => [isIpv6(address) ? "v6" : "v4", address])),
      mtu: podMtu(view.network, own, node.mtu),
      datapath: "veth",
    };
    value(await kernel.attachPod(pod));
    undo.push(async () => value(await kernel.detachPod(pod)));
    made.push({ namespace, addresses });
  }
  return made;
}

/** @throws Error with the fault. */
function value<Value>(result: Result<Value, unknown>): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.fault));
  return result.value;
}
