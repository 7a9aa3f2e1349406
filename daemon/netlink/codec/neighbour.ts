/**
 * Neighbours and forwarding entries, `ip neighbour` and `bridge fdb`: `struct ndmsg` and NDA_* of <linux/neighbour.h>.
 *
 *     0        1 .. 3   4          8       10      11     12
 *     | family | 0 0 0  | index    | state | flags | type | attributes ...
 *
 * @module
 */
import { be16, ip, mac, readFields, schema, u16, u32, u8, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { type IpAddress } from "../../../proto/addr6.ts";
import { AF, familyOf } from "./ip.ts";
import { MAKE, type Make, type Request } from "./request.ts";
import { skipHeader, spanOf, Writer } from "./wire.ts";

/** RTM_*NEIGH. */
export const RTM_NEIGHBOUR = { NEW: 28, DEL: 29, GET: 30 } as const;
/** NUD_*: bits, for filters may name several. */
export const NUD = {
  NONE: 0,
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;
/** NTF_*. */
export const NTF = {
  /** Resolve it now: with `NUD.NONE` and no `lladdr` the kernel sends an ARP request. */
  USE: 0x01,
  /** FDB: an address of the device itself, or of a vxlan's remote. */
  SELF: 0x02,
  /** FDB: an entry of the bridge that the device is a port of. */
  MASTER: 0x04,
  /** Answer ARP requests for it; `state` is ignored. */
  PROXY: 0x08,
  EXT_LEARNED: 0x10,
  OFFLOADED: 0x20,
  STICKY: 0x40,
  ROUTER: 0x80,
} as const;

const HEADER_BYTES = 12;

/** NDA_*. */
const NEIGHBOUR = schema({
  /** The neighbour's IP address; of an FDB entry of a vxlan the remote. */
  dst: ip(1),
  /** Its hardware address; of an FDB entry the key. */
  lladdr: mac(2),
  /** Unanswered probes. */
  probes: u32(4),
  vlan: u16(5),
  /** UDP port of the remote. */
  port: be16(6),
  vni: u32(7),
  /** Device that packets to the remote leave by; in a dump request the device asked for. */
  ifIndex: u32(8),
  master: u32(9),
  srcVni: u32(11),
  /** RTPROT_*: who made it. */
  protocol: u8(12),
  nextHopId: u32(13),
  /** NTF_EXT_*. */
  flagsExt: u32(15),
});

/** `struct ndmsg`. */
export type NeighbourHeader = {
  /** AF_INET, AF_INET6, or AF_BRIDGE for FDB entries. */
  readonly family: number;
  readonly index: number;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*. */
  readonly flags: number;
  /** RTN_*. */
  readonly type: number;
};

/** A neighbour or a forwarding entry of the kernel. */
export type Neighbour = NeighbourHeader & ValuesOf<typeof NEIGHBOUR>;
/** In a request: the family is that of `dst` where it is not given. FDB entries have to say AF_BRIDGE. */
export type NeighbourMessage = Partial<NeighbourHeader> & ValuesOf<typeof NEIGHBOUR>;

/** The payload of an RTM_*NEIGH. */
export function encodeNeighbour(neighbour: NeighbourMessage): Uint8Array {
  const writer = new Writer();
  const { dst } = neighbour;
  writer.u8(neighbour.family ?? (dst === undefined ? AF.UNSPEC : familyOf(dst)));
  writer.zeros(3);
  writer.i32(neighbour.index ?? 0);
  writer.u16(neighbour.state ?? 0);
  writer.u8(neighbour.flags ?? 0);
  writer.u8(neighbour.type ?? 0);
  writeFields(writer, NEIGHBOUR, neighbour);
  return writer.take();
}

/** The inverse of `encodeNeighbour`. */
export function decodeNeighbour(payload: Uint8Array): Neighbour {
  const span = spanOf(payload);
  const rest = skipHeader(span, HEADER_BYTES, "ndmsg");
  const { view } = span;
  return {
    family: view.getUint8(0),
    index: view.getInt32(4, true),
    state: view.getUint16(8, true),
    flags: view.getUint8(10),
    type: view.getUint8(11),
    ...readFields(rest, NEIGHBOUR),
  };
}

/** `ip neighbour replace`, or `add` with `make: "create"`. Not given, `state` is permanent. */
export function setNeighbour(neighbour: NeighbourMessage, make: Make = "replace"): Request {
  const state = (neighbour.flags ?? 0) & NTF.USE ? NUD.NONE : NUD.PERMANENT;
  return {
    type: RTM_NEIGHBOUR.NEW,
    flags: MAKE[make],
    payload: encodeNeighbour({ state, ...neighbour }),
  };
}

/** `bridge fdb replace MAC dev DEV dst REMOTE self`; `append` adds a remote to those of the same MAC. */
export function setForwarding(
  entry: Omit<NeighbourMessage, "family">,
  make: "create" | "replace" | "append" = "replace",
): Request {
  return setNeighbour(
    { flags: NTF.SELF, state: NUD.NOARP | NUD.PERMANENT, ...entry, family: AF.BRIDGE },
    make,
  );
}

/** `ip neighbour delete`, and with AF_BRIDGE `bridge fdb delete`. ENOENT where it is not there. */
export function deleteNeighbour(neighbour: NeighbourMessage): Request {
  return { type: RTM_NEIGHBOUR.DEL, flags: NLM_F.REQUEST, payload: encodeNeighbour(neighbour) };
}

/** `ip neighbour get`: the entry of one address on one device. ENOENT where there is none. */
export function getNeighbour(key: { readonly index: number; readonly dst: IpAddress }): Request {
  return { type: RTM_NEIGHBOUR.GET, flags: NLM_F.REQUEST, payload: encodeNeighbour(key) };
}
