/**
 * The demo of ENIs: two nodes on a simulated VPC, forty pods through the real plugin and agents, packets in every
 * direction, an agent killed under traffic, and nothing left in the end.
 *
 * @module
 */
import { allEnded } from "../harness/process.ts";
import { hostSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { nodeSnapshots, proveMachineClean, proveNodesClean } from "./leftovers.ts";
import { type SimEni, type SimNode } from "../harness/simulator.ts";
import { type Cluster, type EniDatapath, openCluster } from "./vpc-cluster.ts";
import { removalCommand } from "./name.ts";
import { addressesOf, proveOrder, proveRestart, proveSettling, proveTraffic } from "./vpc-proofs.ts";
import { type Report, table } from "./report.ts";

const PODS_PER_NODE = 20;
const IDLE_MAX = 5;

/** Shows all of it. Where it cannot go on it removes what it made, and throws. `keep`: pods and agents are left running. */
export async function demoVpc(
  name: string,
  datapath: EniDatapath,
  report: Report,
  keep: boolean,
): Promise<void> {
  const before = await hostSnapshot();
  report.section("A VPC: two zones, three vSwitches for pods (the first one small), two nodes ecs.g7.xlarge");
  const cluster = await openCluster(name, datapath);
  try {
    const nodesBefore = await nodeSnapshots(cluster.nodes);
    await startAgents(cluster, report);
    await addPods(cluster, report);
    const enis = await cluster.simulator.enis();
    printPods(cluster, enis, report);
    proveOrder(cluster, enis, report);
    report.section("Packets in every direction");
    await proveTraffic(cluster, report);
    report.section("kill -9 of an agent while its pods talk");
    await proveRestart(cluster, datapath, report);
    if (keep) return printKept(cluster, name, report);
    await removePods(cluster, report);
    report.section("Draining: every ENI goes back, the nodes are cleaned");
    await cluster.drain();
    await proveNothingLeft(cluster, report, nodesBefore);
    await cluster.down();
    await proveMachineClean(name, before, report);
  } catch (error) {
    await cluster.down();
    throw error;
  }
}

async function startAgents(cluster: Cluster, report: Report): Promise<void> {
  report.section("An agent on each node, configured by eni-config");
  const startedMs = performance.now();
  await allEnded(cluster.nodes.map((node) => cluster.start(node)));
  report.line(`both serve after ${Math.round(performance.now() - startedMs)} ms`);
}

async function addPods(cluster: Cluster, report: Report): Promise<void> {
  const total = PODS_PER_NODE * cluster.nodes.length;
  report.section(`${total} pods, one after the other on each node`);
  const addAll = async (node: SimNode): Promise<void> => {
    for (let index = 1; index <= PODS_PER_NODE; index++) {
      await cluster.add(node, index);
      report.progress(`${cluster.pods.length} of ${total} pods`);
    }
  };
  await allEnded(cluster.nodes.map(addAll));
}

/** The agent's log has the time of each phase; the rest of the exec is the plugin's own start. */
function phases(cluster: Cluster, node: SimNode, address: string): { waitedMs: number; kernelMs: number } {
  const lines = (cluster.agents.get(node.name)?.process.output() ?? "").split("\n");
  const line = lines.find((text) => text.includes('"pod attached"') && text.includes(`"${address}"`));
  const entry: unknown = line === undefined ? {} : JSON.parse(line);
  const field = (name: string): number =>
    typeof entry === "object" && entry !== null
      ? Number(Object.entries(entry).find(([key]) => key === name)?.[1])
      : Number.NaN;
  return { waitedMs: field("waitedMs"), kernelMs: field("kernelMs") };
}

function printPods(cluster: Cluster, enis: readonly SimEni[], report: Report): void {
  const rows = cluster.pods
    .toSorted((a, b) => a.node.name.localeCompare(b.node.name))
    .map(({ pod, node, attached }) => {
      const eni = enis.find(({ addresses }) => addresses.includes(attached.address));
      const { waitedMs, kernelMs } = phases(cluster, node, attached.address);
      const plugin = attached.tookMs - waitedMs - kernelMs;
      const numbers = [waitedMs, kernelMs, plugin, attached.tookMs].map((ms) => ms.toFixed(1));
      return [pod.name, node.name, eni?.id ?? "?", eni?.vSwitch ?? "?", attached.address, ...numbers];
    });
  const header = ["POD", "NODE", "ENI", "VSWITCH", "ADDRESS", "POOL", "KERNEL", "PLUGIN", "TOTAL ms"];
  for (const line of table(header, rows)) report.line(line);
}

async function removePods(cluster: Cluster, report: Report): Promise<void> {
  const total = cluster.pods.length;
  report.section(`Deleting ${total} pods; each pool settles at max_pool_size`);
  const removeAll = async (node: SimNode): Promise<void> => {
    for (const pod of cluster.pods.filter(({ node: { name } }) => name === node.name)) {
      await cluster.remove(pod);
      report.progress(`${total - cluster.pods.length} of ${total} pods deleted`);
    }
  };
  await allEnded(cluster.nodes.map(removeAll));
  await proveSettling(cluster, report, IDLE_MAX);
}

async function proveNothingLeft(
  cluster: Cluster,
  report: Report,
  before: ReadonlyMap<string, Snapshot>,
): Promise<void> {
  const enis = await cluster.simulator.enis();
  for (const node of cluster.nodes) {
    const held = addressesOf(enis, node).length;
    report.check(held === 0, `cloud: ${held} addresses left on ENIs of ${node.name}`);
  }
  await proveNodesClean(cluster.nodes, before, report);
  const orphans = enis.filter((eni) => !eni.isPrimary);
  report.check(orphans.length === 0, `cloud: ${orphans.length} ENIs without an owner`);
  for (const broken of await cluster.simulator.brokenInvariants()) report.check(false, `cloud: ${broken}`);
}

function printKept(cluster: Cluster, name: string, report: Report): void {
  const [node] = cluster.nodes;
  const [pod] = cluster.pods;
  report.section("Left running (KEEP=1). Try:");
  for (const line of [
    `dist/bin/terway-sim state --name ${name}`,
    `dist/bin/terway-sim calls --name ${name}`,
    `dist/bin/terway-sim exec --name ${name} ${node?.name} -- ip rule`,
    `ip netns exec ${pod?.pod.namespace} ip address`,
    `dist/bin/terway-sim fault add --help`,
    `stop it:  kill ${[...cluster.agents.values()].map((agent) => agent.process.pid).join(" ")}; ${removalCommand(name)};`,
    `          rm -r ${cluster.directory}`,
  ]) {
    report.line(line);
  }
}
