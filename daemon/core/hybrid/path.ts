/**
 * How two nodes reach each other's pods: one function of what both publish, so that both come to the same. A pair of which
 * one end routes and the other tunnels loses its packets to strict reverse-path filtering.
 *
 * @module
 */
import { type Ipv4 } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6 } from "../../../proto/addr6.ts";
import { contains, networkOf } from "../../../proto/cidr6.ts";
import { type HostAddress, type HybridNetwork, type HybridNode } from "./network.ts";

export type Path =
  /** The node itself. */
  | { readonly kind: "local" }
  /** A route by the link that both are on. */
  | { readonly kind: "direct" }
  | { readonly kind: "vxlan" }
  /** The network's routers know the way; the node's default route leads to them. */
  | { readonly kind: "fabric" }
  /** No packet is sent anywhere on a guess. `reason`: for people, the same at both ends. */
  | { readonly kind: "unroutable"; readonly reason: string };

type Settings = Pick<HybridNetwork, "mode" | "fallback"> & {
  readonly vxlan: Pick<HybridNetwork["vxlan"], "directRouting">;
};

/** Symmetric: `pathBetween(a, b, …)` equals `pathBetween(b, a, …)`. Neither record is a refused one. */
export function pathBetween(a: HybridNode, b: HybridNode, settings: Settings): Path {
  if (a.name === b.name) return { kind: "local" };
  const pair = a.name < b.name ? ([a, b] as const) : ([b, a] as const);
  const noDirect = whyNotDirect(pair, settings);
  if (noDirect === undefined) return { kind: "direct" };
  const noVxlan = whyNotVxlan(pair, settings);
  if (noVxlan === undefined) return { kind: "vxlan" };
  if (pair.every(({ capabilities }) => capabilities.includes("fabric"))) return { kind: "fabric" };
  return { kind: "unroutable", reason: `${noDirect}; ${noVxlan}` };
}

/** Whether nodes of the network need a VXLAN device. */
export function usesVxlan({ mode, fallback }: Pick<Settings, "mode" | "fallback">): boolean {
  return mode === "Overlay" || fallback === "VXLAN";
}

/** The address that the node's VXLAN packets have outside: IPv4 where it has one. */
export function vtepAddress({ nodeIp, nodeIpv6 }: HybridNode): IpAddress {
  const host = nodeIp ?? nodeIpv6;
  if (host === undefined) throw new Error("a record without an address was not refused");
  return host.ip;
}

type Pair = readonly [HybridNode, HybridNode];

function whyNotDirect(pair: Pair, { mode, vxlan }: Settings): string | undefined {
  if (mode === "Overlay" && !vxlan.directRouting) return "mode is Overlay without directRouting";
  const unable = pair.find(({ capabilities }) => !capabilities.includes("direct"));
  if (unable !== undefined) return `${unable.name} has not the capability direct`;
  const [a, b] = pair;
  const v4 = whyApart(pair, [a.nodeIp, b.nodeIp], "nodeIP");
  if (v4 !== undefined) return v4;
  const needsV6 = a.blockV6 !== undefined && b.blockV6 !== undefined;
  return needsV6 ? whyApart(pair, [a.nodeIpv6, b.nodeIpv6], "nodeIPv6") : undefined;
}

/** Why two nodes are not known to be on one link; the next hop has to be of the family of the block. */
function whyApart(
  [a, b]: Pair,
  [hostA, hostB]: readonly [HostAddress<Ipv4 | Ipv6> | undefined, HostAddress<Ipv4 | Ipv6> | undefined],
  key: string,
): string | undefined {
  if (hostA === undefined || hostB === undefined)
    return `${hostA === undefined ? a.name : b.name} has no ${key} that a direct route could lead to`;
  if (a.l2Domain !== undefined && b.l2Domain !== undefined)
    return a.l2Domain === b.l2Domain
      ? undefined
      : `${a.name} and ${b.name} are in different L2 domains (${a.l2Domain}, ${b.l2Domain})`;
  return areNeighbours(hostA, hostB)
    ? undefined
    : `${a.name} (${hostText(hostA)}) and ${b.name} (${hostText(hostB)}) are not known to be on one link`;
}

/**
 * Each has the other in its network, and the networks have one length. A network of one or two addresses tells nothing of
 * the link: clouds and VPNs give hosts such ones.
 */
function areNeighbours(a: HostAddress<IpAddress>, b: HostAddress<IpAddress>): boolean {
  const narrowest = isIpv6(a.ip) ? 126 : 30;
  return (
    a.prefixLength === b.prefixLength &&
    a.prefixLength <= narrowest &&
    contains(networkOf(a.ip, a.prefixLength), b.ip)
  );
}

function whyNotVxlan(pair: Pair, settings: Settings): string | undefined {
  if (!usesVxlan(settings)) return "mode is Underlay with fallback None";
  const unable = pair.find(({ capabilities }) => !capabilities.includes("vxlan"));
  if (unable !== undefined) return `${unable.name} has not the capability vxlan`;
  const nameless = pair.find(({ vtepMac }) => vtepMac === undefined);
  if (nameless !== undefined) return `${nameless.name} has no vtepMAC`;
  const [a, b] = pair;
  if (isIpv6(vtepAddress(a)) === isIpv6(vtepAddress(b))) return undefined;
  return `${a.name} tunnels to ${vtepAddress(a)} and ${b.name} to ${vtepAddress(b)}, addresses of different families`;
}

function hostText({ ip, prefixLength }: HostAddress<IpAddress>): string {
  return `${ip}/${prefixLength}`;
}
