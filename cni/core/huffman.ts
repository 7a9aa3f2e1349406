/**
 * The Huffman code of HPACK. It is canonical (codes of one length are consecutive, in the order of their symbols), so
 * the lengths are the whole table.
 * Source: RFC 7541 section 5.2 and appendix B.
 *
 * @module
 */

import { latin1Text } from "./bytes.ts";

/** The code length of each symbol 0 to 255 and of EOS (256), 16 symbols a line; "a" is 5 bits, "z" is 30. */
const CODE_LENGTHS = [
  "isxxxxxxxtzxxzxx",
  "xxxxxxzxxxxxxxxx",
  "bffhibdgffdgdbbb",
  "aaabbbbbbbcdkbhf",
  "ibcccccccccccccc",
  "ccccccccdcdioijb",
  "kabababbbaccbbba",
  "bcbaabccccckgjix",
  "prpprrrsrsssssts",
  "ttrstssssqrsrsst",
  "rqprrssqsrrtqrss",
  "qqrqsrssprrrsrrs",
  "vvporsruvvvwwvtu",
  "oqvwwvwtqqvvxwww",
  "ptpqrqqsrruuttvs",
  "vwvvwwwwwxwwwwwv",
  "z",
].join("");

const SYMBOLS = 257;
const END_OF_STRING = 256;
const SHORTEST_BITS = 5;
const LONGEST_BITS = 30;

type Table = {
  /** By code length: the first code, and where its symbol stands in `symbols`. */
  readonly firstCode: readonly number[];
  readonly firstIndex: readonly number[];
  readonly count: readonly number[];
  /** All symbols by code length, then by value. */
  readonly symbols: readonly number[];
};

/**
 * What every answer of the agent has, by its coded bytes: recognised without the table, so that an answer which says OK
 * does not pay for it. A text has one code only, so comparing codes is comparing texts.
 */
export const FREQUENT_TEXTS: readonly (readonly [string, string])[] = [
  ["\x9a\xca\xc8\xb2\x12\x34\xda\x8f", "grpc-status"],
  ["\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64\xff\x75\xd8\x74\x9f", "application/grpc+proto"],
  ["\x9a\xca\xc8\xb5\x25\x42\x07\x31\x7f", "grpc-message"],
  ["\x9a\xca\xc8\xb1\x6a\x21\xe4\x35\x53\x7f", "grpc-encoding"],
  ["\x9a\xca\xc8\xb0\xc8\x42\xd6\x95\x8b\x51\x0f\x21\xaa\x9b", "grpc-accept-encoding"],
  ["\x49\x6c\xf0\x3f\x4b\x24\xd4\x9a\xa9\xbf", "terway-timing"],
  ["\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64", "application/grpc"],
];
const FREQUENT_BYTES_MAX = 16;

let table: Table | undefined;

/**
 * The text (one character for each byte) that `bytes` stands for; `undefined` where it is not a valid code: EOS inside, or
 * a rest that is not up to seven bits of ones. Never longer than 8/5 of its input.
 */
export function decodeHuffman(bytes: Uint8Array): string | undefined {
  if (bytes.length <= FREQUENT_BYTES_MAX) {
    const coded = latin1Text(bytes);
    for (const [code, text] of FREQUENT_TEXTS) if (code === coded) return text;
  }
  return decodeByTable(bytes);
}

/** `decodeHuffman` without the frequent texts. */
export function decodeByTable(bytes: Uint8Array): string | undefined {
  table ??= buildTable();
  const { firstCode, firstIndex, count, symbols } = table;
  let text = "";
  let [code, bits] = [0, 0];
  for (const byte of bytes) {
    for (let shift = 7; shift >= 0; shift -= 1) {
      code = (code << 1) | ((byte >> shift) & 1);
      bits += 1;
      const offset = code - (firstCode[bits] ?? 0);
      if (offset < (count[bits] ?? 0)) {
        const symbol = symbols[(firstIndex[bits] ?? 0) + offset] ?? END_OF_STRING;
        if (symbol === END_OF_STRING) return undefined;
        text += String.fromCharCode(symbol);
        [code, bits] = [0, 0];
      } else if (bits === LONGEST_BITS) return undefined;
    }
  }
  const padded = bits < 8 && code === (1 << bits) - 1;
  return padded ? text : undefined;
}

function buildTable(): Table {
  const byLength: number[][] = [];
  for (let bits = 0; bits <= LONGEST_BITS; bits += 1) byLength.push([]);
  for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
    byLength[CODE_LENGTHS.charCodeAt(symbol) - 0x61 + SHORTEST_BITS]?.push(symbol);
  }
  const firstCode: number[] = [];
  const firstIndex: number[] = [];
  const symbols: number[] = [];
  let code = 0;
  for (const ofLength of byLength) {
    code *= 2;
    firstCode.push(code);
    firstIndex.push(symbols.length);
    symbols.push(...ofLength);
    code += ofLength.length;
  }
  return { firstCode, firstIndex, count: byLength.map((ofLength) => ofLength.length), symbols };
}
