/**
 * A node and a VPC for the tests of this folder, on the kernel: two namespaces and one more for each pod.
 *
 *     node                                vpc: drops what comes in by a port with a source that is not the port's
 *       eth0 10.0.0.10/24  ------- p0     gateway 10.0.0.253
 *       eni0 (no address)  ------- p1     gateway 10.0.1.253, pods 10.0.1.0/24
 *       eni1 (no address)  ------- p2     gateway 10.0.2.253, pods 10.0.2.0/24
 *                                  lo     10.0.9.9, somebody far away
 *
 * With IPv6 the same by fd00:0:0:N::/64 for 10.0.N.0/24: gateway fd00:0:0:N::fd, pods fd00:0:0:N::20 and up.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Result } from "../../proto/result.ts";
import { type EniLink, type PodLink } from "../core/kernel.ts";

export const NODE_ADDRESS = "10.0.0.10";
export const FAR_ADDRESS = "10.0.9.9";
export const NODE_ADDRESS6 = "fd00::10";
export const FAR_ADDRESS6 = "fd00:0:0:9::9";

/** Which addresses pods have. */
export type Stack = "ipv4" | "dual" | "ipv6";

export type Lab = Disposable & {
  readonly node: string;
  readonly vpc: string;
  readonly nodeNetns: string;
  /** The ENI of a slot, 0 or 1. */
  eni(slot: number): EniLink;
  /** A namespace of its own, and the link it is to get; address 10.0.(slot + 1).(number). */
  newPod(slot: number, number: number): PodLink;
  /** The name of a pod's namespace. */
  nameOf(pod: PodLink): string;
  /** Runs a command in a namespace; throws with its output where it fails. */
  run(namespace: string, command: string): string;
  /** Whether one of two packets came back. */
  pings(namespace: string, target: string, source?: string): boolean;
  /** Packets that the VPC dropped for their source. */
  spoofed(): number;
  /** What of the node's network can be seen, sorted. */
  snapshot(): string;
};

let labs = 0;

function nameOf(pod: PodLink): string {
  return pod.netns.slice("/run/netns/".length);
}

/** `rpFilter`: the node's `net.ipv4.conf.all.rp_filter`. Without IPv6 there is none in the VPC. */
export function openLab(rpFilter = 0, stack: Stack = "ipv4"): Lab {
  const name = `tw${process.pid}n${++labs}`;
  const [node, vpc] = [`${name}-node`, `${name}-vpc`];
  const namespaces = [node, vpc];
  const close = (): void => {
    for (const each of namespaces) attempt(`ip netns del ${each}`);
  };
  try {
    build(node, vpc, rpFilter);
    if (stack !== "ipv4") buildIpv6(node, vpc);
  } catch (error) {
    close();
    throw error;
  }
  return {
    node,
    vpc,
    nodeNetns: `/run/netns/${node}`,
    nameOf,
    eni: (slot) => eniOf(node, slot, stack),
    newPod(slot, number) {
      const namespace = `${name}-p${namespaces.length}`;
      sh(`ip netns add ${namespace}`);
      namespaces.push(namespace);
      return {
        hostName: `tw${String(slot)}x${number}`,
        netns: `/run/netns/${namespace}`,
        ifName: "eth0",
        addresses: {
          ...(stack !== "ipv6" && { v4: ip(`10.0.${slot + 1}.${number}`) }),
          ...(stack !== "ipv4" && { v6: ip6(`fd00:0:0:${slot + 1}::${number}`) }),
        },
        datapath: "veth",
        slot,
        mtu: 1400,
      };
    },
    run: (namespace, command) => sh(`ip netns exec ${namespace} ${command}`),
    pings: (namespace, target, source) =>
      attempt(
        `ip netns exec ${namespace} ping -n -c 2 -i 0.02 -W 0.2 ${source === undefined ? "" : `-I ${source}`} ${target}`,
      ),
    spoofed: () =>
      (stack === "ipv4" ? ["ip"] : ["ip", "ip6"])
        .map((family) => sh(`ip netns exec ${vpc} nft list counter ${family} lab spoofed`))
        .reduce((sum, text) => sum + Number(/packets (\d+)/.exec(text)?.[1]), 0),
    snapshot: () => snapshot(node),
    [Symbol.dispose]: close,
  };
}

