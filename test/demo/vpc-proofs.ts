/**
 * Proofs of the VPC's demo: packets in every direction, the order of vSwitches, traffic across the death of an agent.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { type SimEni, type SimNode } from "../harness/simulator.ts";
import { ping } from "../harness/traffic.ts";
import { proveAgentDeath } from "./agent-death.ts";
import { type DemoPod } from "./demo-nodes.ts";
import { type Report } from "./report.ts";
import { type Cluster, type EniDatapath } from "./vpc-cluster.ts";
import { proveExchanges } from "./vpc-exchanges.ts";

/** In User Mode Linux packets take the processor that the agent is to start on. */
const PACKET_EVERY_MS = { veth: 5, ipvlan: 20 } as const;

/** Every direction that a pod's traffic takes, and one that must not work. */
export async function proveTraffic(cluster: Cluster, report: Report): Promise<void> {
  const { client, sameEni, otherEni, otherNode } = await samplePods(cluster);
  const from = client.pod.namespace;
  const node = await addressOfNode(cluster, client.node);
  const nodeOther = await addressOfNode(cluster, otherNode.node);
  const gateway = await gatewayOf(cluster, client);
  const directions: readonly (readonly [string, string, string])[] = [
    ["pod -> pod on the same ENI", from, sameEni.attached.address],
    ["pod -> pod on another ENI", from, otherEni.attached.address],
    ["pod -> pod on the other node", from, otherNode.attached.address],
    ["pod -> its node", from, node],
    ["pod -> the other node", from, nodeOther],
    ["pod -> gateway of the VPC", from, gateway],
    ["node -> its pod", client.node.namespace, client.attached.address],
    ["node -> pod on the other node", client.node.namespace, otherNode.attached.address],
    ["VPC -> pod", cluster.simulator.routerNamespace, client.attached.address],
  ];
  for (const [title, source, to] of directions) {
    const result = await ping(source, to);
    report.check(
      result.received === result.sent && result.sent > 0,
      `${title.padEnd(30)} ${result.received}/${result.sent} to ${to}`,
    );
  }
  const places = [
    ["on the same ENI", sameEni],
    ["on another ENI", otherEni],
    ["on the other node", otherNode],
  ] as const;
  await proveExchanges({ client, node, places }, report);
}

/** Pods of the first node: the small first vSwitch is used until it is exhausted, then the second. */
export function proveOrder(cluster: Cluster, enis: readonly SimEni[], report: Report): void {
  const first = cluster.simulator.nodes[0];
  const used = cluster.pods
    .filter(({ node }) => node.name === first?.name)
    .map(({ attached }) => enis.find((eni) => eni.addresses.includes(attached.address))?.vSwitch ?? "?");
  const runs = used.filter((vSwitch, index) => vSwitch !== used[index - 1]);
  const counts = [...new Set(runs)].map(
    (vSwitch) => `${used.filter((name) => name === vSwitch).length} pods in ${vSwitch}`,
  );
  report.check(
    runs.length === 2 && runs[0] === "vsw-pods-h1" && runs[1] === "vsw-pods-h2",
    `ordered on ${first?.name}: ${counts.join(", then ")}`,
  );
}

/** kill -9 and restart of the first node's agent while its pods talk, with no packet lost. */
export async function proveRestart(cluster: Cluster, datapath: EniDatapath, report: Report): Promise<void> {
  const { client, otherEni, otherNode } = await samplePods(cluster);
  const flows = [
    [client.pod.namespace, otherEni.attached.address],
    [client.pod.namespace, otherNode.attached.address],
    [otherNode.pod.namespace, client.attached.address],
  ] as const;
  await proveAgentDeath(cluster, client.node, { flows, everyMs: PACKET_EVERY_MS[datapath] }, report);
}

/** All pods gone: the pool of each node settles at `max_pool_size`. */
export async function proveSettling(cluster: Cluster, report: Report, idleMax: number): Promise<void> {
  for (const node of cluster.simulator.nodes) {
    const count = await until(
      `the pool of ${node.name} settles at ${idleMax}`,
      async () => {
        const held = addressesOf(await cluster.simulator.enis(), node).length;
        report.progress(`${node.name} holds ${held} addresses`);
        return held === idleMax && held;
      },
      30_000,
      200,
    ).catch(async () => addressesOf(await cluster.simulator.enis(), node).length);
    report.check(count === idleMax, `${node.name}: ${count} idle addresses kept (max_pool_size ${idleMax})`);
  }
}

export function addressesOf(enis: readonly SimEni[], node: SimNode): readonly string[] {
  return enis
    .filter((eni) => eni.instance === node.instance && !eni.isPrimary)
    .flatMap(({ addresses }) => addresses);
}

type SamplePods = Readonly<Record<"client" | "sameEni" | "otherEni" | "otherNode", DemoPod<SimNode>>>;

/** Three pods of the first node on two ENIs, one of the second. */
async function samplePods(cluster: Cluster): Promise<SamplePods> {
  const [first, second] = cluster.simulator.nodes;
  const enis = await cluster.simulator.enis();
  const eniOf = ({ attached }: DemoPod<SimNode>): string | undefined =>
    enis.find(({ addresses }) => addresses.includes(attached.address))?.id;
  const [client, ...rest] = cluster.pods.filter(({ node }) => node.name === first?.name);
  if (client === undefined) throw new Error("the demo needs pods on both nodes");
  const sameEni = rest.find((pod) => eniOf(pod) === eniOf(client));
  const otherEni = rest.find((pod) => eniOf(pod) !== eniOf(client));
  const otherNode = cluster.pods.find(({ node }) => node.name === second?.name);
  if (sameEni === undefined || otherEni === undefined || otherNode === undefined)
    throw new Error("the demo needs pods on both nodes, and on two ENIs of the first");
  return { client, sameEni, otherEni, otherNode };
}

async function addressOfNode(cluster: Cluster, node: SimNode): Promise<string> {
  const primary = (await cluster.simulator.enis()).find(
    (eni) => eni.isPrimary && eni.instance === node.instance,
  );
  return primary?.addresses[0] ?? "?";
}

async function gatewayOf(cluster: Cluster, pod: DemoPod<SimNode>): Promise<string> {
  const eni = (await cluster.simulator.enis()).find(({ addresses }) =>
    addresses.includes(pod.attached.address),
  );
  return cluster.simulator.gateways[eni?.vSwitch ?? ""] ?? "?";
}
