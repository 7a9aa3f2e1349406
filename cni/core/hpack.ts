/**
 * HPACK for a client that keeps no table: it announces SETTINGS_HEADER_TABLE_SIZE = 0, so that the server may use the
 * static table and literals only, and it sends literals itself.
 * Source: RFC 7541.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { latin1Bytes, latin1Text } from "./bytes.ts";
import { decodeHuffman } from "./huffman.ts";

/** Name in lower case; the value has one character for each byte. */
export type Header = { readonly name: string; readonly value: string };

/** One byte can stand for a header of 30, so the count is bounded apart from the size. */
const HEADERS_MAX = 256;
/** RFC 9113 section 6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE: names, values and 32 bytes for each of them. */
export const HEADER_LIST_BYTES_MAX = 65_536;
const HEADER_OVERHEAD_BYTES = 32;
/** No length or index in a header block that we accept is larger (`HEADER_BLOCK_BYTES_MAX`, http2.ts). */
const INTEGER_MAX = 0xff_ff_ff;

/** RFC 7541 appendix A, from index 1: `name` or `name=value`. */
const STATIC_TABLE = [
  ":authority",
  ":method=GET",
  ":method=POST",
  ":path=/",
  ":path=/index.html",
  ":scheme=http",
  ":scheme=https",
  ":status=200",
  ":status=204",
  ":status=206",
  ":status=304",
  ":status=400",
  ":status=404",
  ":status=500",
  "accept-charset",
  "accept-encoding=gzip, deflate",
  "accept-language",
  "accept-ranges",
  "accept",
  "access-control-allow-origin",
  "age",
  "allow",
  "authorization",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "etag",
  "expect",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "link",
  "location",
  "max-forwards",
  "proxy-authenticate",
  "proxy-authorization",
  "range",
  "referer",
  "refresh",
  "retry-after",
  "server",
  "set-cookie",
  "strict-transport-security",
  "transfer-encoding",
  "user-agent",
  "vary",
  "via",
  "www-authenticate",
];

/** A header block of literals that no table remembers (RFC 7541 section 6.2.2). Values are ASCII. */
export function encodeHeaders(headers: readonly Header[]): Uint8Array {
  return latin1Bytes(
    headers.map(({ name, value }) => `\0${encodeString(name)}${encodeString(value)}`).join(""),
  );
}

/**
 * The headers of a whole block in their order, or why it cannot be read; never throws. With `wanted` only those with these
 * names and the pseudo headers: the values of the others are measured, not decoded, which in the code of Huffman would
 * be most of the work.
 */
export function decodeHeaders(
  block: Uint8Array,
  wanted?: readonly string[],
): Result<readonly Header[], string> {
  const headers: Header[] = [];
  let [at, count, listBytes] = [0, 0, 0];
  while (at < block.length) {
    if (isTableSizeUpdate(block[at] ?? 0)) {
      // RFC 7541 section 4.2: before the first header; it may not be above the size that we announced.
      const size = decodeInteger(block, at, 5);
      if (count > 0 || size?.value !== 0) return failed("a table size update that is not allowed");
      at = size.next;
      continue;
    }
    const field = decodeField(block, at, wanted);
    if (field === undefined) return failed("a header that is cut off, or that refers to an unknown one");
    at = field.next;
    count += 1;
    listBytes += field.name.length + field.valueBytes + HEADER_OVERHEAD_BYTES;
    if (count > HEADERS_MAX) return failed(`more than ${HEADERS_MAX} headers`);
    if (listBytes > HEADER_LIST_BYTES_MAX)
      return failed(`headers of more than ${HEADER_LIST_BYTES_MAX} bytes`);
    if (field.value !== undefined) headers.push({ name: field.name, value: field.value });
  }
  return ok(headers);
}

/** RFC 7541 section 6.3. */
function isTableSizeUpdate(first: number): boolean {
  return first >= 0x20 && first < 0x40;
}

type Field = {
  readonly name: string;
  /** `undefined` where nobody wants it. */
  readonly value: string | undefined;
  /** Of the value; where nobody wants it, as it is coded. */
  readonly valueBytes: number;
  readonly next: number;
};

function decodeField(block: Uint8Array, at: number, wanted?: readonly string[]): Field | undefined {
  const first = block[at] ?? 0;
  if (first >= 0x80) {
    // Section 6.1, indexed: name and value from the table.
    const index = decodeInteger(block, at, 7);
    const header = index && staticHeader(index.value);
    return header && { ...header, valueBytes: header.value.length, next: index.next };
  }
  // Sections 6.2.1 to 6.2.3, literals; the one "with indexing" is evicted at once from a table of size 0.
  const index = decodeInteger(block, at, first >= 0x40 ? 6 : 4);
  if (index === undefined) return undefined;
  const name =
    index.value === 0
      ? decodeString(block, index.next)
      : { text: staticHeader(index.value)?.name, next: index.next };
  if (name?.text === undefined) return undefined;
  const raw = rawString(block, name.next);
  if (raw === undefined) return undefined;
  const isWanted = wanted === undefined || name.text.startsWith(":") || wanted.includes(name.text);
  if (!isWanted) return { name: name.text, value: undefined, valueBytes: raw.bytes.length, next: raw.next };
  const value = plainText(raw);
  return value === undefined
    ? undefined
    : { name: name.text, value, valueBytes: value.length, next: raw.next };
}

function staticHeader(index: number): Header | undefined {
  const entry = STATIC_TABLE[index - 1];
  if (entry === undefined) return undefined;
  const equals = entry.indexOf("=");
  if (equals < 0) return { name: entry, value: "" };
  return { name: entry.slice(0, equals), value: entry.slice(equals + 1) };
}

/** Section 5.1: an integer in the lower `prefixBits` of the byte at `at` and the bytes after it. */
function decodeInteger(
  block: Uint8Array,
  at: number,
  prefixBits: number,
): { readonly value: number; readonly next: number } | undefined {
  const mask = (1 << prefixBits) - 1;
  const first = block[at];
  if (first === undefined) return undefined;
  let value = first & mask;
  if (value < mask) return { value, next: at + 1 };
  for (let index = 1; index <= 4; index += 1) {
    const byte = block[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * (index - 1));
    if (value > INTEGER_MAX) return undefined;
    if (byte < 0x80) return { value, next: at + index + 1 };
  }
  return undefined;
}

type RawString = { readonly bytes: Uint8Array; readonly coded: boolean; readonly next: number };

/** Section 5.2: a length with the Huffman bit, and the string. */
function rawString(block: Uint8Array, at: number): RawString | undefined {
  const length = decodeInteger(block, at, 7);
  if (length === undefined || length.value > block.length - length.next) return undefined;
  const next = length.next + length.value;
  return { bytes: block.subarray(length.next, next), coded: (block[at] ?? 0) >= 0x80, next };
}

function plainText({ bytes, coded }: RawString): string | undefined {
  return coded ? decodeHuffman(bytes) : latin1Text(bytes);
}

function decodeString(
  block: Uint8Array,
  at: number,
): { readonly text: string | undefined; readonly next: number } | undefined {
  const raw = rawString(block, at);
  return raw && { text: plainText(raw), next: raw.next };
}

/** One character for each byte. */
function encodeString(text: string): string {
  if (text.length < 0x7f) return String.fromCharCode(text.length) + text;
  let prefix = "\u007f";
  let rest = text.length - 0x7f;
  for (; rest >= 0x80; rest >>>= 7) prefix += String.fromCharCode((rest & 0x7f) | 0x80);
  return prefix + String.fromCharCode(rest) + text;
}