function build(node: string, vpc: string, rpFilter: number): void {
  for (const each of [node, vpc]) sh(`ip netns add ${each}`);
  sh(
    `ip netns exec ${vpc} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0`,
  );
  sh(
    `ip netns exec ${node} sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=${rpFilter} net.ipv4.conf.default.rp_filter=0`,
  );
  for (const each of [node, vpc]) sh(`ip -n ${each} link set lo up`);
  sh(`ip -n ${vpc} address add ${FAR_ADDRESS}/32 dev lo`);
  ["eth0", "eni0", "eni1"].forEach((device, net) => {
    sh(`ip -n ${node} link add ${device} type veth peer name p${net} netns ${vpc}`);
    sh(`ip -n ${vpc} address add 10.0.${net}.253/32 dev p${net}`);
    sh(`ip -n ${vpc} link set p${net} up`);
    // The VPC knows where each address is: it never asks for one by ARP.
    const mac = linkOf(node, device).address;
    sh(`ip -n ${vpc} neighbour add 192.0.2.1 lladdr ${mac} dev p${net} nud permanent`);
    sh(`ip -n ${vpc} route add 10.0.${net}.0/24 via 192.0.2.1 dev p${net} onlink`);
  });
  const wrong = ["0", "1", "2"].map(
    (net) => `add rule ip lab pre iifname p${net} ip saddr != 10.0.${net}.0/24 counter name spoofed drop`,
  );
  nft(vpc, [
    "add table ip lab",
    "add counter ip lab spoofed",
    "add chain ip lab pre { type filter hook prerouting priority -300; }",
    ...wrong,
  ]);
  nft(node, ["add table ip foreign", "add chain ip foreign c { type filter hook forward priority 0; }"]);
  sh(`ip -n ${node} address add ${NODE_ADDRESS}/24 dev eth0`);
  sh(`ip -n ${node} link set eth0 up`);
  sh(`ip -n ${node} route add default via 10.0.0.253`);
}

function buildIpv6(node: string, vpc: string): void {
  sh(`ip netns exec ${vpc} sysctl -qw net.ipv6.conf.all.forwarding=1`);
  sh(`ip -n ${vpc} address add ${FAR_ADDRESS6}/128 dev lo`);
  ["eth0", "eni0", "eni1"].forEach((device, net) => {
    sh(`ip -n ${vpc} address add fd00:0:0:${net}::fd/128 dev p${net} nodad`);
    const mac = linkOf(node, device).address;
    sh(`ip -n ${vpc} neighbour add fe80::99 lladdr ${mac} dev p${net} nud permanent`);
    sh(`ip -n ${vpc} route add fd00:0:0:${net}::/64 via fe80::99 dev p${net}`);
  });
  nft(vpc, [
    "add table ip6 lab",
    "add counter ip6 lab spoofed",
    "add chain ip6 lab pre { type filter hook prerouting priority -300; }",
    ...["0", "1", "2"].map(
      (net) =>
        `add rule ip6 lab pre iifname p${net} ip6 saddr != { fd00:0:0:${net}::/64, fe80::/10, :: } counter name spoofed drop`,
    ),
  ]);
  sh(`ip -n ${node} address add ${NODE_ADDRESS6}/64 dev eth0 nodad`);
  const gatewayMac = linkOf(vpc, "p0").address;
  sh(`ip -n ${node} neighbour add fd00::fd lladdr ${gatewayMac} dev eth0 nud permanent`);
  sh(`ip -n ${node} route add default via fd00::fd dev eth0`);
}

