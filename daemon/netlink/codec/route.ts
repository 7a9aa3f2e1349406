/**
 * Routes, `ip route`: `struct rtmsg` and RTA_* of <linux/rtnetlink.h>.
 *
 *     0        1         2         3     4       5          6       7      8       12
 *     | family | dst_len | src_len | tos | table | protocol | scope | type | flags | attributes ...
 *
 * @module
 */
import {
  type Field,
  ip,
  nested,
  raw,
  readFields,
  schema,
  u32,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { type IpAddress, ipBytes, ipFromBytes } from "../../../proto/addr6.ts";
import { AF, familyOf, type IpPrefix } from "./ip.ts";
import { MAKE, type Make, type Request } from "./request.ts";
import { align4, copyOf, DecodeError, skipHeader, type Span, spanOf, Writer } from "./wire.ts";

/** RTM_*ROUTE. */
export const RTM_ROUTE = { NEW: 24, DEL: 25, GET: 26 } as const;
/** RTN_*: what becomes of a packet. */
export const RTN = {
  UNSPEC: 0,
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
  THROW: 9,
} as const;
/** RTPROT_*: who made it. 17 to 255 are free for user programs. */
export const RTPROT = { UNSPEC: 0, REDIRECT: 1, KERNEL: 2, BOOT: 3, STATIC: 4, BIRD: 12 } as const;
/** RT_SCOPE_*: how far away the destination is. */
export const RT_SCOPE = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254, NOWHERE: 255 } as const;
/** RT_TABLE_*. */
export const RT_TABLE = { UNSPEC: 0, DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const;
/** RTNH_F_*, in `flags` of a route or of a next hop. ONLINK: the gateway is on the link though no route says so. */
export const RTNH_F = { DEAD: 1, PERVASIVE: 2, ONLINK: 4, OFFLOAD: 8, LINKDOWN: 16 } as const;

const HEADER_BYTES = 12;
const NEXT_HOP_BYTES = 8;

/** RTAX_*. */
const METRICS = schema({
  /** A bit for each metric (1 << RTAX_*) that path MTU discovery and the like must not change. */
  lock: u32(1),
  /** Bytes. */
  mtu: u32(2),
  /** Bytes. */
  advmss: u32(8),
});

/** RTA_VIA: a gateway of another family than the route. */
export type Via = { readonly family: number; readonly address: IpAddress };

const via: Field<Via> = {
  type: 18,
  write: (writer, value) => {
    writer.u16(value.family);
    writer.bytes(ipBytes(value.address));
  },
  read: ({ view, start, end }) => {
    if (end - start < 2) throw new DecodeError("RTA_VIA without a family", start);
    const address = ipFromBytes(copyOf({ view, start: start + 2, end }));
    return address === undefined ? undefined : { family: view.getUint16(start, true), address };
  },
};

/** RTA_* of one next hop of several. */
const NEXT_HOP = schema({ gateway: ip(5), flow: u32(11), via });

/** `struct rtnexthop`: one of several ways. */
export type NextHop = {
  /** RTNH_F_*. */
  readonly flags: number;
  /** Its share of the flows, 1 to 256. */
  readonly weight: number;
  readonly oif: number;
} & ValuesOf<typeof NEXT_HOP>;

const multipath: Field<readonly NextHop[]> = {
  type: 9,
  write: (writer, hops) => hops.forEach((hop) => writeNextHop(writer, hop)),
  read: readNextHops,
};

/** RTA_*. */
const ROUTE_FIELDS = {
  /** Index of the device packets come in by, in lookups. */
  iif: u32(3),
  /** Index of the device packets go out by. */
  oif: u32(4),
  gateway: ip(5),
  /** Metric: the lowest is taken. */
  priority: u32(6),
  /** The source address that the host's own sockets take. */
  prefSrc: ip(7),
  metrics: nested(8, METRICS),
  multipath,
  flow: u32(11),
  /** Of a lookup. */
  mark: u32(16),
  via,
  /** A next hop object, `ip nexthop`. */
  nextHopId: u32(30),
} as const;

const ROUTE = schema(ROUTE_FIELDS);
const ON_WIRE = schema({ ...ROUTE_FIELDS, dst: raw(1), src: raw(2), table: u32(15) });

/** `struct rtmsg`, with the table of RTA_TABLE where there is one. */
export type RouteHeader = {
  readonly family: number;
  readonly tos: number;
  /** RT_TABLE_* or any other of 32 bits. */
  readonly table: number;
  /** RTPROT_*. */
  readonly protocol: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** RTN_*. */
  readonly type: number;
  /** RTNH_F_* and RTM_F_*. */
  readonly flags: number;
};

type RouteEnds = {
  /** Absent: the default route. */
  readonly dst?: IpPrefix;
  readonly src?: IpPrefix;
};

/** A route of the kernel. */
export type Route = RouteHeader & RouteEnds & ValuesOf<typeof ROUTE>;
/** In a request: the family is that of the first address where it is not given; what else is not given is 0. */
export type RouteMessage = Partial<RouteHeader> & RouteEnds & ValuesOf<typeof ROUTE>;

/** The payload of an RTM_*ROUTE. */
export function encodeRoute(route: RouteMessage): Uint8Array {
  const { dst, src, table = RT_TABLE.UNSPEC, ...fields } = route;
  const someIp = dst?.ip ?? src?.ip ?? route.gateway ?? route.prefSrc;
  const writer = new Writer();
  writer.u8(route.family ?? (someIp === undefined ? AF.UNSPEC : familyOf(someIp)));
  writer.u8(dst?.bits ?? 0);
  writer.u8(src?.bits ?? 0);
  writer.u8(route.tos ?? 0);
  writer.u8(table > 0xff ? RT_TABLE.UNSPEC : table);
  writer.u8(route.protocol ?? 0);
  writer.u8(route.scope ?? 0);
  writer.u8(route.type ?? 0);
  writer.u32(route.flags ?? 0);
  writeFields(writer, ON_WIRE, {
    ...fields,
    ...(dst && { dst: ipBytes(dst.ip) }),
    ...(src && { src: ipBytes(src.ip) }),
    ...(table > 0xff && { table }),
  });
  return writer.take();
}

/** The inverse of `encodeRoute`. DecodeError for families whose destinations are no IP addresses (AF_MPLS). */
export function decodeRoute(payload: Uint8Array): Route {
  const span = spanOf(payload);
  const rest = skipHeader(span, HEADER_BYTES, "rtmsg");
  const { view } = span;
  const { dst, src, table, ...fields } = readFields(rest, ON_WIRE);
  return {
    family: view.getUint8(0),
    tos: view.getUint8(3),
    table: table ?? view.getUint8(4),
    protocol: view.getUint8(5),
    scope: view.getUint8(6),
    type: view.getUint8(7),
    flags: view.getUint32(8, true),
    ...prefixField("dst", dst, view.getUint8(1), rest.start),
    ...prefixField("src", src, view.getUint8(2), rest.start),
    ...fields,
  };
}

/** `{ [name]: prefix }`, or nothing where there is neither an address nor a length. Also what rules need. */
export function prefixField<Name extends string>(
  name: Name,
  bytes: Uint8Array | undefined,
  bits: number,
  offset: number,
): { readonly [Key in Name]?: IpPrefix } {
  if (bytes === undefined && bits === 0) return {};
  const address = bytes && ipFromBytes(bytes);
  if (address === undefined)
    throw new DecodeError(`${name} of ${bits} bits has ${bytes?.length ?? 0} bytes`, offset);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a computed key loses its literal type
  return { [name]: { ip: address, bits } } as { readonly [Key in Name]?: IpPrefix };
}

/**
 * `ip route add`, `replace` and `append`. What is not given is what ip(8) takes: the main table, unicast, and the scope
 * `link` for a route without a gateway. `protocol` is the caller's: it tells who may take the route away.
 */
export function addRoute(
  route: RouteMessage & { readonly protocol: number },
  make: Make = "create",
): Request {
  const type = route.type ?? RTN.UNICAST;
  const direct = route.gateway ?? route.via ?? route.multipath ?? route.nextHopId;
  const scope =
    type === RTN.LOCAL ? RT_SCOPE.HOST : type === RTN.UNICAST && direct === undefined ? RT_SCOPE.LINK : 0;
  return {
    type: RTM_ROUTE.NEW,
    flags: MAKE[make],
    payload: encodeRoute({ table: RT_TABLE.MAIN, scope, ...route, type }),
  };
}

/**
 * `ip route delete`: the first route that fits what is given; ESRCH where none does. What is not given fits all, but the
 * table, which is the main one.
 */
export function deleteRoute(route: RouteMessage): Request {
  return {
    type: RTM_ROUTE.DEL,
    flags: NLM_F.REQUEST,
    payload: encodeRoute({ table: RT_TABLE.MAIN, scope: RT_SCOPE.NOWHERE, ...route }),
  };
}

/** `ip route get`: which route a packet would take. ENETUNREACH and the like where none. */
export function lookupRoute(lookup: {
  readonly dst: IpAddress;
  readonly src?: IpAddress;
  readonly iif?: number;
  readonly oif?: number;
  readonly mark?: number;
}): Request {
  const bits = familyOf(lookup.dst) === AF.INET ? 32 : 128;
  const { dst, src, ...fields } = lookup;
  const ends = { dst: { ip: dst, bits }, ...(src !== undefined && { src: { ip: src, bits } }) };
  return { type: RTM_ROUTE.GET, flags: NLM_F.REQUEST, payload: encodeRoute({ ...fields, ...ends }) };
}

function writeNextHop(writer: Writer, hop: NextHop): void {
  const at = writer.length;
  writer.u16(0);
  writer.u8(hop.flags);
  writer.u8(hop.weight - 1);
  writer.i32(hop.oif);
  writeFields(writer, NEXT_HOP, hop);
  writer.patchU16(at, writer.length - at);
}

/** As many as fit, 8 bytes each at least. */
function readNextHops({ view, start, end }: Span): readonly NextHop[] {
  const hops: NextHop[] = [];
  for (let at = start; at < end;) {
    const length = end - at < NEXT_HOP_BYTES ? 0 : view.getUint16(at, true);
    if (length < NEXT_HOP_BYTES || at + length > end)
      throw new DecodeError(`next hop of ${length} bytes, ${end - at} left`, at);
    hops.push({
      flags: view.getUint8(at + 2),
      weight: view.getUint8(at + 3) + 1,
      oif: view.getInt32(at + 4, true),
      ...readFields({ view, start: at + NEXT_HOP_BYTES, end: at + length }, NEXT_HOP),
    });
    at += align4(length);
  }
  return hops;
}
