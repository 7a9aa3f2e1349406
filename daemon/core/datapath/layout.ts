/**
 * The numbers and names by which everything of ours in the node's network is known. Who finds one of them without an agent
 * may delete it: `ip [-6] route flush proto 84 table all`, `ip link delete group 21504`, `nft delete table ip terway` and `ip6 terway`.
 *
 * A packet's way. From a pod: it comes in by a link of `GROUP.pods`, nftables looks its link and its source up in
 * `pod_source`, drops what is not there, and puts the slot of the pod's ENI into the mark; the rule `PRIORITY.pods` finds pods
 * of this node, whatever the mark; then the one rule of the ENI sends the rest to the table of the ENI, whose default route
 * is the vSwitch's gateway. To a pod: it comes in by a link of `GROUP.enis` and is found by the rule `PRIORITY.pods`. What
 * an ENI brings for nobody is dropped by its second rule (`guardPriority`), else the node would send it back into the VPC.
 *
 * The map says exactly who may send what, so the kernel's own check of sources, a lookup of routes for each packet, is
 * switched off on our links (`rp_filter` 0, `accept_local` 1). The node may have it switched on for all links
 * (`net.ipv4.conf.all.rp_filter`). Then what an ENI brings for a pod gets the pod's mark too, for that check alone
 * (`src_valid_mark`): the way back is by this very ENI. Without it the kernel drops what comes in by a device that has no
 * address and is not the main table's way back.
 *
 * IPv6 goes the same way by a table of its own (`ip6 terway`), and its kernel has no such check. A pod without an IPv6
 * address has no element there and can send nothing, no router advertisements either.
 *
 * @module
 */
import { type Ipv4, parseIpv4 } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6, parseIp, parseIpv6 } from "../../../proto/addr6.ts";
import { type PodAddresses } from "../kernel.ts";

/** Of routes, rules and neighbours (RTPROT_*): free in <linux/rtnetlink.h> and in iproute2's rt_protos. */
export const PROTOCOL = 84;

const TABLE_PODS = 7400;

/** Routing tables of the node; an ENI's is `eniTable(slot)`. `main`: RT_TABLE_MAIN of <linux/rtnetlink.h>, the pod's own. */
export const TABLE = { pods: TABLE_PODS, main: 254 } as const;

/** Of rules, the same as upstream's: below 32766, the main table; above 0, the node's own addresses. */
export const PRIORITY = { pods: 512, eni: 2048 } as const;

/** Of the rule that drops what an ENI brings for nobody: behind those of `PRIORITY`, and one for each slot, which tells it. */
export function guardPriority(slot: number): number {
  return PRIORITY.eni + 1 + checkedSlot(slot);
}

/** IFLA_GROUP of links. A group is deleted as one, so what is to be deleted has a group of its own. */
export const GROUP = { pods: 21_504, doomed: 21_505, enis: 21_506, overlay: 21_507, slaves: 21_508 } as const;

/**
 * Bits of a packet's mark that hold slot + 1; the others are left as they are. Clear of kube-proxy (0xc000), of the
 * lowest bits of 0xffff0000 that Calico takes first, of Tailscale (0xff0000) and of the small numbers that people use.
 */
export const MARK_MASK = 0x3f00_0000;
const MARK_UNIT = 0x0100_0000;

/** Slots are 0 to 61: as many as marks can tell. */
export const SLOT_MAX = 61;

/** The nftables tables, one a family, and what is in each. */
export const NFT = {
  table: "terway",
  map: "pod_source",
  chain: "prerouting",
  pods: "pods",
  spoofed: "spoofed",
} as const;

/** The map of former versions, from a pod's address alone: pods that run are taken over from it. */
export const FORMER_MAP = "pod_eni";

/** Families of nftables tables. */
export type NftFamily = "ip" | "ip6";

/** The family of the table that an address is looked up in. */
export function nftFamily(address: IpAddress): NftFamily {
  return isIpv6(address) ? "ip6" : "ip";
}

/**
 * The pod's next hops. Link-local (RFC 3927, RFC 4291), so no address of the VPC is taken; no device has them, a neighbour
 * entry stands for each.
 */
export const POD_GATEWAYS: { readonly v4: Ipv4; readonly v6: Ipv6 } = {
  v4: literal(parseIpv4("169.254.1.1")),
  v6: literal(parseIpv6("fe80::1")),
};

/** `arp_ignore` of our links: the kernel answers nobody there, so nobody can fill its table of neighbours. */
export const ARP_IGNORE_ALL = 8;

/** Index of `lo`, in every namespace: LOOPBACK_IFINDEX. */
export const LOOPBACK_INDEX = 1;

/** The table of an ENI. */
export function eniTable(slot: number): number {
  return TABLE_PODS + 1 + checkedSlot(slot);
}

/** The table of pods, or of any ENI. */
export function isOurTable(table: number): boolean {
  return table >= TABLE_PODS && table <= eniTable(SLOT_MAX);
}

/** The mark of packets of an ENI's pods, within `MARK_MASK`. */
export function eniMark(slot: number): number {
  return (checkedSlot(slot) + 1) * MARK_UNIT;
}

/** The node's slave of an ENI, by which it reaches the ENI's ipvlan pods. */
export function slaveName(slot: number): string {
  return `twv${checkedSlot(slot)}`;
}

/** The nftables chain that puts the mark on. */
export function eniChain(slot: number): string {
  return `eni${checkedSlot(slot)}`;
}

/** What such an alias begins with. */
export const POD_ALIAS = "terway:";

/** IFLA_IFALIAS of the host's end of a pod's link: what it was made for, for people and for a repeated call. */
export function podAlias(addresses: PodAddresses): string {
  return `${POD_ALIAS}${addressesOf(addresses).join(",")}`;
}

/** Those that `podAlias` made an alias of; none for any other. */
export function addressesOfAlias(alias: string): readonly IpAddress[] {
  const [, list = ""] = /^terway:(.+)/.exec(alias) ?? [];
  return list.split(",").flatMap((text) => parseIp(text) ?? []);
}

/** Those that there are, IPv4 first. */
export function addressesOf({ v4, v6 }: PodAddresses): readonly IpAddress[] {
  return [v4, v6].filter((address) => address !== undefined);
}

function checkedSlot(slot: number): number {
  if (!Number.isInteger(slot) || slot < 0 || slot > SLOT_MAX)
    throw new RangeError(`slot ${slot} is not one of 0 to ${SLOT_MAX}`);
  return slot;
}

function literal<Address extends IpAddress>(address: Address | undefined): Address {
  if (address === undefined) throw new Error("not an address");
  return address;
}
