/**
 * From the desired network to what the kernel has to have, and from that and what it has to what is to be changed.
 *
 * A peer in the overlay is three objects, as Flannel's vxlan backend makes them: a permanent neighbour (the first address
 * of the block has the peer's MAC), a forwarding entry (the MAC is at the peer's VTEP) and an onlink route to the block by
 * that neighbour. A direct peer is a route. In that order, so that no packet takes a route that leads nowhere yet.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { firstOf, type IpCidr } from "../../../proto/cidr6.ts";
import { TABLE } from "../datapath/layout.ts";
import { type Device, type FdbThing } from "../datapath/thing.ts";
import { type HybridDesired, type HybridPeer, overlayName, type OverlayDevice } from "./desired.ts";
import { nftFamilies } from "./nft-text.ts";
import {
  type HybridThing,
  isSameThing,
  keyOf,
  type NodeElement,
  type NodeSet,
  type Things,
} from "./things.ts";

/**
 * Metrics of routes. `own`: after everything that others may say about the very block (it is the kernel's own for the last
 * resort of a VRF). IPv4 takes 0 where none is given; IPv6 knows no 0, and takes 1024 (IP6_RT_PRIO_USER).
 */
const METRIC = { v6: 1024, own: 4_278_198_272 } as const;

/** Where the things are: the overlay's device exists before its things are planned. */
export type HybridDevices = { readonly overlay?: Device; readonly uplink: Device };

export type HybridPlan = {
  readonly things: Things;
  /** The peer of a thing, by the thing's key. Sets of nftables are everybody's. */
  readonly peers: ReadonlyMap<string, string>;
  /** What of a peer cannot be planned; the rest of it, and the other peers, are. */
  readonly refused: readonly Refusal[];
};

export type Refusal = { readonly peer: string; readonly reason: string };

/** `add`: nothing has its key. `replace`: what has its key is another. */
export type Change = { readonly kind: "add" | "replace" | "remove"; readonly thing: HybridThing };

/** The device and its settings as they should be, for people; what it is made from is `desired.overlay`. */
export function describeOverlay(overlay: OverlayDevice, uplink: Device): string {
  const { vni, udpPort, local, mac, mtu } = overlay;
  return `link ${overlayName(vni)} address ${mac} type vxlan id ${vni} dstport ${udpPort} local ${local} dev ${uplink.name} nolearning mtu ${mtu} up`;
}

/** All that peers and own blocks come to. Same arguments, same plan. */
export function planHybrid(desired: HybridDesired, devices: HybridDevices): HybridPlan {
  const draft = openDraft(desired, devices);
  for (const block of desired.blocks) draft.addOwn(block);
  for (const ip of desired.sourceNat.exemptNodes) draft.add(element("direct", ip));
  for (const peer of desired.peers) draft.addPeer(peer);
  const { things, peers, refused } = draft;
  return { things, peers, refused };
}

/**
 * What makes the kernel as it is wanted, to be done in this order: all that is new before anything goes, so that a peer
 * that changes is never without a way. Without `remove` nothing goes.
 */
export function changesOf(wanted: Things, actual: Things, remove: boolean): readonly Change[] {
  const changes: Change[] = [];
  for (const [key, thing] of wanted) {
    const there = actual.get(key);
    if (there === undefined) changes.push({ kind: "add", thing });
    else if (!isSameThing(there, thing)) changes.push({ kind: "replace", thing });
  }
  if (!remove) return changes;
  const gone: HybridThing[] = [];
  for (const [key, thing] of actual) if (!wanted.has(key)) gone.push(thing);
  gone.sort((a, b) => REMOVAL_ORDER[a.kind] - REMOVAL_ORDER[b.kind]);
  for (const thing of gone) changes.push({ kind: "remove", thing });
  return changes;
}

/** The route first: what it leads to is then not in use. */
const REMOVAL_ORDER = { route: 0, fdb: 1, neighbour: 2, address: 3, "node-element": 4 } as const;

type Draft = HybridPlan & {
  add(thing: HybridThing): void;
  addOwn(block: IpCidr): void;
  addPeer(peer: HybridPeer): void;
};

