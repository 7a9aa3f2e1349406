/**
 * The demo of hybrid nodes: three on-premises nodes in two subnets, pods through the real plugin and agents, packets in
 * every direction, a node unplugged, damage repaired, an agent killed under traffic, and nothing left in the end.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { allEnded } from "../harness/process.ts";
import { hostSnapshot } from "../harness/snapshot.ts";
import { nodeSnapshots, proveMachineClean, proveNodesClean } from "./leftovers.ts";
import { removalOnPrem } from "./name.ts";
import { type Cluster, openCluster, type Settings } from "./onprem-cluster.ts";
import { proveRepairs } from "./onprem-damage.ts";
import {
  proveDirections,
  proveFallback,
  proveHalfFile,
  proveLargest,
  proveRestart,
  proveSourceNat,
  proveSpoof,
  proveStranger,
  proveUnplugged,
  proveUnroutable,
  proveWire,
} from "./onprem-proofs.ts";
import { type Report, table } from "./report.ts";

const PODS_PER_NODE = 3;

const SETTINGS = {
  overlay: { mode: "Overlay", fallback: "None", sourceNAT: true },
  underlay: { mode: "Underlay", fallback: "None", sourceNAT: true },
} as const satisfies Record<string, Settings>;

/** The underlay whose parts are joined by VXLAN. */
const JOINED: Settings = { ...SETTINGS.underlay, fallback: "VXLAN" };

/** Shows all of it. Where it cannot go on it removes what it made, and throws. `keep`: pods and agents are left running. */
export async function demoOnPrem(
  datapath: "overlay" | "underlay",
  name: string,
  report: Report,
  keep: boolean,
): Promise<void> {
  const before = await hostSnapshot();
  report.section(
    "On premises: node-1 and node-2 in 192.168.1.0/24, node-3 behind a router that knows no pods",
  );
  const cluster = await openCluster(name);
  try {
    const nodesBefore = await nodeSnapshots(cluster.nodes);
    await cluster.publish(SETTINGS[datapath]);
    await startAgents(cluster, report);
    await addPods(cluster, report);
    await proveTraffic(datapath, cluster, report);
    report.section("node-2 is unplugged, and plugged in again");
    await proveUnplugged(cluster, report);
    report.section("Damage by hand on node-1, with ip and bridge");
    await proveRepairs(datapath, cluster, report);
    report.section("kill -9 of an agent while its pods talk");
    await proveRestart(cluster, report);
    if (keep) return printKept(cluster, name, report);
    await removePods(cluster, report);
    report.section("Draining: the nodes are cleaned");
    await cluster.drain();
    await proveNodesClean(cluster.nodes, nodesBefore, report);
    await cluster.down();
    await proveMachineClean(name, before, report);
  } catch (error) {
    await cluster.down();
    throw error;
  }
}

async function startAgents(cluster: Cluster, report: Report): Promise<void> {
  report.section("An agent on each node, configured by one file about all nodes");
  const startedMs = performance.now();
  await allEnded(cluster.nodes.map(async (node) => cluster.start(node)));
  report.line(`all serve after ${Math.round(performance.now() - startedMs)} ms`);
}

async function addPods(cluster: Cluster, report: Report): Promise<void> {
  report.section(`${PODS_PER_NODE * cluster.nodes.length} pods, with addresses of their nodes' blocks`);
  await allEnded(
    cluster.nodes.map(async (node) => {
      for (let index = 1; index <= PODS_PER_NODE; index++) {
        await cluster.add(node, index);
        report.progress(`${cluster.pods.length} pods`);
      }
    }),
  );
  const rows = cluster.pods
    .toSorted((a, b) => a.pod.name.localeCompare(b.pod.name))
    .map(({ pod, node, attached }) => [pod.name, node.name, attached.address, attached.tookMs.toFixed(1)]);
  for (const line of table(["POD", "NODE", "ADDRESS", "ADD ms"], rows)) report.line(line);
}

async function proveTraffic(
  datapath: "overlay" | "underlay",
  cluster: Cluster,
  report: Report,
): Promise<void> {
  report.section("Packets in every direction");
  await proveDirections(cluster, report, datapath === "overlay");
  await proveSpoof(cluster, report);
  switch (datapath) {
    case "overlay":
      report.section("On the wire: UDP 8472 with the pods' packets inside");
      await proveWire(cluster, report, { "node-2": "vxlan", "node-3": "vxlan" });
      break;
    case "underlay":
      report.section("On the wire: the pods' packets as they are");
      await proveWire(cluster, report, { "node-2": "plain" });
      report.section("node-3 is not on the link of the others: nothing is invented, the agent says why");
      await proveUnroutable(cluster, report);
      report.section("The file now says fallback VXLAN: node-3 by UDP 8472, node-2 as before");
      await proveFallback(cluster, report, JOINED);
      await proveDirections(cluster, report, true);
      await proveWire(cluster, report, { "node-2": "plain", "node-3": "vxlan" });
      break;
    default:
      datapath satisfies never;
  }
  await proveStranger(cluster, report);
  await proveLargest(cluster, report);
  report.section("Source NAT: a host outside that knows no way to pods");
  const settings = datapath === "overlay" ? SETTINGS.overlay : JOINED;
  await proveSourceNat(cluster, report, settings);
  report.section("The file is replaced by a half of it");
  await proveHalfFile(cluster, report, settings);
}

async function removePods(cluster: Cluster, report: Report): Promise<void> {
  report.section(`Deleting ${cluster.pods.length} pods`);
  const removed = cluster.pods.length;
  await allEnded(
    cluster.nodes.map(async (node) => {
      for (const pod of cluster.pods.filter((one) => one.node.name === node.name)) {
        await cluster.remove(pod);
        report.progress(`${cluster.pods.length} pods left`);
      }
    }),
  );
  report.line(`${removed} pods are gone`);
}

function printKept(cluster: Cluster, name: string, report: Report): void {
  const [node] = cluster.nodes;
  const [pod] = cluster.pods;
  report.section("Left running (KEEP=1). Try:");
  for (const line of [
    `ip netns exec ${node?.namespace} ip route`,
    `ip netns exec ${node?.namespace} bridge fdb show dev terway.1`,
    `ip netns exec ${pod?.pod.namespace} ip address`,
    `edit ${cluster.directory}/hybrid.json, and read ${cluster.directory}/${node?.name}/agent.log`,
    "stop it:",
    ...removalOnPrem(name, tmpdir()),
  ]) {
    report.line(line);
  }
}
