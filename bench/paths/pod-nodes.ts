/**
 * Nodes with pods: ours, made by the real kernel port, and two by hand. All stand before the same VPC of two namespaces
 * (`daemon/netlink/lab.ts`); what differs is the node alone.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { parseMac } from "../../proto/addr.ts";
import { type PodLink } from "../../daemon/core/kernel.ts";
import { openKernel, type OpenKernel } from "../../daemon/netlink/kernel.ts";
import { FAR_ADDRESS, type Lab, must, openLab, sh } from "../../daemon/netlink/lab.ts";
import { type BenchRun } from "../run.ts";
import { type Path } from "./turns.ts";

/** Prefix of the names of namespaces that `openLab` makes in this process. */
export const LAB_NAMES = `tw${process.pid}n`;

/** More would take the addresses of the lab's gateway. */
const PODS_MAX = 250;
/** Of the pod that is measured on a node made by hand. */
const HAND_POD = 100;
/** Upstream's: 1000 + the index of the ENI. */
const UPSTREAM_TABLE = 1007;
/** Upstream's priorities of the rules to and from a pod. */
const UPSTREAM_PRIORITY = { to: 512, from: 2048 };

/** From now on the node can have pods of ipvlan; before its ENIs are configured. */
export async function useIpvlan({ ipvlan }: Pick<OpenKernel, "ipvlan">, lab: Lab): Promise<void> {
  const primaryMac = parseMac(macOf(lab.node, "eth0"));
  if (primaryMac === undefined) throw new Error(`${lab.node} has no eth0`);
  must(await ipvlan.use({ primaryMac, hostStack: [] }));
}

/** A node with so many pods of ours on one ENI; the path is that of the pod in the middle. */
export async function openOurNode(
  run: BenchRun,
  pods: number,
  datapath: PodLink["datapath"] = "veth",
): Promise<Disposable & { readonly path: Path }> {
  if (pods > PODS_MAX) throw new RangeError(`${pods} pods are more than ${PODS_MAX}`);
  run.progress(`a node of ours with ${counted(pods)}`);
  const lab = openLab();
  try {
    await using kernel = await openKernel({ nodeNetns: lab.nodeNetns });
    if (datapath === "ipvlan") await useIpvlan(kernel, lab);
    must(await kernel.prepareHost());
    must(await kernel.configureEni(lab.eni(0)));
    const links = [];
    for (let number = 1; number <= pods; number++) {
      run.signal.throwIfAborted();
      const link = { ...lab.newPod(0, number), datapath };
      must(await kernel.attachPod(link));
      links.push(link);
    }
    const middle = Math.ceil(pods / 2);
    const netns = links[middle - 1]?.netns ?? "";
    const path = pathOf(lab, `ours, ${counted(pods)}`, netns, podAddress(middle));
    return { path, [Symbol.dispose]: () => lab[Symbol.dispose]() };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

/** Forwarding and one route in each direction: what any routed pair of veths costs. */
export function openPlainNode(run: BenchRun): Disposable & { readonly path: Path } {
  return openHandNode(run, "routed veth, no rules", (node) => {
    sh(`ip -n ${node} route replace default via 10.0.1.253 dev eni0 onlink`);
  });
}

/**
 * Upstream's layout: for each pod a route in the main table and two rules. The pod in the middle is measured: rules are
 * walked one after the other, so the first costs less and the last twice as much.
 */
export function openUpstreamNode(run: BenchRun, pods: number): Disposable & { readonly path: Path } {
  return openHandNode(run, `two rules a pod, ${counted(pods)}`, (node) => {
    const middle = Math.ceil(pods / 2);
    const addresses = Array.from({ length: pods }, (_, at) =>
      at + 1 === middle ? podAddress(HAND_POD) : `10.0.3.${at + 1}`,
    );
    const lines = addresses.flatMap((address) => [
      `route replace ${address}/32 dev cali0`,
      `rule add from all to ${address} priority ${UPSTREAM_PRIORITY.to} lookup main`,
      `rule add from ${address} priority ${UPSTREAM_PRIORITY.from} lookup ${UPSTREAM_TABLE}`,
    ]);
    sh(`ip -n ${node} route add default via 10.0.1.253 dev eni0 onlink table ${UPSTREAM_TABLE}`);
    execFileSync("ip", ["-n", node, "-batch", "-"], { input: lines.join("\n"), stdio: "pipe" });
  });
}

/** A pod and an ENI, permanent neighbours on every side, forwarding on and rp_filter off; `route` adds the ways. */
function openHandNode(
  run: BenchRun,
  name: string,
  route: (node: string) => void,
): Disposable & { readonly path: Path } {
  run.progress(`a node with ${name}`);
  const lab = openLab();
  try {
    const { node, vpc } = lab;
    const link = lab.newPod(0, HAND_POD);
    const pod = lab.nameOf(link);
    const address = podAddress(HAND_POD);
    sh(`ip -n ${node} link add cali0 mtu ${link.mtu} type veth peer name eth0 mtu ${link.mtu} netns ${pod}`);
    for (const [namespace, device] of [
      [node, "cali0"],
      [node, "eni0"],
      [pod, "lo"],
      [pod, "eth0"],
    ])
      sh(`ip -n ${namespace} link set ${device} up`);
    sh(`ip -n ${pod} address add ${address}/32 dev eth0`);
    sh(`ip -n ${pod} route add default via 169.254.1.1 dev eth0 onlink`);
    permanent(pod, "169.254.1.1", "eth0", macOf(node, "cali0"));
    permanent(node, address, "cali0", macOf(pod, "eth0"));
    permanent(node, "10.0.1.253", "eni0", macOf(vpc, "p1"));
    sh(`ip netns exec ${node} sysctl -qw net.ipv4.ip_forward=1`);
    sh(`ip -n ${node} route add ${address}/32 dev cali0`);
    route(node);
    return {
      path: pathOf(lab, name, link.netns, address),
      [Symbol.dispose]: () => lab[Symbol.dispose](),
    };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

function pathOf(lab: Lab, name: string, podNetns: string, address: string): Path {
  return {
    name,
    near: { netns: podNetns, address },
    far: { netns: `/run/netns/${lab.vpc}`, address: FAR_ADDRESS },
  };
}

function counted(pods: number): string {
  return pods === 1 ? "1 pod" : `${pods} pods`;
}

/** Of `lab.newPod(0, number)`. */
function podAddress(number: number): string {
  return `10.0.1.${number}`;
}

function permanent(namespace: string, address: string, device: string, mac: string): void {
  sh(`ip -n ${namespace} neighbour add ${address} lladdr ${mac} dev ${device} nud permanent`);
}

function macOf(namespace: string, device: string): string {
  return sh(`ip netns exec ${namespace} cat /sys/class/net/${device}/address`).trim();
}
