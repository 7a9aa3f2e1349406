/**
 * Two on-premises nodes with a pod each: joined by ours, and by hand with ip(8) and without any firewall rule. All stand in
 * the same fabric of namespaces (`daemon/netlink/hybrid/lab.ts`); what differs is how the nodes are joined.
 *
 * @module
 */
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

/** With source NAT and all else that a node of ours has. */
export async function openOurNodes(run: BenchRun, kind: "vxlan" | "direct"): Promise<OpenPath> {
  const name = kind === "vxlan" ? "ours, overlay" : "ours, underlay";
  return openNodes(run, name, async (lab) => {
    for (const number of NODES) {
      const nodeNetns = `/run/netns/${lab.node(number)}`;
      await using thread = await openSocketThread(WORKER, { nodeNetns });
      const network = await openHybridNetwork({ thread, nodeNetns });
      if (!network.ok) throw new Error(JSON.stringify(network.fault));
      await using opened = network.value;
      const peers = NODES.filter((other) => other !== number);
      const applied = await opened.apply(labDesired(lab, number, { path: kind, peers }));
      const { failures, refused } = await opened.state();
      if (!applied.ok || failures.length + refused.length > 0)
        throw new Error(`${name}: ${JSON.stringify({ applied, failures, refused })}`);
    }
  });
}

/** A VXLAN device with a neighbour, an FDB entry and a route for the other node, as Flannel makes them. */
export async function openHandOverlay(run: BenchRun): Promise<OpenPath> {
  return openNodes(run, "VXLAN by hand", (lab) => {
    for (const number of NODES) {
      const [node, other] = [lab.node(number), 3 - number];
      forwarding(node);
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

/** A route to the other node's block. */
export async function openHandRoute(run: BenchRun): Promise<OpenPath> {
  return openNodes(run, "plain route", (lab) => {
    for (const number of NODES) {
      const [node, other] = [lab.node(number), 3 - number];
      forwarding(node);
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

function forwarding(node: string): void {
  sh(`ip netns exec ${node} sysctl -qw net.ipv4.ip_forward=1`);
}
