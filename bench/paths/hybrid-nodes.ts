/**
 * Two on-premises nodes with a pod each: joined by ours, and by hand with ip(8) and without any firewall rule. All stand in
 * the same fabric of namespaces (`daemon/netlink/hybrid/lab.ts`); what differs is how the nodes are joined.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import {
  type HybridLab,
  labDesired,
  nodeIp,
  openHybridLab,
  sh,
  vtepMac,
} from "../../daemon/netlink/hybrid/lab.ts";
import { openHybridNetwork } from "../../daemon/netlink/hybrid/network.ts";
import { openSocketThread } from "../../daemon/netlink/socket.ts";
import { type BenchRun } from "../run.ts";
import { type Path } from "./turns.ts";

/** Prefix of the names of namespaces that `openHybridLab` makes in this process. */
export const HYBRID_LAB_NAMES = `tw${process.pid}h`;

const WORKER = new URL("../../daemon/netlink/worker.ts", import.meta.url);
const NODES = [1, 2] as const;

export type OpenPath = AsyncDisposable & { readonly path: Path };

/** With all that the network of a node of ours has. */
export async function openOurNodes(
  run: BenchRun,
  kind: "vxlan" | "direct",
  sourceNat: boolean,
): Promise<OpenPath> {
  const name = `ours, ${kind === "vxlan" ? "overlay" : "underlay"}${sourceNat ? ", source NAT" : ""}`;
  return openNodes(run, name, async (lab) => {
    for (const number of NODES) {
      const nodeNetns = `/run/netns/${lab.node(number)}`;
      await using thread = await openSocketThread(WORKER, { nodeNetns });
      const network = await openHybridNetwork({ thread, nodeNetns });
      if (!network.ok) throw new Error(JSON.stringify(network.fault));
      await using opened = network.value;
      const peers = NODES.filter((other) => other !== number);
      const applied = await opened.apply(labDesired(lab, number, { path: kind, peers, sourceNat }));
      const { failures, refused } = await opened.state();
      if (!applied.ok || failures.length + refused.length > 0)
        throw new Error(`${name}: ${JSON.stringify({ applied, failures, refused })}`);
    }
  });
}

/**
 * A VXLAN device with a neighbour, an FDB entry and a route for the other node, as Flannel makes them. `nat`: with one rule
 * that translates sources, so that connections are tracked.
 */
export async function openHandOverlay(run: BenchRun, nat: boolean): Promise<OpenPath> {
  return openNodes(run, nat ? "VXLAN by hand, source NAT" : "VXLAN by hand", (lab) => {
    for (const number of NODES) {
      const [node, other] = [lab.node(number), 3 - number];
      forwarding(node);
      if (nat) translate(node);
      sh(
        `ip -n ${node} link add vx address ${vtepMac(number)} mtu 1450 type vxlan id 1 local ${nodeIp(number)} dev eth0 dstport 8472 nolearning`,
      );
      sh(`ip -n ${node} address add 10.245.${number}.0/32 dev vx`);
      sh(`ip -n ${node} link set vx up`);
      sh(`ip -n ${node} neighbour add 10.245.${other}.0 lladdr ${vtepMac(other)} dev vx nud permanent`);
      sh(`bridge -n ${node} fdb add ${vtepMac(other)} dst ${nodeIp(other)} dev vx self permanent`);
      sh(`ip -n ${node} route add 10.245.${other}.0/24 via 10.245.${other}.0 dev vx onlink`);
    }
  });
}

/** A route to the other node's block. `nat`: as above. */
export async function openHandRoute(run: BenchRun, nat: boolean): Promise<OpenPath> {
  return openNodes(run, nat ? "plain route, source NAT" : "plain route", (lab) => {
    for (const number of NODES) {
      const [node, other] = [lab.node(number), 3 - number];
      forwarding(node);
      if (nat) translate(node);
      sh(`ip -n ${node} route add 10.245.${other}.0/24 via ${nodeIp(other)}`);
    }
  });
}

async function openNodes(
  run: BenchRun,
  name: string,
  join: (lab: HybridLab) => Promise<void> | void,
): Promise<OpenPath> {
  run.progress(`two nodes: ${name}`);
  const lab = openHybridLab();
  try {
    await join(lab);
    return {
      path: {
        name,
        near: { netns: `/run/netns/${lab.pod(1)}`, address: "10.245.1.9" },
        far: { netns: `/run/netns/${lab.pod(2)}`, address: "10.245.2.9" },
      },
      async [Symbol.asyncDispose]() {
        lab[Symbol.dispose]();
      },
    };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

/** What goes out of the cluster leaves with the node's address: none of the packets that are measured does. */
function translate(node: string): void {
  const text = [
    "add table ip nat",
    "add chain ip nat post { type nat hook postrouting priority srcnat; }",
    "add rule ip nat post ip saddr 10.245.0.0/16 ip daddr != 10.245.0.0/16 masquerade",
  ];
  execFileSync("ip", ["netns", "exec", node, "nft", text.join("\n")], { stdio: "pipe" });
}

function forwarding(node: string): void {
  sh(`ip netns exec ${node} sysctl -qw net.ipv4.ip_forward=1`);
}
