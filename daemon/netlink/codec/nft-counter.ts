/**
 * Named counters of nftables, `nft list counter`: NFTA_OBJ_* of <linux/netfilter/nf_tables.h>. For looking only: they are
 * made by nft(8).
 *
 * @module
 */
import {
  be32,
  nested,
  NLA_F_NESTED,
  raw,
  readFields,
  schema,
  text,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { NFNL_SUBSYS, nfType, readNfHeader, writeNfHeader } from "./nfnetlink.ts";
import { type TableKey } from "./nft-structure.ts";
import { type Request } from "./request.ts";
import { DecodeError, spanOf, Writer } from "./wire.ts";

/** NFT_MSG_*OBJ. */
export const NFT_OBJECT = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 18),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 19),
} as const;
/** NFT_OBJECT_COUNTER. */
const COUNTER = 1;
const COUNT_BYTES = 8;

/** NFTA_COUNTER_*: 64 bits, network order. */
const COUNTS = schema({ bytes: raw(1), packets: raw(2) });
const OBJECT = schema({
  table: text(1),
  name: text(2),
  type: be32(3),
  data: nested(4 | NLA_F_NESTED, COUNTS),
});

/** What went through so far. */
export type NftCounter = { readonly packets: bigint; readonly bytes: bigint };

/** `nft list counter`. ENOENT where there is none. */
export function getNftCounter({ family, table }: TableKey, name: string): Request {
  const writer = new Writer();
  writeNfHeader(writer, { family });
  writeFields(writer, OBJECT, { table, name, type: COUNTER });
  return { type: NFT_OBJECT.GET, flags: NLM_F.REQUEST, payload: writer.take() };
}

/** Payload of an NFT_MSG_NEWOBJ of a counter. */
export function decodeNftCounter(payload: Uint8Array): NftCounter {
  const { rest } = readNfHeader(spanOf(payload));
  const { data }: ValuesOf<typeof OBJECT> = readFields(rest, OBJECT);
  return { packets: count(data?.packets, rest.start), bytes: count(data?.bytes, rest.start) };
}

function count(bytes: Uint8Array | undefined, offset: number): bigint {
  if (bytes?.length !== COUNT_BYTES)
    throw new DecodeError(`count of ${bytes?.length ?? 0} bytes, not ${COUNT_BYTES}`, offset);
  return spanOf(bytes).view.getBigUint64(0, false);
}
