/**
 * The Huffman code of HPACK. It is canonical (codes of one length are consecutive, in the order of their symbols), so
 * the lengths are the whole table.
 * Source: RFC 7541 section 5.2 and appendix B.
 *
 * @module
 */

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

let table: Table | undefined;

/**
 * The bytes that `bytes` stands for; `undefined` where it is not a valid code: EOS inside, or a rest that is not up to
 * seven bits of ones. Never longer than 8/5 of its input.
 */
export function decodeHuffman(bytes: Uint8Array): Uint8Array | undefined {
  // Built on first use: a reply without Huffman strings does not pay for it.
  table ??= buildTable();
  const { firstCode, firstIndex, count, symbols } = table;
  const out = new Uint8Array(Math.floor((bytes.length * 8) / SHORTEST_BITS));
  let [code, bits, length] = [0, 0, 0];
  for (const byte of bytes) {
    for (let shift = 7; shift >= 0; shift -= 1) {
      code = (code << 1) | ((byte >> shift) & 1);
      bits += 1;
      const offset = code - (firstCode[bits] ?? 0);
      if (offset < (count[bits] ?? 0)) {
        const symbol = symbols[(firstIndex[bits] ?? 0) + offset] ?? END_OF_STRING;
        if (symbol === END_OF_STRING) return undefined;
        out[length] = symbol;
        length += 1;
        [code, bits] = [0, 0];
      } else if (bits === LONGEST_BITS) return undefined;
    }
  }
  const padded = bits < 8 && code === (1 << bits) - 1;
  return padded ? out.subarray(0, length) : undefined;
}

function buildTable(): Table {
  const firstCode: number[] = [];
  const firstIndex: number[] = [];
  const count: number[] = [];
  const symbols: number[] = [];
  let code = 0;
  for (let bits = 0; bits <= LONGEST_BITS; bits += 1) {
    code *= 2;
    firstCode[bits] = code;
    firstIndex[bits] = symbols.length;
    for (let symbol = 0; symbol < SYMBOLS; symbol += 1) {
      if (lengthOf(symbol) === bits) symbols.push(symbol);
    }
    count[bits] = symbols.length - (firstIndex[bits] ?? 0);
    code += count[bits] ?? 0;
  }
  return { firstCode, firstIndex, count, symbols };
}

function lengthOf(symbol: number): number {
  return CODE_LENGTHS.charCodeAt(symbol) - 0x61 + SHORTEST_BITS;
}
