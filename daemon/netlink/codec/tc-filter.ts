/**
 * Filters, `tc filter`: RTM_*TFILTER, TCA_* of <linux/rtnetlink.h> and the classifier u32, TCA_U32_* of <linux/pkt_cls.h>.
 *
 * u32 compares words of the packet, from the network header on. Every kernel with `cls_u32` has it, and it is the one
 * classifier that we need: a destination, or everything.
 *
 * @module
 */
import { type IpAddress, ipBytes } from "../../../proto/addr6.ts";
import { type Action, actions, TC_ACT } from "./tc-action.ts";
import {
  attributesOf,
  type Field,
  NLA_TYPE_MASK,
  raw,
  readFields,
  schema,
  text,
  u32,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { AF, familyOf, type IpPrefix } from "./ip.ts";
import { MAKE, type Request } from "./request.ts";
import { readTcHeader, type TcHeader, writeTcHeader } from "./tc.ts";
import { copyOf, DecodeError, type Span, spanOf, Writer } from "./wire.ts";

/** RTM_*TFILTER. */
export const RTM_FILTER = { NEW: 44, DEL: 45, GET: 46 } as const;
/** ETH_P_* of <linux/if_ether.h>. */
export const ETH_P = { ALL: 0x0003, IP: 0x0800, ARP: 0x0806, IPV6: 0x86dd } as const;
/** TC_U32_*, in `flags` of a selector. TERMINAL: a packet that fits is done with this filter. */
export const U32_FLAG = { TERMINAL: 1, OFFSET: 2, VAROFFSET: 4, EAT: 8 } as const;

/** `struct tc_u32_key`: the word at `offset` from the network header, masked, is `value`. */
export type U32Key = {
  /** As read in network order. */
  readonly mask: number;
  readonly value: number;
  /** Bytes, a multiple of 4. */
  readonly offset: number;
  readonly offsetMask: number;
};

/** `struct tc_u32_sel`. All keys have to fit. */
export type U32Selector = {
  /** `U32_FLAG`. */
  readonly flags: number;
  readonly keys: readonly U32Key[];
  /** The eleven bytes about other headers and hash tables, as they stood; zeros where not given. */
  readonly rest?: Uint8Array;
};

const SELECTOR_BYTES = 16;
const KEY_BYTES = 16;

const selector: Field<U32Selector> = {
  type: 5,
  write: (writer, { flags, keys, rest }) => {
    writer.u8(flags);
    writer.u8(rest?.[0] ?? 0);
    writer.u8(keys.length);
    writer.zeros(1);
    for (let at = 1; at <= 12; at++) writer.u8(rest?.[at] ?? 0);
    for (const { mask, value, offset, offsetMask } of keys) {
      writer.be32(mask);
      writer.be32(value);
      writer.i32(offset);
      writer.i32(offsetMask);
    }
  },
  read: (span) => {
    const { view, start, end } = span;
    const keys = end - start < SELECTOR_BYTES ? 0 : view.getUint8(start + 2);
    if (end - start !== SELECTOR_BYTES + keys * KEY_BYTES)
      throw new DecodeError(`u32 selector of ${keys} keys has ${end - start} bytes`, start);
    const rest = Uint8Array.of(
      view.getUint8(start + 1),
      ...copyOf({ view, start: start + 4, end: start + SELECTOR_BYTES }),
    );
    return {
      flags: view.getUint8(start),
      keys: Array.from({ length: keys }, (_, at) => readKey(view, start + SELECTOR_BYTES + at * KEY_BYTES)),
      ...(rest.some((byte) => byte !== 0) && { rest }),
    };
  },
};

function readKey(view: DataView, at: number): U32Key {
  return {
    mask: view.getUint32(at, false),
    value: view.getUint32(at + 4, false),
    offset: view.getInt32(at + 8, true),
    offsetMask: view.getInt32(at + 12, true),
  };
}

/** TCA_U32_*. */
const U32 = schema({
  classId: u32(1),
  /** The hash table that it is in. */
  hash: u32(2),
  link: u32(3),
  /** Of a hash table: its buckets. */
  divisor: u32(4),
  selector,
  actions: actions(7),
  /** How often it was tried and fitted. */
  counters: raw(9),
  mark: raw(10),
  /** TCA_CLS_FLAGS_*: whether hardware does it. */
  flags: u32(11),
});

type Known = { readonly kind: "u32"; readonly options?: ValuesOf<typeof U32> };
type Raw = { readonly kind: "raw"; readonly name?: string; readonly data?: Uint8Array };

const OPTIONS = 2;
/** TCA_*. */
const FILTER = schema({ name: text(1), data: raw(OPTIONS), chain: u32(11), stats2: raw(7) });

type Rest = Omit<ValuesOf<typeof FILTER>, "name" | "data">;

type FilterHeader = Omit<TcHeader, "info"> & {
  /** 1 to 65535; the lowest is tried first. tc(8) says `pref`. */
  readonly priority: number;
  /** `ETH_P`. */
  readonly protocol: number;
};

/** A filter of the kernel. u32 shows its hash tables as filters without a selector. */
export type Filter = FilterHeader & (Known | Raw) & Rest;
/** In a request: what is not given is 0 in the header. */
export type FilterMessage = Partial<FilterHeader> & (Known | Raw) & Rest;

/** The payload of an RTM_*TFILTER. */
export function encodeFilter(filter: FilterMessage): Uint8Array {
  const { priority = 0, protocol = 0 } = filter;
  if (protocol < 0 || protocol > 0xffff) throw new RangeError(`netlink: protocol ${protocol}`);
  const swapped = ((protocol & 0xff) << 8) | (protocol >> 8);
  const writer = new Writer();
  writeTcHeader(writer, { ...filter, info: priority * 0x1_0000 + swapped });
  writeFields(writer, FILTER, flatten(filter));
  return writer.take();
}

/** The inverse of `encodeFilter`. */
export function decodeFilter(payload: Uint8Array): Filter {
  const { header, rest } = readTcHeader(spanOf(payload));
  const { info, ...ends } = header;
  const swapped = info & 0xffff;
  return {
    ...ends,
    priority: info >>> 16,
    protocol: ((swapped & 0xff) << 8) | (swapped >> 8),
    ...unflatten(readFields(rest, FILTER), optionsOf(rest)),
  };
}

/** Which filters: those of one priority and protocol at one place. We never have two of them. */
export type FilterKey = {
  readonly index: number;
  /** `TC_H.CLSACT_INGRESS` or `TC_H.CLSACT_EGRESS`. */
  readonly parent: number;
  readonly priority: number;
  /** `ETH_P`. */
  readonly protocol: number;
};

/**
 * `tc filter add dev INDEX ingress|egress pref P protocol … u32 match ip|ip6 dst PREFIX action …`; without `dst` it fits
 * every packet of the protocol. A second call makes a second filter: look first.
 */
export function addFilter(key: FilterKey, dst: IpPrefix | undefined, list: readonly Action[]): Request {
  return addKeyedFilter(key, keysOf(dst), list);
}

/** The same with any keys. Without an action the packet passes, and no later filter is asked. */
export function addKeyedFilter(key: FilterKey, keys: readonly U32Key[], list: readonly Action[]): Request {
  const selector = { flags: U32_FLAG.TERMINAL, keys };
  const options = { selector, ...(list.length > 0 && { actions: list }) };
  return {
    type: RTM_FILTER.NEW,
    flags: MAKE.create,
    payload: encodeFilter({ ...key, kind: "u32", options }),
  };
}

/** `tc filter delete dev INDEX ingress|egress pref P protocol …`: all of that priority. ENOENT where none is. */
export function deleteFilter(key: FilterKey): Request {
  return { type: RTM_FILTER.DEL, flags: NLM_F.REQUEST, payload: encodeFilter({ ...key, kind: "raw" }) };
}

/** `tc filter show dev INDEX ingress|egress`. ENODEV where the device is gone; nothing where it has no `clsact`. */
export function dumpFilters(place: { readonly index: number; readonly parent: number }): Request {
  return {
    type: RTM_FILTER.GET,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
    payload: encodeFilter({ ...place, kind: "raw" }),
  };
}

/** Where the destination stands in the header, bytes: RFC 791 section 3.1, RFC 8200 section 3. */
const DST_OFFSET = { v4: 16, v6: 24 } as const;
/** And the source; of ARP, behind the sender's MAC: RFC 826. */
const SRC_OFFSET = { v4: 12, v6: 8, arp: 14 } as const;
const WORD_BITS = 32;

/** Packets, or ARP messages, that are sent in the name of this address. */
export function sourceKeys(ip: IpAddress, isArp: boolean): readonly U32Key[] {
  const family = familyOf(ip) === AF.INET ? ("v4" as const) : ("v6" as const);
  return wordsOf({ ip, bits: 8 * ipBytes(ip).length }, SRC_OFFSET[isArp ? "arp" : family]);
}

/** One key for each word that the prefix has bits in; one that fits everything where there is none. */
export function keysOf(dst: IpPrefix | undefined): readonly U32Key[] {
  if (dst === undefined || dst.bits === 0) return [{ mask: 0, value: 0, offset: 0, offsetMask: 0 }];
  return wordsOf(dst, familyOf(dst.ip) === AF.INET ? DST_OFFSET.v4 : DST_OFFSET.v6);
}

/** `first`: where the address stands, bytes. */
function wordsOf(prefix: IpPrefix, first: number): readonly U32Key[] {
  const { view } = spanOf(bytesOf(prefix.ip));
  return Array.from({ length: Math.ceil(prefix.bits / WORD_BITS) }, (_, word) => {
    const bits = Math.min(WORD_BITS, prefix.bits - word * WORD_BITS);
    const mask = (0xffffffff << (WORD_BITS - bits)) >>> 0;
    const value = (view.getUint32(4 * word, false) & mask) >>> 0;
    return { mask, value, offset: first + 4 * word, offsetMask: 0 };
  });
}

function bytesOf(ip: IpAddress): Uint8Array {
  return Uint8Array.from(ipBytes(ip));
}

/** One action in a request; the kernel gives its index. `verdict`: `TC_ACT`. */
export function actionBase(verdict: number = TC_ACT.PIPE) {
  return { index: 0, capabilities: 0, verdict, references: 0, bindings: 0 };
}

function flatten(filter: FilterMessage): ValuesOf<typeof FILTER> {
  const { chain, stats2, unknown } = filter;
  const rest = {
    ...(chain !== undefined && { chain }),
    ...(stats2 && { stats2 }),
    ...(unknown && { unknown }),
  };
  if (filter.kind === "raw") {
    const { name, data } = filter;
    return { ...(name !== undefined && { name }), ...(data && { data }), ...rest };
  }
  if (filter.options === undefined) return { name: filter.kind, ...rest };
  const writer = new Writer();
  writeFields(writer, U32, filter.options);
  return { name: filter.kind, data: writer.take(), ...rest };
}

function optionsOf(span: Span): Span | undefined {
  return attributesOf(span).findLast(({ type }) => (type & NLA_TYPE_MASK) === OPTIONS)?.payload;
}

function unflatten(
  { name, data, ...rest }: ValuesOf<typeof FILTER>,
  options: Span | undefined,
): (Known | Raw) & Rest {
  if (name === "u32") return { kind: name, ...(options && { options: readFields(options, U32) }), ...rest };
  return { kind: "raw", ...(name !== undefined && { name }), ...(data && { data }), ...rest };
}
