/**
 * From the desired network to what the kernel has to have, and from that and what it has to what is to be changed.
 *
 * A peer in the overlay is three objects, as Flannel's vxlan backend makes them: a permanent neighbour (the first address
 * of the block has the peer's MAC), a forwarding entry (the MAC is at the peer's VTEP) and an onlink route to the block by
 * that neighbour. A direct peer is a route. In that order, so that no packet takes a route that leads nowhere yet.
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { firstOf, type IpCidr } from "../../../proto/cidr6.ts";
import { TABLE } from "../datapath/layout.ts";
import { type Device, type FdbThing } from "../datapath/thing.ts";
import {
  type HybridDesired,
  type HybridDevices,
  type HybridPeer,
  overlayName,
  type OverlayDevice,
} from "./desired.ts";
import { nftFamilies } from "./nft-text.ts";
import { REDIRECT_MAPS, redirects } from "./redirect-text.ts";
import { type HybridThing, isSameThing, keyOf, type NftFamily, type NodeSet, type Things } from "./things.ts";

/**
 * Metrics of routes. `own`: after everything that others may say about the very block (it is the kernel's own for the last
 * resort of a VRF). IPv4 takes 0 where none is given; IPv6 knows no 0, and takes 1024 (IP6_RT_PRIO_USER).
 */
const METRIC = { v6: 1024, own: 4_278_198_272 } as const;

export type HybridPlan = {
  readonly things: Things;
  /** What of a peer cannot be planned; the rest of it, and the other peers, are. */
  readonly refused: readonly Refusal[];
  /** What each peer comes to, by its name: for the next plan, in which most peers are the same. */
  readonly parts: ReadonlyMap<string, PeerPart>;
  /** All that the parts depend on beside their peers. */
  readonly frame: string;
};

type Entry = readonly [key: string, thing: HybridThing];

/** A peer by itself, whoever else there is. */
type PeerPart = {
  readonly peer: HybridPeer;
  readonly elements: readonly Entry[];
  /** The key of what no other peer may have: the forwarding entry of its MAC. */
  readonly tunnelKey?: string;
  readonly blocks: readonly {
    readonly block: IpCidr;
    readonly routeKey: string;
    readonly entries: readonly Entry[];
  }[];
  /** Why there is less of it than it says. */
  readonly reasons: readonly string[];
};

export type Refusal = { readonly peer: string; readonly reason: string };

/** `add`: nothing has its key. `replace`: what has its key is another. */
export type Change = { readonly kind: "add" | "replace" | "remove"; readonly thing: HybridThing };

/** The device and its settings as they should be, for people; what it is made from is `desired.overlay`. */
export function describeOverlay(overlay: OverlayDevice, uplink: Device): string {
  const { vni, udpPort, local, mac, mtu } = overlay;
  return `link ${overlayName(vni)} address ${mac} type vxlan id ${vni} dstport ${udpPort} local ${local} dev ${uplink.name} nolearning mtu ${mtu} up`;
}

/**
 * All that peers and own blocks come to. Same arguments, same plan, whatever `before` is: a plan for other peers, which
 * saves the work for those that are the same.
 */
export function planHybrid(desired: HybridDesired, devices: HybridDevices, before?: HybridPlan): HybridPlan {
  const { overlay, blocks, sourceNat } = desired;
  const families = nftFamilies(desired);
  const isRedirected = redirects(desired);
  const frame = JSON.stringify([overlay, devices, families, isRedirected]);
  const known = before?.frame === frame ? before.parts : undefined;
  const things = new Map<string, HybridThing>();
  for (const block of blocks)
    for (const thing of ownThings(block, devices.overlay)) things.set(keyOf(thing), thing);
  for (const { blocks: theirs } of desired.unroutable) refuseAll(theirs, things);
  for (const [key, thing] of nodeEntries(sourceNat.exemptNodes, "direct", families)) things.set(key, thing);
  const own = new Set<IpCidr>(blocks);
  const parts = new Map<string, PeerPart>();
  const refused: Refusal[] = [];
  for (const peer of desired.peers) {
    const old = known?.get(peer.name);
    const part =
      old !== undefined && isSamePeer(old.peer, peer)
        ? old
        : partOf(peer, { overlay, devices, families, isRedirected });
    const reasons = [...part.reasons, ...addPart(part, { things, parts, own })];
    for (const reason of reasons) refused.push({ peer: peer.name, reason });
    parts.set(peer.name, part);
  }
  return { things, refused, parts, frame };
}

