/**
 * Proofs of the on-premises demo: who reaches whom, what is on the wire, source NAT, a node without its cable.
 *
 * @module
 */
import { type Capture } from "../../sim/onprem/capture.ts";
import { type OnPremNode } from "../../sim/onprem/site.ts";
import { until } from "../harness/process.ts";
import { ping, spoof } from "../harness/traffic.ts";
import { proveAgentDeath } from "./agent-death.ts";
import { type DemoPod } from "./demo-nodes.ts";
import { type Cluster, type Settings } from "./onprem-cluster.ts";
import { type Report } from "./report.ts";

/** How long a change of the file, or a cable that is in again, may take to be felt. */
const SOON_MS = 5_000;
/** While an agent dies. */
const PACKET_EVERY_MS = 5;

/** Two pods of node-1, one of node-2 on the same link, one of node-3 behind the router. */
export type Sample = Readonly<Record<"a" | "b" | "c" | "d", DemoPod<OnPremNode>>>;

/** @throws Error where a node has no pods. */
export function sampleOf({ pods }: Cluster): Sample {
  const of = (node: string): DemoPod<OnPremNode>[] => pods.filter((pod) => pod.node.name === node);
  const [a, b] = of("node-1");
  const [c] = of("node-2");
  const [d] = of("node-3");
  if (a === undefined || b === undefined || c === undefined || d === undefined)
    throw new Error("the demo needs pods on all nodes");
  return { a, b, c, d };
}

/** Every direction that a pod's traffic takes; to and from pods of node-3 only where `everywhere`. */
export async function proveDirections(cluster: Cluster, report: Report, everywhere: boolean): Promise<void> {
  const { a, b, c, d } = sampleOf(cluster);
  const { outside } = cluster.site.site;
  const directions: readonly (readonly [title: string, from: string, to: string])[] = [
    ["pod -> pod on the same node", a.pod.namespace, b.attached.address],
    ["pod -> pod, same subnet", a.pod.namespace, c.attached.address],
    ["pod -> pod, back", c.pod.namespace, a.attached.address],
    ...(everywhere
      ? ([
          ["pod -> pod, other subnet", a.pod.namespace, d.attached.address],
          ["pod -> pod, back", d.pod.namespace, a.attached.address],
        ] as const)
      : []),
    ["pod -> its node", a.pod.namespace, a.node.address],
    ["pod -> node, same subnet", a.pod.namespace, c.node.address],
    ["pod -> node, other subnet", a.pod.namespace, d.node.address],
    ["node -> its pod", a.node.namespace, a.attached.address],
    ["node -> pod, same subnet", a.node.namespace, c.attached.address],
    ...(everywhere ? ([["node -> pod, other subnet", a.node.namespace, d.attached.address]] as const) : []),
    ["pod -> host outside", a.pod.namespace, outside.address],
  ];
  for (const [title, from, to] of directions) await proveReached(report, title, from, to);
}

/** A pod that sends with an address that is not its own is heard by nobody, and its packets do not leave the node. */
export async function proveSpoof(cluster: Cluster, report: Report): Promise<void> {
  const { a, b, c } = sampleOf(cluster);
  await using cable = await cluster.site.capture("node-1");
  for (const [title, source, target] of [
    ["of nobody, same node", "10.245.99.99", b.attached.address],
    ["of another pod, other node", b.attached.address, c.attached.address],
  ] as const) {
    const result = await spoof(a.pod.namespace, source, target);
    await cable.settled();
    const seen = cable.lines().filter((line) => line.includes(`IP ${source} > ${target}`)).length;
    report.check(
      result.received === 0 && result.sent > 0 && seen === 0,
      `spoofed source ${title}: ${result.received}/${result.sent} answered, ${seen} left the node`,
    );
  }
}

/** What the cable of a peer carries while a pod of node-1 talks to one of its pods, with the packet as a line. */
export async function proveWire(
  cluster: Cluster,
  report: Report,
  expected: Readonly<Record<string, "vxlan" | "plain">>,
): Promise<void> {
  const { a } = sampleOf(cluster);
  for (const [name, form] of Object.entries(expected)) {
    const peer = cluster.pods.find(({ node }) => node.name === name);
    if (peer === undefined) throw new Error(`no pod on ${name}`);
    await using cable = await cluster.site.capture(name);
    const { received, sent } = await ping(a.pod.namespace, peer.attached.address);
    await cable.settled();
    const pair = `IP ${a.attached.address} > ${peer.attached.address}: ICMP echo request`;
    const lines = cable.lines().filter((line) => line.includes(pair));
    const tunnelled = lines.filter((line) => /\.8472: VXLAN vni 1 \/ /.test(line));
    report.line(`      ${lines[0] ?? `no line with ${pair}`}`);
    const right = form === "vxlan" ? tunnelled.length : lines.length - tunnelled.length;
    report.check(
      received === sent && lines.length === sent && right === sent,
      `at the cable of ${name}: ${right} of ${sent} packets ${form === "vxlan" ? "in UDP 8472" : "plain"}, ${lines.length - right} otherwise`,
    );
  }
}

