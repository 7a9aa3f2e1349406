/**
 * What every device has, the peer of a veth included: `struct ifinfomsg` and the plain IFLA_*.
 *
 *     0      1      2             4          8           12           16
 *     | family | 0  | device type | index    | flags     | change     | attributes ...
 *
 * @module
 */
import { bareText, i32, mac, nested, readFields, schema, text, u32, u8, type ValuesOf } from "./attribute.ts";
import { AF_SPEC } from "./inet-conf.ts";
import { skipHeader, type Span, type Writer } from "./wire.ts";

const HEADER_BYTES = 16;

/** IFF_* of <linux/if.h>. */
export const IFF = {
  UP: 0x1,
  BROADCAST: 0x2,
  LOOPBACK: 0x8,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MASTER: 0x400,
  SLAVE: 0x800,
  MULTICAST: 0x1000,
  LOWER_UP: 0x10000,
} as const;

/** `struct ifinfomsg`. */
export type LinkHeader = {
  /** AF_UNSPEC but in messages of bridge ports, which are AF_BRIDGE. */
  readonly family: number;
  /** ARPHRD_* of <linux/if_arp.h>: 1 Ethernet, 772 loopback. */
  readonly deviceType: number;
  /** 0: none given. In a request that makes a link: the index it is to have. */
  readonly index: number;
  /** IFF_*. */
  readonly flags: number;
  /** Which of `flags` are to be set or cleared. */
  readonly change: number;
};

/** IFLA_*. `LINK_FIELDS` of `link.ts` adds the one that nests. */
export const BASE_FIELDS = {
  /** IFLA_ADDRESS. */
  address: mac(1),
  broadcast: mac(2),
  /** 1 to 15 bytes. */
  name: text(3),
  /** Bytes. */
  mtu: u32(4),
  /** Index of the device below (macvlan, ipvlan, vxlan) or of the peer (veth). It counts in `linkNetnsId`. */
  link: i32(5),
  qdisc: text(6),
  /** Index of the bridge or bond; 0 takes it out. */
  master: u32(10),
  txQueueLength: u32(13),
  /** IF_OPER_*: 6 is up. */
  operState: u8(16),
  /** A process whose namespace the link is to be in. */
  netNsPid: u32(19),
  /** Up to 255 bytes; empty takes it away. `ip link set DEV alias`. */
  alias: bareText(20),
  /** IPv4 settings. */
  afSpec: nested(26, AF_SPEC),
  /** 0 is what links are born with. A DELLINK of a group takes all of its links at once. */
  group: u32(27),
  /** A file descriptor, of the sending process, of the namespace the link is to be in. */
  netNsFd: u32(28),
  /** RTEXT_FILTER_*: what a dump may leave out. */
  extMask: u32(29),
  numTxQueues: u32(31),
  numRxQueues: u32(32),
  carrier: u8(33),
  /** Id, in the reader's namespace, of the namespace that `link` is in. Absent: the same one. */
  linkNetnsId: i32(37),
  /** Id of the namespace a GETLINK is to read. The kernel ignores it, or refuses it, in what changes links. */
  targetNetnsId: i32(46),
  minMtu: u32(50),
  maxMtu: u32(51),
  /** The address burnt in, which is not there for virtual devices. */
  permAddress: mac(54),
  /** Bus address: `"0000:00:05.0"`, `"virtio2"`. */
  parentDevName: text(56),
  parentDevBusName: text(57),
} as const;

/** What the peer of a veth may have: all but a kind, so that nests end. */
export const PEER = schema(BASE_FIELDS);

/** The other end of a veth. `flags` has to be 0 at birth: the kernel answers ENOTCONN to a peer that is up. */
export type PeerLink = Partial<LinkHeader> & ValuesOf<typeof PEER>;

/** What is not given is 0. */
export function writeLinkHeader(writer: Writer, header: Partial<LinkHeader>): void {
  writer.u8(header.family ?? 0);
  writer.zeros(1);
  writer.u16(header.deviceType ?? 0);
  writer.i32(header.index ?? 0);
  writer.u32(header.flags ?? 0);
  writer.u32(header.change ?? 0);
}

/** DecodeError where `span` is shorter than the header. `rest`: the attributes. */
export function readLinkHeader(span: Span): { readonly header: LinkHeader; readonly rest: Span } {
  const rest = skipHeader(span, HEADER_BYTES, "ifinfomsg");
  const { view, start } = span;
  const header = {
    family: view.getUint8(start),
    deviceType: view.getUint16(start + 2, true),
    index: view.getInt32(start + 4, true),
    flags: view.getUint32(start + 8, true),
    change: view.getUint32(start + 12, true),
  };
  return { header, rest };
}

/** A whole link message without a kind. */
export function readPeer(span: Span): LinkHeader & ValuesOf<typeof PEER> {
  const { header, rest } = readLinkHeader(span);
  return { ...header, ...readFields(rest, PEER) };
}
