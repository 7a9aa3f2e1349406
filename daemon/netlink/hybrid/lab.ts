/**
 * On-premises nodes for the tests of this folder, on the kernel: a namespace each, one for the fabric between them and one
 * for somebody outside who knows nodes and no pods.
 *
 *     node 1, node 2  10.10.0.1, .2  --- bridge --- fabric 10.10.0.254, 10.20.0.254, 192.0.2.254 --- outside 192.0.2.9
 *     node 3          10.20.0.3      --------------'
 *
 * Node N has the block 10.245.N.0/24 and a pod 10.245.N.9, linked as the agent would; IPv6 likewise (fd00:10::N, fd00:20::3,
 * fd00:245:N::/64).
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../../proto/cidr6.ts";
import { type HybridDesired, type HybridPeer, overlayMtu } from "../../core/hybrid/desired.ts";

export type NodeNumber = 1 | 2 | 3;

export type HybridLab = Disposable & {
  readonly outside: string;
  readonly fabric: string;
  node(number: NodeNumber): string;
  pod(number: NodeNumber): string;
  /** Runs a command in a namespace; throws with its output where it fails. Words are separated by blanks. */
  run(namespace: string, command: string): string;
  /** Whether one of three packets came back. */
  pings(namespace: string, target: string, source?: string): boolean;
  uplinkIndex(number: NodeNumber): number;
  /** What of a node's network can be seen but counters and times. */
  snapshot(number: NodeNumber): string;
};

/** Settings of one desired network of the lab. */
export type LabSettings = {
  readonly path?: HybridPeer["path"];
  readonly sourceNat?: boolean;
  readonly ipv6?: boolean;
  readonly peers?: readonly NodeNumber[];
  readonly unroutable?: readonly NodeNumber[];
  readonly complete?: boolean;
  readonly mtu?: number;
};

let labs = 0;

