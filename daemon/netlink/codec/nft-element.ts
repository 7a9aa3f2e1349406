/**
 * Elements of nftables sets and maps, `nft add element` and `nft delete element`: NFTA_SET_ELEM_* of
 * <linux/netfilter/nf_tables.h>. Tables, chains, rules and the sets themselves are made by nft(8).
 *
 * Changes travel between NFNL_MSG_BATCH_BEGIN and _END and are made all or none. Each that fails is answered with its
 * sequence number; those without a fault may be answered with success although nothing was changed, so one error among the
 * answers means that the whole batch was refused.
 *
 * @module
 */
import {
  attributesOf,
  be32,
  type Field,
  NLA_F_NESTED,
  nested,
  raw,
  readFields,
  schema,
  text,
  type UnknownAttribute,
  type ValuesOf,
  writeAttribute,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { NFNL_SUBSYS, NFPROTO, nfType, readNfHeader, writeNfHeader } from "./nfnetlink.ts";
import { decodeKey, encodeKey, type NftType, type NftValue, valueBytes } from "./nft-value.ts";
import { type Request } from "./request.ts";
import { DecodeError, spanOf, Writer } from "./wire.ts";

/** NFT_MSG_*SETELEM. */
export const NFT_ELEMENT = {
  NEW: nfType(NFNL_SUBSYS.NFTABLES, 12),
  GET: nfType(NFNL_SUBSYS.NFTABLES, 13),
  DEL: nfType(NFNL_SUBSYS.NFTABLES, 14),
} as const;
/** NFNL_MSG_BATCH_*. */
export const NFNL_BATCH = { BEGIN: 0x10, END: 0x11 } as const;
/** NFT_SET_ELEM_*. INTERVAL_END: the first value behind an interval of a set with `flags interval`. */
export const NFT_SET_ELEM = { INTERVAL_END: 1, CATCHALL: 2 } as const;

/** NF_* and NFT_*, as 32 bits. */
const VERDICTS = {
  drop: 0,
  accept: 1,
  continue: 0xffffffff,
  jump: 0xfffffffd,
  goto: 0xfffffffc,
  return: 0xfffffffb,
} as const satisfies Record<string, number>;

/** What a verdict map leads to: NF_* and NFT_*. */
export type NftVerdict =
  | { readonly kind: "verdict"; readonly verdict: "drop" | "accept" | "continue" | "return" }
  | { readonly kind: "verdict"; readonly verdict: "jump" | "goto"; readonly chain: string };

/** One element of a set or a map. */
export type SetElement = {
  /** One part, or several for a concatenated key. Empty: the catch-all element (with its flag). */
  readonly key: readonly NftValue[];
  /** Last key of a range, in sets of concatenated keys with `flags interval`. */
  readonly keyEnd?: readonly NftValue[];
  /** Of a map: what the key leads to. */
  readonly data?: NftValue | NftVerdict;
  /** NFT_SET_ELEM_*. */
  readonly flags?: number;
  /** Attributes without a name here: timeouts, comments, counters. */
  readonly unknown?: readonly UnknownAttribute[];
};

/** Which set. */
export type SetTarget = {
  /** NFPROTO_* of the table. */
  readonly family: number;
  readonly table: string;
  readonly set: string;
};

/** What the set was defined with. No key types: keys are bytes. */
export type SetTypes = { readonly key: readonly NftType[]; readonly data?: NftType };

const VERDICT = schema({ code: be32(1), chain: text(2) });
const DATA = schema({ value: raw(1), verdict: nested(2 | NLA_F_NESTED, VERDICT) });
const ELEMENT = schema({
  flags: be32(3),
  key: nested(1 | NLA_F_NESTED, DATA),
  keyEnd: nested(10 | NLA_F_NESTED, DATA),
  data: nested(2 | NLA_F_NESTED, DATA),
});
type RawElement = ValuesOf<typeof ELEMENT>;

/** NFTA_LIST_ELEM. */
const LIST_ELEMENT = 1;
const elements: Field<readonly RawElement[]> = {
  type: 3 | NLA_F_NESTED,
  write: (writer, list) => {
    for (const element of list)
      writeAttribute(writer, LIST_ELEMENT | NLA_F_NESTED, () => writeFields(writer, ELEMENT, element));
  },
  // The kernel does not look at the type of what is in a list; nft counts up with it.
  read: (span) => attributesOf(span).map(({ payload }) => readFields(payload, ELEMENT)),
};

/** NFTA_SET_ELEM_LIST_*. */
const ELEMENT_LIST = schema({ table: text(1), set: text(2), elements });

/** The length of an attribute has 16 bits; some are left for the nest's own header. */
const MOST_BYTES_PER_MESSAGE = 60_000;

/** The payload of an NFT_MSG_*SETELEM. RangeError where `list` is over 64 KiB: use the functions that split it. */
export function encodeSetElements(target: SetTarget, list: readonly SetElement[]): Uint8Array {
  const { family, table, set } = target;
  const writer = new Writer();
  writeNfHeader(writer, { family });
  writeFields(writer, ELEMENT_LIST, {
    table,
    set,
    ...(list.length > 0 && { elements: list.map(toRaw) }),
  });
  return writer.take();
}

/** The inverse of `encodeSetElements`. */
export function decodeSetElements(
  payload: Uint8Array,
  types: SetTypes,
): SetTarget & { readonly elements: readonly SetElement[] } {
  const { header, rest } = readNfHeader(spanOf(payload));
  const { table, set, elements: list = [] } = readFields(rest, ELEMENT_LIST);
  if (table === undefined || set === undefined)
    throw new DecodeError("elements without a table or a set", rest.start);
  return {
    family: header.family,
    table,
    set,
    elements: list.map((element) => fromRaw(element, types, rest.start)),
  };
}

/**
 * `nft add element`, in as many messages as it takes. An element that is there already does no harm, unless it is one of a
 * map and leads elsewhere (EEXIST); `exclusive`: it is an error (EEXIST) too. Only within `nftBatch()`.
 */
export function addElements(
  target: SetTarget,
  list: readonly SetElement[],
  exclusive = false,
): readonly Request[] {
  const flags = NLM_F.REQUEST | NLM_F.CREATE | (exclusive ? NLM_F.EXCL : 0);
  return split(list).map((part) => ({
    type: NFT_ELEMENT.NEW,
    flags,
    payload: encodeSetElements(target, part),
  }));
}

/** `nft delete element`. ENOENT where one is not there. Only within `nftBatch()`. */
export function deleteElements(target: SetTarget, list: readonly SetElement[]): readonly Request[] {
  return split(list).map((part) => ({
    type: NFT_ELEMENT.DEL,
    flags: NLM_F.REQUEST,
    payload: encodeSetElements(target, part),
  }));
}

/** `nft flush set`. Only within `nftBatch()`. */
export function flushElements(target: SetTarget): Request {
  return { type: NFT_ELEMENT.DEL, flags: NLM_F.REQUEST, payload: encodeSetElements(target, []) };
}

/** `nft list set`: answers NFT_MSG_NEWSETELEM, each with some of the elements. Not within a batch. */
export function dumpElements(target: SetTarget): Request {
  return {
    type: NFT_ELEMENT.GET,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
    payload: encodeSetElements(target, []),
  };
}

/** `nft get element`: answers NFT_MSG_NEWSETELEM; ENOENT where the element, its set or its table is not there. Not within a batch. */
export function getElement(target: SetTarget, key: SetElement["key"]): Request {
  return { type: NFT_ELEMENT.GET, flags: NLM_F.REQUEST, payload: encodeSetElements(target, [{ key }]) };
}

/**
 * Puts changes between the begin and the end of a batch and asks for an answer to the last change. Line it up with
 * `batch(nftBatch(changes), seq, "as-is")`: kernels before 6.10 do not answer the two ends.
 */
export function nftBatch(changes: readonly Request[]): readonly Request[] {
  const acked = changes.map((change, index) =>
    index === changes.length - 1 ? { ...change, flags: change.flags | NLM_F.ACK } : change,
  );
  return [batchEnd(NFNL_BATCH.BEGIN), ...acked, batchEnd(NFNL_BATCH.END)];
}

function batchEnd(type: number): Request {
  const writer = new Writer();
  writeNfHeader(writer, { family: NFPROTO.UNSPEC, resource: NFNL_SUBSYS.NFTABLES });
  return { type, flags: NLM_F.REQUEST, payload: writer.take() };
}

function split(list: readonly SetElement[]): SetElement[][] {
  const parts: SetElement[][] = [];
  let room = 0;
  for (const element of list) {
    const writer = new Writer();
    writeAttribute(writer, LIST_ELEMENT, () => writeFields(writer, ELEMENT, toRaw(element)));
    const last = parts.at(-1);
    if (last === undefined || writer.length > room) {
      parts.push([element]);
      room = MOST_BYTES_PER_MESSAGE - writer.length;
    } else {
      last.push(element);
      room -= writer.length;
    }
  }
  return parts;
}

function toRaw({ key, keyEnd, data, ...rest }: SetElement): RawElement {
  return {
    ...rest,
    ...(key.length > 0 && { key: { value: encodeKey(key) } }),
    ...(keyEnd && { keyEnd: { value: encodeKey(keyEnd) } }),
    ...(data && { data: rawData(data) }),
  };
}

function rawData(data: NftValue | NftVerdict): ValuesOf<typeof DATA> {
  if (data.kind !== "verdict") return { value: valueBytes(data) };
  const code = VERDICTS[data.verdict];
  return { verdict: "chain" in data ? { code, chain: data.chain } : { code } };
}

function fromRaw(element: RawElement, types: SetTypes, offset: number): SetElement {
  const { key, keyEnd, data, ...rest } = element;
  return {
    key: key?.value ? decodeKey(key.value, types.key, offset) : [],
    ...(keyEnd?.value && { keyEnd: decodeKey(keyEnd.value, types.key, offset) }),
    ...(data && { data: dataOf(data, types, offset) }),
    ...rest,
  };
}

function dataOf(
  { value, verdict }: ValuesOf<typeof DATA>,
  types: SetTypes,
  offset: number,
): NftValue | NftVerdict {
  if (value !== undefined) {
    const [first] = decodeKey(value, types.data === undefined ? [] : [types.data], offset);
    if (first !== undefined) return first;
  }
  switch (verdict?.code) {
    case VERDICTS.drop:
      return { kind: "verdict", verdict: "drop" };
    case VERDICTS.accept:
      return { kind: "verdict", verdict: "accept" };
    case VERDICTS.continue:
      return { kind: "verdict", verdict: "continue" };
    case VERDICTS.return:
      return { kind: "verdict", verdict: "return" };
    case VERDICTS.jump:
      return { kind: "verdict", verdict: "jump", chain: chainOf(verdict, offset) };
    case VERDICTS.goto:
      return { kind: "verdict", verdict: "goto", chain: chainOf(verdict, offset) };
    default:
      throw new DecodeError(`data that is neither a value nor a known verdict (${verdict?.code})`, offset);
  }
}

function chainOf({ chain }: { readonly chain?: string }, offset: number): string {
  if (chain === undefined) throw new DecodeError("a jump without a chain", offset);
  return chain;
}