/** Whose thing it is; `undefined`: the node's own, or of a set of nftables. */
export function peerOfThing({ parts }: Pick<HybridPlan, "parts">, key: string): string | undefined {
  for (const [name, { tunnelKey, blocks }] of parts) {
    if (tunnelKey === key || blocks.some(({ entries }) => entries.some(([one]) => one === key))) return name;
  }
  return undefined;
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

type Planned = {
  readonly things: Map<string, HybridThing>;
  readonly parts: ReadonlyMap<string, PeerPart>;
  readonly own: ReadonlySet<IpCidr>;
};

/** A block or a MAC belongs to whoever is first; two with one are a mistake of the records. Returns why what was left out. */
function addPart(part: PeerPart, planned: Planned): readonly string[] {
  const { things, own } = planned;
  const { name, vtepMac } = part.peer;
  const reasons: string[] = [];
  const isFree = (key: string, what: string): boolean => {
    const by = things.has(key) ? peerOfThing(planned, key) : undefined;
    if (by !== undefined && by !== name) reasons.push(`${what} is ${by}'s already`);
    return by === undefined || by === name;
  };
  for (const [key, thing] of part.elements) things.set(key, thing);
  if (part.tunnelKey !== undefined && !isFree(part.tunnelKey, vtepMac ?? "its MAC")) {
    refuseAll(part.peer.blocks, things);
    return reasons;
  }
  for (const { block, routeKey, entries } of part.blocks) {
    if (own.has(block)) reasons.push(`${block} is this node's already`);
    else if (isFree(routeKey, block)) for (const [key, thing] of entries) things.set(key, thing);
  }
  return reasons;
}

/**
 * The end of a block: who sends there is told that nobody is. After all that anybody else says about the very block, so it
 * is in the way of nobody's route.
 */
function endOf(to: IpCidr): HybridThing {
  return { kind: "route", place: "node", table: TABLE.main, type: "unreachable", to, metric: METRIC.own };
}

function refuseAll(blocks: readonly IpCidr[], things: Map<string, HybridThing>): void {
  for (const thing of blocks.map(endOf)) things.set(keyOf(thing), thing);
}

function ownThings(block: IpCidr, device: Device | undefined): readonly HybridThing[] {
  const address = firstOf(block);
  const prefixLength = isIpv6(address) ? 128 : 32;
  return [
    ...(device === undefined
      ? []
      : [{ kind: "address", place: "node", device, address, prefixLength } as const]),
    endOf(block),
  ];
}

function isSamePeer(a: HybridPeer, b: HybridPeer): boolean {
  return (
    a === b ||
    (a.path === b.path &&
      a.vtepMac === b.vtepMac &&
      a.nodeIps.v4 === b.nodeIps.v4 &&
      a.nodeIps.v6 === b.nodeIps.v6 &&
      a.blocks.length === b.blocks.length &&
      a.blocks.every((block, index) => block === b.blocks[index]))
  );
}

type Frame = {
  readonly overlay: OverlayDevice | undefined;
  readonly devices: HybridDevices;
  readonly families: readonly NftFamily[];
  readonly isRedirected: boolean;
};

function partOf(peer: HybridPeer, { overlay, devices, families, isRedirected }: Frame): PeerPart {
  const { nodeIps, vtepMac, path } = peer;
  const ips = [nodeIps.v4, nodeIps.v6].filter((ip) => ip !== undefined);
  const elements = [
    ...(vtepMac === undefined || overlay === undefined ? [] : nodeEntries(ips, "vteps", families)),
    ...(path === "direct" ? nodeEntries(ips, "direct", families) : []),
  ];
  const tunnel = path === "vxlan" ? tunnelOf(overlay, devices.overlay, peer) : undefined;
  if (typeof tunnel === "string")
    return { peer, elements, blocks: peer.blocks.map(refusedBlock), reasons: [tunnel] };
  const blocks: { block: IpCidr; routeKey: string; entries: readonly Entry[] }[] = [];
  const reasons: string[] = [];
  for (const block of peer.blocks) {
    const things =
      tunnel === undefined ? directThings(peer, block, devices.uplink) : tunnelThings(block, tunnel);
    const entries = things.map((thing) => [keyOf(thing), thing] as const);
    const last = entries.at(-1);
    if (last === undefined) {
      reasons.push(`it has no node address of the family of ${block}`);
      blocks.push(refusedBlock(block));
    } else blocks.push({ block, routeKey: last[0], entries });
  }
  if (tunnel === undefined) return { peer, elements, blocks, reasons };
  const turned = isRedirected ? redirectEntries(ips, tunnel.mac, families) : [];
  return { peer, elements: [...elements, ...turned], blocks, reasons, tunnelKey: keyOf(tunnel) };
}

function refusedBlock(block: IpCidr): PeerPart["blocks"][number] {
  const end = endOf(block);
  return { block, routeKey: keyOf(end), entries: [[keyOf(end), end]] };
}

/** The route last. None where the peer has no address that the route could be by. */
function directThings(peer: HybridPeer, to: IpCidr, device: Device): readonly HybridThing[] {
  const isV6 = isIpv6(firstOf(to));
  const via = isV6 ? peer.nodeIps.v6 : peer.nodeIps.v4;
  if (via === undefined) return [];
  return [{ kind: "route", place: "node", table: TABLE.main, device, to, via, ...metricOf(isV6) }];
}

/** The route last. */
function tunnelThings(to: IpCidr, tunnel: FdbThing): readonly HybridThing[] {
  const via = firstOf(to);
  const at = { place: "node", device: tunnel.device } as const;
  const metric = metricOf(isIpv6(via));
  return [
    { kind: "neighbour", ...at, address: via, mac: tunnel.mac },
    tunnel,
    { kind: "route", ...at, table: TABLE.main, to, via, onlink: true, ...metric },
  ];
}

function metricOf(isV6: boolean): { readonly metric?: number } {
  return isV6 ? { metric: METRIC.v6 } : {};
}

/** Those of families that have a table. */
function nodeEntries(
  ips: readonly IpAddress[],
  set: NodeSet,
  families: readonly NftFamily[],
): readonly Entry[] {
  return ips.flatMap((address) => {
    const family = isIpv6(address) ? "ip6" : "ip";
    const thing = { kind: "node-element", family, set, address } as const;
    return families.includes(family) ? [[keyOf(thing), thing] as const] : [];
  });
}

/** What pods send to the node itself goes by its tunnel, as its answers do. */
function redirectEntries(
  ips: readonly IpAddress[],
  mac: Mac,
  families: readonly NftFamily[],
): readonly Entry[] {
  return ips.flatMap((address) => {
    const family = isIpv6(address) ? "ip6" : "ip";
    const set = REDIRECT_MAPS[family];
    const thing = { kind: "node-element", family: "netdev", set, address, mac } as const;
    return families.includes(family) ? [[keyOf(thing), thing] as const] : [];
  });
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
