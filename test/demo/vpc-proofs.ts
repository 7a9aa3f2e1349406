/**
 * Proofs of the VPC's demo: packets in every direction, the order of vSwitches, traffic across the death of an agent.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { type SimEni, type SimNode } from "../harness/simulator.ts";
import { ping, spoof } from "../harness/traffic.ts";
import { proveAgentDeath } from "./agent-death.ts";
import { type Report } from "./report.ts";
import { type DemoPod } from "./demo-nodes.ts";
import { type Cluster } from "./vpc-cluster.ts";

/** Every direction that a pod's traffic takes, and one that must not work. */
export async function proveTraffic(cluster: Cluster, report: Report): Promise<void> {
  const [a, b, c] = samplePods(cluster);
  const nodeAddress = await addressOfNode(cluster, a.node);
  const otherNode = await addressOfNode(cluster, c.node);
  const gateway = await gatewayOf(cluster, a);
  const directions: readonly (readonly [string, string, string])[] = [
    ["pod -> pod on the same node", a.pod.namespace, b.attached.address],
    ["pod -> pod on the other node", a.pod.namespace, c.attached.address],
    ["pod -> its node", a.pod.namespace, nodeAddress],
    ["pod -> the other node", a.pod.namespace, otherNode],
    ["pod -> gateway of the VPC", a.pod.namespace, gateway],
    ["node -> its pod", a.node.namespace, a.attached.address],
    ["node -> pod on the other node", a.node.namespace, c.attached.address],
    ["VPC -> pod", cluster.simulator.routerNamespace, a.attached.address],
  ];
  for (const [title, from, to] of directions) {
    const result = await ping(from, to);
    report.check(
      result.received === result.sent && result.sent > 0,
      `${title.padEnd(30)} ${result.received}/${result.sent} to ${to}`,
    );
  }
  for (const [title, target] of [
    ["on the same node", b.attached.address],
    ["on the other node", c.attached.address],
  ] as const) {
    const result = await spoof(a.pod.namespace, "10.10.99.99", target);
    report.check(
      result.received === 0 && result.sent > 0,
      `spoofed source is dropped, ${title}: ${result.received}/${result.sent} answered`,
    );
  }
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
export async function proveRestart(cluster: Cluster, report: Report): Promise<void> {
  const [a, b, c] = samplePods(cluster);
  const flows = [
    [a.pod.namespace, b.attached.address],
    [a.pod.namespace, c.attached.address],
    [c.pod.namespace, a.attached.address],
  ] as const;
  await proveAgentDeath(cluster, a.node, flows, report);
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

/** Two pods of the first node, one of the second. */
function samplePods(cluster: Cluster): [DemoPod<SimNode>, DemoPod<SimNode>, DemoPod<SimNode>] {
  const [first, second] = cluster.simulator.nodes;
  const here = cluster.pods.filter(({ node }) => node.name === first?.name);
  const there = cluster.pods.find(({ node }) => node.name === second?.name);
  const [a, b] = [here[0], here.at(-1)];
  if (a === undefined || b === undefined || there === undefined)
    throw new Error("the demo needs pods on both nodes");
  return [a, b, there];
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
