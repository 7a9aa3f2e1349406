/**
 * Which tables, chains, rules and sets of nftables there are: NFTA_TABLE_*, NFTA_CHAIN_*, NFTA_RULE_* and NFTA_SET_* of
 * <linux/netfilter/nf_tables.h>. For looking only: they are made by nft(8), and what a rule says stays bytes.
 *
 * @module
 */
import {
  be32,
  nested,
  NLA_F_NESTED,
  readFields,
  schema,
  text,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { NFNL_SUBSYS, nfType, readNfHeader, writeNfHeader } from "./nfnetlink.ts";
import { type Request } from "./request.ts";
import { spanOf, Writer } from "./wire.ts";

/** NFT_MSG_*: what asks for one, and the type of the answer. */
export const NFT_TABLE = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 0),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 1),
} as const;
/** See `NFT_TABLE`. */
export const NFT_CHAIN = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 3),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 4),
} as const;
/** See `NFT_TABLE`. */
export const NFT_RULE = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 6),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 7),
} as const;
/** See `NFT_TABLE`. */
export const NFT_SET = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 9),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 10),
} as const;

/** NFT_TABLE_F_DORMANT, in `flags`: none of its chains is in force. */
export const NFT_TABLE_DORMANT = 1;

const TABLE = schema({ name: text(1), flags: be32(2) });
/** NFTA_HOOK_*. A priority below 0 is its two's complement. */
const HOOK = schema({ hook: be32(1), priority: be32(2) });
const CHAIN = schema({
  table: text(1),
  name: text(3),
  /** Absent: no base chain, packets come here only from other chains. */
  hook: nested(4 | NLA_F_NESTED, HOOK),
  /** NF_DROP 0, NF_ACCEPT 1. */
  policy: be32(5),
});
const RULE = schema({ table: text(1), chain: text(2) });
const SET = schema({ table: text(1), name: text(2) });

/** A table. */
export type NftTable = ValuesOf<typeof TABLE>;
/** A chain. */
export type NftChain = ValuesOf<typeof CHAIN>;
/** A rule: where it stands. */
export type NftRule = ValuesOf<typeof RULE>;

/** NFPROTO_* of the table, and its name. */
export type TableKey = { readonly family: number; readonly table: string };

/** `nft list table`, without what is in it. ENOENT where there is none. */
export function getNftTable({ family, table }: TableKey): Request {
  return get(NFT_TABLE.GET, family, (writer) => writeFields(writer, TABLE, { name: table }));
}

/** `nft list chain`, without its rules. ENOENT where there is none. */
export function getNftChain({ family, table }: TableKey, name: string): Request {
  return get(NFT_CHAIN.GET, family, (writer) => writeFields(writer, CHAIN, { table, name }));
}

/** The definition of a set or a map. ENOENT where there is none. */
export function getNftSet({ family, table }: TableKey, name: string): Request {
  return get(NFT_SET.GET, family, (writer) => writeFields(writer, SET, { table, name }));
}

/** All rules of a table: NFT_MSG_NEWRULE for each, in the order of their chains. None where the table is not there. */
export function dumpNftRules({ family, table }: TableKey): Request {
  const request = get(NFT_RULE.GET, family, (writer) => writeFields(writer, RULE, { table }));
  return { ...request, flags: NLM_F.REQUEST | NLM_F.DUMP };
}

/** Payload of an NFT_MSG_NEWTABLE. */
export function decodeNftTable(payload: Uint8Array): NftTable {
  return readFields(readNfHeader(spanOf(payload)).rest, TABLE);
}

/** Payload of an NFT_MSG_NEWCHAIN. */
export function decodeNftChain(payload: Uint8Array): NftChain {
  return readFields(readNfHeader(spanOf(payload)).rest, CHAIN);
}

/** Payload of an NFT_MSG_NEWRULE. */
export function decodeNftRule(payload: Uint8Array): NftRule {
  return readFields(readNfHeader(spanOf(payload)).rest, RULE);
}

function get(type: number, family: number, write: (writer: Writer) => void): Request {
  const writer = new Writer();
  writeNfHeader(writer, { family });
  write(writer);
  return { type, flags: NLM_F.REQUEST, payload: writer.take() };
}
