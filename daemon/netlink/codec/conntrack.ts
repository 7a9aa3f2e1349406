/**
 * Connection tracking, `conntrack -L` and `conntrack -D`: CTA_* of <linux/netfilter/nfnetlink_conntrack.h>.
 *
 * A connection has two tuples: `orig` as its first packet had it and `reply` as the answers come, which is not the mirror
 * image where addresses were translated.
 *
 * A delete without a tuple empties the whole table, and a kernel that does not know CTA_FILTER in a delete does not see
 * the filter. So each delete here carries a tuple: such a kernel then refuses it (EINVAL, the tuple is not whole), and
 * the caller dumps, which kernels from 5.8 filter, and deletes entry by entry.
 *
 * @module
 */
import {
  be16,
  be32,
  ip,
  nested,
  NLA_F_NESTED,
  readFields,
  schema,
  u32,
  u8,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { type IpAddress } from "../../../proto/addr6.ts";
import { AF, familyOf } from "./ip.ts";
import { NFNL_SUBSYS, NFPROTO, nfType, readNfHeader, writeNfHeader } from "./nfnetlink.ts";
import { type Request } from "./request.ts";
import { spanOf, Writer } from "./wire.ts";

/** IPCTNL_MSG_CT_*. */
export const CONNTRACK = {
  NEW: nfType(NFNL_SUBSYS.CTNETLINK, 0),
  GET: nfType(NFNL_SUBSYS.CTNETLINK, 1),
  DEL: nfType(NFNL_SUBSYS.CTNETLINK, 2),
} as const;

/** CTA_IP_*. */
const IPS = schema({ src: ip(1), dst: ip(2), src6: ip(3), dst6: ip(4) });

/** CTA_PROTO_*. */
const PROTO = schema({
  /** IPPROTO_*. */
  number: u8(1),
  srcPort: be16(2),
  dstPort: be16(3),
  icmpId: be16(4),
  icmpType: u8(5),
  icmpCode: u8(6),
});

/** CTA_TUPLE_*. */
const TUPLE = schema({
  ip: nested(1 | NLA_F_NESTED, IPS),
  proto: nested(2 | NLA_F_NESTED, PROTO),
  zone: be16(3),
});

/** CTA_FILTER_*: CTA_FILTER_F_* of each tuple, in host order unlike all else. */
const FILTER = schema({ origFlags: u32(1), replyFlags: u32(2) });
/** CTA_FILTER_F_CTA_IP_SRC and _DST. */
const FILTER_F = { SRC: 1, DST: 2 } as const;

/** CTA_*. */
const ENTRY = schema({
  orig: nested(1 | NLA_F_NESTED, TUPLE),
  reply: nested(2 | NLA_F_NESTED, TUPLE),
  /** IPS_*: 0x8 confirmed, 0x10 source translated, 0x20 destination translated. */
  status: be32(3),
  /** Seconds it has left. */
  timeoutSeconds: be32(7),
  mark: be32(8),
  id: be32(12),
  zone: be16(18),
  filter: nested(25 | NLA_F_NESTED, FILTER),
});

/** One connection. */
export type ConntrackEntry = { readonly family: number } & ValuesOf<typeof ENTRY>;

/**
 * Connections by an address in one of their two tuples. Of IPv4: with an IPv6 address the kernel (seen in 6.18) takes the
 * comparison the wrong way round, and all others fit.
 */
export type ConntrackFilter = {
  readonly tuple: "orig" | "reply";
  readonly side: "src" | "dst";
  readonly ip: IpAddress;
};

/** The payload of an IPCTNL_MSG_CT_*. */
export function encodeConntrack(entry: ConntrackEntry): Uint8Array {
  const writer = new Writer();
  // The kernel looks at the family of a delete only where the version is not 0.
  writeNfHeader(writer, { family: entry.family, version: 1 });
  writeFields(writer, ENTRY, entry);
  return writer.take();
}

/** The inverse of `encodeConntrack`; what a dump answers with. */
export function decodeConntrack(payload: Uint8Array): ConntrackEntry {
  const { header, rest } = readNfHeader(spanOf(payload));
  return { family: header.family, ...readFields(rest, ENTRY) };
}

/**
 * `conntrack -L`, those that fit, or all of a family (NFPROTO_*, IPv4 where it is not given). Kernels before 5.8 do not know
 * the filter and send all.
 */
export function dumpConntrack(filter?: ConntrackFilter, family: number = NFPROTO.IPV4): Request {
  const entry = filter === undefined ? { family } : filterEntry(filter);
  return { type: CONNTRACK.GET, flags: NLM_F.REQUEST | NLM_F.DUMP, payload: encodeConntrack(entry) };
}

/** `conntrack -D` for all that fit, in one request. EINVAL from kernels that cannot. Success also where none fits. */
export function deleteConntrackMatching(filter: ConntrackFilter): Request {
  return { type: CONNTRACK.DEL, flags: NLM_F.REQUEST, payload: encodeConntrack(filterEntry(filter)) };
}

/**
 * `conntrack -D` for one connection of a dump. With its `id`, so that a new connection with the same addresses and ports
 * stays. ENOENT where it has ended meanwhile.
 */
export function deleteConntrack(entry: ConntrackEntry): Request {
  const { family, orig, id, zone } = entry;
  if (orig?.ip === undefined || orig.proto === undefined)
    throw new TypeError("netlink: a delete without a whole tuple would empty the connection table");
  return {
    type: CONNTRACK.DEL,
    flags: NLM_F.REQUEST,
    payload: encodeConntrack({
      family,
      orig,
      ...(id !== undefined && { id }),
      ...(zone !== undefined && { zone }),
    }),
  };
}

/** All connections that have `ip` for an end, translated or not: the ones it began and the ones it answers. */
export function connectionsOf(ip: IpAddress): readonly ConntrackFilter[] {
  return [
    { tuple: "orig", side: "src", ip },
    { tuple: "reply", side: "src", ip },
  ];
}

function filterEntry({ tuple, side, ip: address }: ConntrackFilter): ConntrackEntry {
  const family = familyOf(address);
  const key = family === AF.INET ? side : (`${side}6` as const);
  const flags = side === "src" ? FILTER_F.SRC : FILTER_F.DST;
  return {
    family,
    [tuple]: { ip: { [key]: address } },
    filter: tuple === "orig" ? { origFlags: flags, replyFlags: 0 } : { origFlags: 0, replyFlags: flags },
  };
}