/** Namespaces are left by nobody: they go with disposal, also where the building failed. */
export function openHybridLab(): HybridLab {
  const name = `tw${process.pid}h${++labs}`;
  const node = (number: NodeNumber): string => `${name}-n${number}`;
  const pod = (number: NodeNumber): string => `${name}-p${number}`;
  const [fabric, outside] = [`${name}-f`, `${name}-o`];
  const numbers: readonly NodeNumber[] = [1, 2, 3];
  const all = [fabric, outside, ...numbers.flatMap((number) => [node(number), pod(number)])];
  const close = (): void => {
    for (const each of all) attempt(`ip netns del ${each}`);
  };
  try {
    for (const each of all) sh(`ip netns add ${each}`);
    for (const each of all) {
      sh(`ip -n ${each} link set lo up`);
      // No fe80:: addresses of the kernel, which come some time after a link is up.
      sh(`ip netns exec ${each} sysctl -qw net.ipv6.conf.default.addr_gen_mode=1`);
    }
    buildFabric(fabric, outside);
    for (const number of numbers) {
      buildNode(node(number), fabric, number);
      buildPod(node(number), pod(number), number);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    outside,
    fabric,
    node,
    pod,
    run: (namespace, command) => sh(`ip netns exec ${namespace} ${command}`),
    pings: (namespace, target, source) =>
      attempt(
        `ip netns exec ${namespace} ping -n -c 3 -i 0.02 -W 0.3 ${source === undefined ? "" : `-I ${source}`} ${target}`,
      ),
    uplinkIndex: (number) => indexOf(node(number), "eth0"),
    snapshot: (number) => snapshot(node(number)),
    [Symbol.dispose]: close,
  };
}

/** The network as node `number` has to have it. */
export function labDesired(lab: HybridLab, number: NodeNumber, settings: LabSettings = {}): HybridDesired {
  const { path = "vxlan", sourceNat = true, ipv6 = false, complete = true } = settings;
  const local = ip4(nodeIp(number));
  const peers = settings.peers ?? ([1, 2, 3] as const).filter((other) => other !== number);
  return {
    complete,
    uplink: { name: "eth0", ifIndex: lab.uplinkIndex(number) },
    blocks: blocksOf(number, ipv6),
    ...(path === "vxlan" && {
      overlay: {
        vni: 1,
        udpPort: 8472,
        mac: vtepMac(number),
        mtu: settings.mtu ?? overlayMtu(1500, local),
        local,
      },
    }),
    peers: peers.map((other) => labPeer(other, path, ipv6)),
    unroutable: (settings.unroutable ?? []).map((other) => labPeer(other, path, ipv6)),
    sourceNat: {
      enabled: sourceNat,
      exempt: [cidr("10.245.0.0/16"), ...(ipv6 ? [cidr("fd00:245::/32")] : [])],
      exemptNodes: [],
    },
  };
}

/** A node of the lab as the others see it. */
export function labPeer(number: number, path: HybridPeer["path"], ipv6 = false): HybridPeer {
  const v6 = parseIpv6(`fd00:${subnetOf(number)}::${number.toString(16)}`);
  return {
    name: `node${number}`,
    blocks: blocksOf(number, ipv6),
    nodeIps: { v4: ip4(nodeIp(number)), ...(ipv6 && v6 !== undefined && { v6 }) },
    vtepMac: vtepMac(number),
    path,
  };
}

export function nodeIp(number: number): string {
  return `10.${subnetOf(number)}.0.${number}`;
}

export function vtepMac(number: number): Mac {
  return mac(`0a:58:00:00:${hex(number >> 8)}:${hex(number & 255)}`);
}

function blocksOf(number: number, ipv6: boolean): readonly IpCidr[] {
  const block = cidr(`10.245.${number}.0/24`);
  return ipv6 ? [block, cidr(`fd00:245:${number}::/64`)] : [block];
}

function subnetOf(number: number): number {
  return number === 3 ? 20 : 10;
}

function buildFabric(fabric: string, outside: string): void {
  const settings =
    "net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0";
  sh(`ip netns exec ${fabric} sysctl -qw ${settings}`);
  sh(`ip -n ${fabric} link add br10 type bridge`);
  sh(`ip -n ${fabric} link add br20 type bridge`);
  for (const subnet of [10, 20]) {
    sh(`ip -n ${fabric} link set br${subnet} up`);
    sh(`ip -n ${fabric} address add 10.${subnet}.0.254/24 dev br${subnet}`);
    for (const prefix of [`fd00:${subnet}::`, "fe80::"])
      sh(`ip -n ${fabric} address add ${prefix}254/64 dev br${subnet} nodad`);
  }
  sh(`ip -n ${fabric} link add o type veth peer name eth0 netns ${outside}`);
  sh(`ip -n ${fabric} address add 192.0.2.254/24 dev o`);
  sh(`ip -n ${fabric} link set o up`);
  sh(`ip -n ${outside} address add 192.0.2.9/24 dev eth0`);
  sh(`ip -n ${outside} link set eth0 up`);
  sh(`ip -n ${outside} route add default via 192.0.2.254`);
}

function buildNode(node: string, fabric: string, number: NodeNumber): void {
  const subnet = subnetOf(number);
  // ICMP errors without a limit: tests ask for more of them than a host sends in a second.
  const settings =
    "net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0";
  sh(`ip netns exec ${node} sysctl -qw ${settings}`);
  sh(`ip -n ${fabric} link add n${number} type veth peer name eth0 netns ${node}`);
  sh(`ip -n ${fabric} link set n${number} master br${subnet} up`);
  sh(`ip -n ${node} address add ${nodeIp(number)}/24 dev eth0`);
  sh(`ip -n ${node} address add fd00:${subnet}::${number}/64 dev eth0 nodad`);
  // Whom packets go on to by the wire is asked for from this address.
  sh(`ip -n ${node} address add fe80::${number}/64 dev eth0 nodad`);
  sh(`ip -n ${node} link set eth0 up`);
  sh(`ip -n ${node} route add default via 10.${subnet}.0.254`);
  sh(`ip -n ${node} route add default via fd00:${subnet}::254`);
}

/** As the agent links pods: the host's end has no address, the pod's gateway is a neighbour of its MAC. */
function buildPod(node: string, pod: string, number: NodeNumber): void {
  const [hostMac, podMac] = [`0a:57:00:00:00:0${number}`, `0a:56:00:00:00:0${number}`];
  sh(`ip -n ${node} link add pod address ${hostMac} type veth peer name eth0 address ${podMac} netns ${pod}`);
  sh(`ip netns exec ${node} sysctl -qw net.ipv4.conf.pod.forwarding=1 net.ipv6.conf.pod.force_forwarding=1`);
  sh(`ip -n ${node} link set pod up`);
  sh(`ip -n ${pod} link set eth0 mtu 1450 up`);
  const families = [
    [`10.245.${number}.9`, 32, "169.254.1.1"],
    [`fd00:245:${number}::9`, 128, "fe80::1"],
  ] as const;
  for (const [address, bits, gateway] of families) {
    sh(`ip -n ${node} route add ${address}/${bits} dev pod`);
    sh(`ip -n ${node} neighbour add ${address} lladdr ${podMac} dev pod nud permanent`);
    sh(`ip -n ${pod} address add ${address}/${bits} dev eth0${bits === 128 ? " nodad" : ""}`);
    sh(`ip -n ${pod} neighbour add ${gateway} lladdr ${hostMac} dev eth0 nud permanent`);
    sh(`ip -n ${pod} route add default via ${gateway} dev eth0 onlink`);
  }
}

const CHANGING = /^\s*(valid_lft|RX|TX|\d+ +\d).*$/gm;

function snapshot(node: string): string {
  return [
    sh(`ip -n ${node} route show table all`).replaceAll(/ (expires|pref) \S+/g, ""),
    sh(`ip -n ${node} -6 route show table all`).replaceAll(/ (expires|pref) \S+/g, ""),
    sh(`ip -n ${node} neighbour show nud permanent`),
    sh(`ip netns exec ${node} bridge fdb show`),
    sh(`ip -n ${node} -d address show`).replaceAll(CHANGING, ""),
    sh(`ip netns exec ${node} nft list ruleset`),
    sh(
      `ip netns exec ${node} sysctl -a --pattern ^net\\.ipv4\\.(conf|ip_forward)|force_forwarding|ipv6.conf.all.forwarding`,
    ),
  ].join("\n");
}

export function indexOf(namespace: string, device: string): number {
  const [link]: readonly { readonly ifindex: number }[] = JSON.parse(
    sh(`ip -n ${namespace} -j link show ${device}`),
  );
  if (link === undefined) throw new Error(`${device} is not in ${namespace}`);
  return link.ifindex;
}

/** Words of `command` are separated by blanks; there is no shell. */
export function sh(command: string): string {
  const [file = "", ...args] = command.split(" ").filter((word) => word !== "");
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function attempt(command: string): boolean {
  try {
    sh(command);
    return true;
  } catch {
    return false;
  }
}

export function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(`not a network: ${text}`);
  return parsed.value;
}

export function ip4(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

export function ip6(text: string): Ipv6 {
  const parsed = parseIpv6(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(`not a MAC: ${text}`);
  return parsed;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