function openDraft(desired: HybridDesired, { overlay: device, uplink }: HybridDevices): Draft {
  const things = new Map<string, HybridThing>();
  const peers = new Map<string, string>();
  const refused: Refusal[] = [];
  const own = new Set<string>(desired.blocks);
  const taken = new Map<string, string>();
  const families = nftFamilies(desired);

  function add(thing: HybridThing, peer?: HybridPeer): void {
    if (thing.kind === "node-element" && !families.includes(thing.family)) return;
    const key = keyOf(thing);
    things.set(key, thing);
    if (peer !== undefined && thing.kind !== "node-element") peers.set(key, peer.name);
  }

  function refuse(peer: HybridPeer, reason: string): void {
    refused.push({ peer: peer.name, reason });
  }

  /** A block or a MAC belongs to whoever is first; two with one are a mistake of the records. */
  function claim(peer: HybridPeer, what: string): boolean {
    const by = own.has(what) ? "this node" : taken.get(what);
    if (by === undefined) taken.set(what, peer.name);
    else if (by !== peer.name) refuse(peer, `${what} is ${by}'s already`);
    return by === undefined || by === peer.name;
  }

  function addOwn(block: IpCidr): void {
    const first = firstOf(block);
    const prefixLength = isIpv6(first) ? 128 : 32;
    if (device !== undefined) add({ kind: "address", place: "node", device, address: first, prefixLength });
    const route = { kind: "route", place: "node", table: TABLE.main, type: "unreachable" } as const;
    add({ ...route, to: block, metric: METRIC.own });
  }

  function addPeer(peer: HybridPeer): void {
    for (const node of elementsOf(peer, desired.overlay)) add(node);
    if (peer.path === "direct") {
      for (const block of peer.blocks) if (claim(peer, block)) addDirect(peer, block);
      return;
    }
    const tunnel = tunnelOf(desired.overlay, device, peer);
    if (typeof tunnel === "string") return refuse(peer, tunnel);
    if (!claim(peer, tunnel.mac)) return;
    for (const block of peer.blocks) if (claim(peer, block)) addTunnelled(peer, block, tunnel);
  }

  function addDirect(peer: HybridPeer, to: IpCidr): void {
    const isV6 = isIpv6(firstOf(to));
    const via = isV6 ? peer.nodeIps.v6 : peer.nodeIps.v4;
    if (via === undefined) refuse(peer, `it has no node address of the family of ${to}`);
    else
      add(
        { kind: "route", place: "node", table: TABLE.main, device: uplink, to, via, ...metricOf(isV6) },
        peer,
      );
  }

  function addTunnelled(peer: HybridPeer, to: IpCidr, tunnel: FdbThing): void {
    const via = firstOf(to);
    const at = { place: "node", device: tunnel.device } as const;
    add({ kind: "neighbour", ...at, address: via, mac: tunnel.mac }, peer);
    add(tunnel, peer);
    const metric = metricOf(isIpv6(via));
    add({ kind: "route", ...at, table: TABLE.main, to, via, onlink: true, ...metric }, peer);
  }

  return { things, peers, refused, add, addOwn, addPeer };
}

function elementsOf(
  { nodeIps, vtepMac, path }: HybridPeer,
  overlay: OverlayDevice | undefined,
): readonly NodeElement[] {
  const ips = [nodeIps.v4, nodeIps.v6].filter((ip) => ip !== undefined);
  return [
    ...(vtepMac === undefined || overlay === undefined ? [] : ips.map((ip) => element("vteps", ip))),
    ...(path === "direct" ? ips.map((ip) => element("direct", ip)) : []),
  ];
}

function metricOf(isV6: boolean): { readonly metric?: number } {
  return isV6 ? { metric: METRIC.v6 } : {};
}

/** The forwarding entry of a peer in the overlay, or why there is none. */
function tunnelOf(
  overlay: OverlayDevice | undefined,
  device: Device | undefined,
  peer: HybridPeer,
): FdbThing | string {
  if (overlay === undefined || device === undefined) return "its path is VXLAN, and this node has no overlay";
  if (peer.vtepMac === undefined) return "its path is VXLAN, and it has no VTEP MAC";
  if (peer.vtepMac === overlay.mac) return `its VTEP MAC ${peer.vtepMac} is this node's own`;
  const remote = isIpv6(overlay.local) ? peer.nodeIps.v6 : peer.nodeIps.v4;
  if (remote === undefined) return `it has no address of the family of this node's VTEP ${overlay.local}`;
  return { kind: "fdb", device, mac: peer.vtepMac, remote };
}

function element(set: NodeSet, address: IpAddress): NodeElement {
  return { kind: "node-element", family: isIpv6(address) ? "ip6" : "ip", set, address };
}