/** VXLAN that is sent by no node of the network is dropped and counted. */
export async function proveStranger(cluster: Cluster, report: Report): Promise<void> {
  const { a } = sampleOf(cluster);
  const counter = async (): Promise<number> => {
    const text = await cluster.site.must(
      "node-1",
      "nft",
      "list",
      "counter",
      "ip",
      "terway_hybrid",
      "unknown_vtep",
    );
    return Number(/packets (\d+)/.exec(text)?.[1]);
  };
  const before = await counter();
  const send = `for n in 1 2 3; do echo > /dev/udp/${a.node.address}/8472; done`;
  await cluster.site.must("outside", "bash", "-c", send);
  const counted = await until(
    "packets of a stranger are counted",
    async () => {
      const more = (await counter()) - before;
      return more >= 3 && more;
    },
    SOON_MS,
    20,
  );
  report.check(
    counted === 3,
    `VXLAN from outside, by no node of the network: ${counted} of 3 dropped and counted`,
  );
}

/** A file that is cut off changes nothing, and the agent says where. */
export async function proveHalfFile(cluster: Cluster, report: Report, settings: Settings): Promise<void> {
  const { a, d } = sampleOf(cluster);
  const log = cluster.agents.get("node-1")?.process.output ?? (() => "");
  const known = log().length;
  await cluster.publishHalf(settings);
  const said = await until(
    "the agent says that the file is cut off",
    async () => /error: ([^\\"]+)/.exec(log().slice(known))?.[1],
    SOON_MS,
    20,
  );
  await proveReached(report, "half of the file is missing", a.pod.namespace, d.attached.address);
  report.line(`      the agent of node-1: ${said}`);
  await cluster.publish(settings);
}

/** Pods of node-3 are not reached, nothing tunnels to it, and the agent says why. */
export async function proveUnroutable(cluster: Cluster, report: Report): Promise<void> {
  const { a, d } = sampleOf(cluster);
  await using cable = await cluster.site.capture("node-3");
  for (const [from, to] of [
    [a, d],
    [d, a],
  ] as const) {
    const result = await ping(from.pod.namespace, to.attached.address);
    report.check(
      result.received === 0 && result.sent > 0,
      `${from.node.name} -> ${to.node.name}: ${result.received}/${result.sent} to ${to.attached.address}`,
    );
  }
  await cable.settled();
  const came = cable
    .lines()
    .filter((line) => line.startsWith("node-3 <") && line.includes(a.attached.address));
  const tunnelled = cable.lines().filter((line) => line.includes(".8472: "));
  report.check(
    came.length + tunnelled.length === 0,
    `at the cable of node-3: ${came.length} packets of node-1's pod, ${tunnelled.length} in UDP 8472`,
  );
  const reason = unroutableReason(cluster.agents.get("node-1")?.process.output() ?? "", "node-3");
  report.check(reason.includes("192.168.2.11"), `the agent of node-1: ${reason}`);
}

/** With the fallback the same nodes are joined by VXLAN as soon as the file says so. */
export async function proveFallback(cluster: Cluster, report: Report, settings: Settings): Promise<void> {
  const { a, d } = sampleOf(cluster);
  const tookMs = await felt(cluster, settings, async () => (await pingOnce(a, d.attached.address)) === 1);
  report.check(true, `node-3 is reached ${tookMs} ms after the file was replaced`);
}

/** A packet as large as a pod's MTU reaches pods of all nodes, and is one packet. */
export async function proveLargest(cluster: Cluster, report: Report): Promise<void> {
  const { a, c, d } = sampleOf(cluster);
  const link = await cluster.site.must("node-1", "ip", "-o", "link", "show", "dev", a.attached.hostName);
  const mtu = Number(/ mtu (\d+) /.exec(link)?.[1]);
  // ICMP and IPv4 headers: RFC 792, RFC 791.
  const payload = `${mtu - 28}`;
  for (const { node, attached } of [c, d]) {
    const result = await ping(a.pod.namespace, attached.address, 3, undefined, ["-M", "do", "-s", payload]);
    report.check(
      result.received === result.sent && result.sent > 0,
      `packets of ${mtu} bytes, not to be cut, to ${node.name}: ${result.received}/${result.sent}`,
    );
  }
}

/** The host outside sees the node where source NAT is on, and a pod that it cannot answer where it is off. */
export async function proveSourceNat(cluster: Cluster, report: Report, settings: Settings): Promise<void> {
  const { a } = sampleOf(cluster);
  const { outside } = cluster.site.site;
  await using cable = await cluster.site.capture("node-1");
  const direct = await ping(outside.namespace, a.attached.address);
  report.check(direct.received === 0, `outside -> pod: ${direct.received} answered`);
  await proveReached(report, "pod -> outside, sourceNAT true", a.pod.namespace, outside.address);
  await proveSeenAs(report, cable, a.node.address, outside.address);
  const isSilent = async (): Promise<boolean> => (await pingOnce(a, outside.address)) === 0;
  const offMs = await felt(cluster, { ...settings, sourceNAT: false }, isSilent);
  report.check(
    true,
    `pod -> outside, sourceNAT false: unanswered from ${offMs} ms after the file was replaced`,
  );
  await proveSeenAs(report, cable, a.attached.address, outside.address);
  const onMs = await felt(cluster, settings, async () => !(await isSilent()));
  report.check(true, `pod -> outside, sourceNAT true again: answered after ${onMs} ms`);
}

/** The pods of a node without its cable are not reached; all others do not notice; and it comes back. */
export async function proveUnplugged(cluster: Cluster, report: Report): Promise<void> {
  const { a, b, c, d } = sampleOf(cluster);
  const { site } = cluster;
  await site.unplug(c.node.name);
  try {
    const result = await ping(a.pod.namespace, c.attached.address);
    report.check(
      result.received === 0 && result.sent > 0,
      `pod -> pod of node-2: ${result.received}/${result.sent} to ${c.attached.address}`,
    );
    const neighbour = cluster.pods.find((pod) => pod.node === c.node && pod !== c);
    await proveReached(report, "node-1 -> node-3", a.pod.namespace, d.attached.address);
    await proveReached(report, "node-3 -> node-1", d.pod.namespace, a.attached.address);
    await proveReached(report, "within node-1", a.pod.namespace, b.attached.address);
    await proveReached(report, "within node-2", c.pod.namespace, neighbour?.attached.address ?? "?");
  } finally {
    await site.plug(c.node.name);
  }
  const startedMs = performance.now();
  await until(
    "node-2 is reached again",
    async () => (await pingOnce(a, c.attached.address)) === 1,
    SOON_MS,
    20,
  );
  report.check(true, `plugged in: reached after ${Math.round(performance.now() - startedMs)} ms`);
  await proveReached(report, "node-2 -> node-3", c.pod.namespace, d.attached.address);
}

/** kill -9 and restart of the agent of node-1 while pods of all nodes talk, with no packet lost. */
export async function proveRestart(cluster: Cluster, report: Report): Promise<void> {
  const { a, b, c, d } = sampleOf(cluster);
  const flows = [
    [a.pod.namespace, b.attached.address],
    [a.pod.namespace, c.attached.address],
    [c.pod.namespace, a.attached.address],
    [d.pod.namespace, a.attached.address],
    [a.pod.namespace, cluster.site.site.outside.address],
  ] as const;
  await proveAgentDeath(cluster, a.node, { flows, everyMs: PACKET_EVERY_MS }, report);
}

async function proveReached(report: Report, title: string, from: string, to: string): Promise<void> {
  const result = await ping(from, to);
  report.check(
    result.received === result.sent && result.sent > 0,
    `${title.padEnd(30)} ${result.received}/${result.sent} to ${to}`,
  );
}

async function proveSeenAs(report: Report, cable: Capture, source: string, target: string): Promise<void> {
  const seen = `node-1 > IP ${source} > ${target}: ICMP echo request`;
  await cable.settled();
  report.check(cable.lines().includes(seen), `at the cable: ${seen}`);
}

/** Publishes, and waits for what follows from it: after how many milliseconds the packet was sent that showed it. */
async function felt(cluster: Cluster, settings: Settings, isFelt: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  await cluster.publish(settings);
  return until(
    "the agents go with the file",
    async () => {
      const sentMs = performance.now();
      return (await isFelt()) && Math.round(sentMs - startedMs);
    },
    SOON_MS,
    10,
  );
}

/** How many answers one packet has within a fifth of a second. */
async function pingOnce({ pod }: DemoPod<OnPremNode>, target: string): Promise<number> {
  return (await ping(pod.namespace, target, 1, undefined, ["-W", "0.2"])).received;
}

/** What the log of an agent says last about a node that it does not reach. */
function unroutableReason(log: string, node: OnPremNode["name"]): string {
  const line = log
    .split("\n")
    .findLast(
      (text) => text.includes('"pods of a node cannot be reached from here"') && text.includes(`"${node}"`),
    );
  const entry: unknown = line === undefined ? {} : JSON.parse(line);
  const reason = typeof entry === "object" && entry !== null && "reason" in entry ? entry.reason : undefined;
  return typeof reason === "string" ? reason : "says nothing about it";
}