function eniOf(node: string, slot: number, stack: Stack): EniLink {
  const { ifindex, address } = linkOf(node, `eni${slot}`);
  const net = slot + 1;
  return {
    slot,
    mac: mac(address),
    ifIndex: ifindex,
    primary: ip(`10.0.${net}.10`),
    gateway: ip(`10.0.${net}.253`),
    prefixLength: 24,
    ...(stack !== "ipv4" && { v6: { gateway: ip6(`fd00:0:0:${net}::fd`) } }),
    mtu: 1400,
  };
}

/** What changes by itself a moment after a link was set up. */
const PASSING = /state [A-Z]+|NO-CARRIER,|,LOWER_UP/g;

/** What a device has by itself, as soon as it is up. */
const OWN_ROUTES = /(^| )(fe80::|ff00::|multicast)/;

function linesWithout(text: string, pattern: RegExp): string {
  return text
    .split("\n")
    .filter((line) => !pattern.test(line))
    .join("\n");
}

/** Rules, routes, permanent neighbours, links, addresses, nftables, and the settings of all devices. */
function snapshot(node: string): string {
  const settings = sh(`ip netns exec ${node} sysctl -a --pattern ^net\\.ipv4\\.(conf|ip_forward)`);
  const settings6 = sh(
    `ip netns exec ${node} sysctl -a --pattern ^net\\.ipv6\\.conf.*(forwarding|accept_ra|disable_ipv6)$`,
  );
  return [
    sh(`ip -n ${node} rule`),
    sh(`ip -n ${node} -4 route show table all`),
    sh(`ip -n ${node} -6 rule`),
    linesWithout(sh(`ip -n ${node} -6 route show table all`), OWN_ROUTES),
    sh(`ip -n ${node} -6 neighbour show nud permanent`),
    sh(`ip -n ${node} -4 neighbour show nud permanent`),
    sh(`ip -n ${node} -d link show`).replaceAll(PASSING, ""),
    sh(`ip -n ${node} -4 address show`).replaceAll(PASSING, ""),
    sh(`ip netns exec ${node} nft list ruleset`),
    settings,
    settings6,
  ].join("\n");
}

function linkOf(namespace: string, device: string): { readonly ifindex: number; readonly address: string } {
  const [link]: readonly { readonly ifindex: number; readonly address: string }[] = JSON.parse(
    sh(`ip -n ${namespace} -j link show ${device}`),
  );
  if (link === undefined) throw new Error(`${device} is not in ${namespace}`);
  return link;
}

function nft(namespace: string, lines: readonly string[]): void {
  execFileSync("ip", ["netns", "exec", namespace, "nft", lines.join("\n")], { stdio: "pipe" });
}

/** Words of `command` are separated by blanks; there is no shell. */
export function sh(command: string): string {
  const [file = "", ...args] = command.split(" ").filter((word) => word !== "");
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Whether the command succeeded. */
export function attempt(command: string): boolean {
  try {
    sh(command);
    return true;
  } catch {
    return false;
  }
}

/** The value, where a test cannot go on without it. */
export function must<Value>(result: Result<Value>): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.fault));
  return result.value;
}

/** The pod's IPv4 address, where it has to have one. */
export function v4({ addresses }: Pick<PodLink, "addresses">): Ipv4 {
  if (addresses.v4 === undefined) throw new Error("a pod without an IPv4 address");
  return addresses.v4;
}

/** The pod's IPv6 address, where it has to have one. */
export function v6({ addresses }: Pick<PodLink, "addresses">): Ipv6 {
  if (addresses.v6 === undefined) throw new Error("a pod without an IPv6 address");
  return addresses.v6;
}

export function ip6(text: string): Ipv6 {
  const parsed = parseIpv6(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

export function ip(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

export function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new Error(`not a MAC: ${text}`);
  return parsed;
}
