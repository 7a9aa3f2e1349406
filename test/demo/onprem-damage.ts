/**
 * The on-premises demo's damage: what the agent has made is spoiled by hand, and has to be there again.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { ping } from "../harness/traffic.ts";
import { blockOf, type Cluster, vtepMacOf } from "./onprem-cluster.ts";
import { sampleOf } from "./onprem-proofs.ts";
import { type Report } from "./report.ts";

/** Promised: within two seconds. */
const REPAIR_MS = 2_000;
/** How long it is waited for, so that a late repair is shown with its time. */
const WAIT_MS = 10_000;

type Damage = {
  readonly title: string;
  /** On node-1; each has to succeed. */
  readonly commands: readonly string[];
  /** Whose answer has to be as before. */
  readonly looks: readonly string[];
};

/** Each damage of node-1 by itself, with the time of its repair; packets flow afterwards. */
export async function proveRepairs(
  datapath: "overlay" | "underlay",
  cluster: Cluster,
  report: Report,
): Promise<void> {
  const { a, c, d } = sampleOf(cluster);
  for (const damage of damages(datapath, cluster)) {
    const before = await answers(cluster, damage);
    for (const command of damage.commands) await onNode(cluster, command);
    const startedMs = performance.now();
    await until(
      `repair: ${damage.title}`,
      async () => (await answers(cluster, damage)) === before,
      WAIT_MS,
      5,
    );
    const tookMs = Math.round(performance.now() - startedMs);
    const pings = await Promise.all(
      [c, d].map(async ({ attached }) => ping(a.pod.namespace, attached.address)),
    );
    const received = pings.reduce((sum, result) => sum + result.received, 0);
    const sent = pings.reduce((sum, result) => sum + result.sent, 0);
    report.check(
      tookMs <= REPAIR_MS && received === sent && sent > 0,
      `${damage.title.padEnd(44)} repaired in ${`${tookMs}`.padStart(4)} ms, then ${received}/${sent}`,
    );
  }
}

/** In an underlay node-2 is reached by the link, so that the overlay's objects of its demo are those of node-3. */
function damages(datapath: "overlay" | "underlay", cluster: Cluster): readonly Damage[] {
  const { c, d } = sampleOf(cluster);
  const peer = datapath === "overlay" ? c.node : d.node;
  const block = blockOf(peer);
  const vtep = block.replace("/24", "");
  const device = "terway.1";
  const link = `ip -d -o link show dev ${device}`;
  const routes = `ip route show dev ${device}`;
  const fdb = `bridge fdb show dev ${device}`;
  const neighbours = `ip neigh show dev ${device} nud permanent`;
  const direct = `ip route show ${blockOf(c.node)}`;
  const all = [link, routes, fdb, neighbours, `ip -o -4 address show dev ${device}`];
  return [
    ...(datapath === "underlay"
      ? [{ title: "direct route deleted", commands: [`ip route del ${blockOf(c.node)}`], looks: [direct] }]
      : []),
    { title: "route of the overlay deleted", commands: [`ip route del ${block}`], looks: [routes] },
    {
      title: "FDB entry deleted",
      commands: [`bridge fdb del ${vtepMacOf(peer)} dev ${device} dst ${peer.address}`],
      looks: [fdb],
    },
    { title: "neighbour deleted", commands: [`ip neigh del ${vtep} dev ${device}`], looks: [neighbours] },
    {
      title: "MAC of the device changed",
      commands: [`ip link set ${device} address 0a:58:00:00:00:77`],
      looks: all,
    },
    { title: "MTU of the device changed", commands: [`ip link set ${device} mtu 1280`], looks: all },
    { title: "addresses of the device flushed", commands: [`ip address flush dev ${device}`], looks: all },
    { title: "device set down", commands: [`ip link set ${device} down`], looks: all },
    { title: "device deleted", commands: [`ip link del ${device}`], looks: all },
  ];
}

/** Sorted, and without the number of a device, which is another one after a repair. */
async function answers(cluster: Cluster, { looks }: Damage): Promise<string> {
  const texts = await Promise.all(
    looks.map(async (look) => {
      const [file = "", ...args] = look.split(" ");
      return (await cluster.site.run("node-1", file, ...args)).stdout.replaceAll(/^\d+: /gm, "");
    }),
  );
  return texts.flatMap((text) => text.split("\n").toSorted()).join("\n");
}

async function onNode(cluster: Cluster, command: string): Promise<void> {
  const [file = "", ...args] = command.split(" ");
  await cluster.site.must("node-1", file, ...args);
}
