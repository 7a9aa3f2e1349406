/**
 * Routing policy, `ip rule`: `struct fib_rule_hdr` and FRA_* of <linux/fib_rules.h>.
 *
 *     0        1         2         3     4       5   6   7        8       12
 *     | family | dst_len | src_len | tos | table | 0 | 0 | action | flags | attributes ...
 *
 * @module
 */
import { i32, raw, readFields, schema, text, u32, u8, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { ipBytes } from "../../../proto/addr6.ts";
import { AF, familyOf, type IpPrefix } from "./ip.ts";
import { MAKE, type Make, type Request } from "./request.ts";
import { prefixField, RT_TABLE } from "./route.ts";
import { skipHeader, spanOf, Writer } from "./wire.ts";

/** RTM_*RULE. */
export const RTM_RULE = { NEW: 32, DEL: 33, GET: 34 } as const;
/** FR_ACT_*. */
export const FR_ACT = {
  UNSPEC: 0,
  TO_TABLE: 1,
  GOTO: 2,
  NOP: 3,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
} as const;
/** FIB_RULE_*, in `flags`. */
export const FIB_RULE = {
  PERMANENT: 1,
  INVERT: 2,
  UNRESOLVED: 4,
  IIF_DETACHED: 8,
  OIF_DETACHED: 16,
} as const;

const HEADER_BYTES = 12;

/** FRA_*. */
const RULE_FIELDS = {
  iifName: text(3),
  /** Priority of the rule that `FR_ACT.GOTO` goes on with. */
  goto: u32(4),
  /** Rules are tried from 0 upwards. The kernel leaves it out of dumps where it is 0. */
  priority: u32(6),
  fwmark: u32(10),
  /** -1: no group. */
  suppressGroup: i32(13),
  /** Routes with at most so many bits do not count; -1, which every dump has: all count. */
  suppressPrefixLength: i32(14),
  /** The kernel takes all 32 bits where a mark comes without it. */
  fwmask: u32(16),
  oifName: text(17),
  /** 1: the table is the one of the VRF the packet is in. */
  l3mdev: u8(19),
  /** RTPROT_*: who made it. */
  protocol: u8(21),
  /** IPPROTO_*. */
  ipProtocol: u8(22),
} as const;

const RULE = schema(RULE_FIELDS);
const ON_WIRE = schema({ ...RULE_FIELDS, dst: raw(1), src: raw(2), table: u32(15) });

/** `struct fib_rule_hdr`, with the table of FRA_TABLE where there is one. */
export type RuleHeader = {
  readonly family: number;
  readonly tos: number;
  /** 32 bits; 0 where the action is not `TO_TABLE`. */
  readonly table: number;
  /** FR_ACT_*. */
  readonly action: number;
  /** FIB_RULE_*. */
  readonly flags: number;
};

type RuleEnds = { readonly dst?: IpPrefix; readonly src?: IpPrefix };

/** A rule of the kernel. */
export type Rule = RuleHeader & RuleEnds & ValuesOf<typeof RULE>;
/** In a request: the family is that of `src` or `dst`, or IPv4, where it is not given. */
export type RuleMessage = Partial<RuleHeader> & RuleEnds & ValuesOf<typeof RULE>;

/** The payload of an RTM_*RULE. */
export function encodeRule(rule: RuleMessage): Uint8Array {
  const { dst, src, table = RT_TABLE.UNSPEC, ...fields } = rule;
  const someIp = src?.ip ?? dst?.ip;
  const writer = new Writer();
  writer.u8(rule.family ?? (someIp === undefined ? AF.INET : familyOf(someIp)));
  writer.u8(dst?.bits ?? 0);
  writer.u8(src?.bits ?? 0);
  writer.u8(rule.tos ?? 0);
  writer.u8(table > 0xff ? RT_TABLE.UNSPEC : table);
  writer.zeros(2);
  writer.u8(rule.action ?? FR_ACT.UNSPEC);
  writer.u32(rule.flags ?? 0);
  writeFields(writer, ON_WIRE, {
    ...fields,
    ...(dst && { dst: ipBytes(dst.ip) }),
    ...(src && { src: ipBytes(src.ip) }),
    ...(table > 0xff && { table }),
  });
  return writer.take();
}

/** The inverse of `encodeRule`. */
export function decodeRule(payload: Uint8Array): Rule {
  const span = spanOf(payload);
  const rest = skipHeader(span, HEADER_BYTES, "fib_rule_hdr");
  const { view } = span;
  const { dst, src, table, ...fields } = readFields(rest, ON_WIRE);
  return {
    family: view.getUint8(0),
    tos: view.getUint8(3),
    table: table ?? view.getUint8(4),
    action: view.getUint8(7),
    flags: view.getUint32(8, true),
    ...prefixField("dst", dst, view.getUint8(1), rest.start),
    ...prefixField("src", src, view.getUint8(2), rest.start),
    ...fields,
  };
}

/** `ip rule add`. Give `priority` and `protocol`: without the first the kernel puts the rule before all others. */
export function addRule(
  rule: RuleMessage & { readonly priority: number; readonly protocol: number },
  make: Make = "create",
): Request {
  return {
    type: RTM_RULE.NEW,
    flags: MAKE[make],
    payload: encodeRule({ action: FR_ACT.TO_TABLE, ...rule }),
  };
}

/** `ip rule delete`: the first rule that fits all that is given; ENOENT where none does. */
export function deleteRule(rule: RuleMessage): Request {
  return { type: RTM_RULE.DEL, flags: NLM_F.REQUEST, payload: encodeRule(rule) };
}
