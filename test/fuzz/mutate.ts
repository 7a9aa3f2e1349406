/**
 * Small damage to bytes and texts, and cuts where a stream could be cut.
 *
 * @module
 */
import { concatBytes } from "../../cni/core/bytes.ts";
import { type Random } from "./random.ts";

/** Bytes at which formats turn: ends of prefixes, of varints and of signs. */
const EDGES = [0, 1, 2, 4, 5, 8, 9, 0x0a, 0x1f, 0x20, 0x3f, 0x40, 0x7e, 0x7f, 0x80, 0x81, 0xc0, 0xfe, 0xff];

/** `bytes` with one to four changes; a new array. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  let changed = concatBytes([bytes]);
  for (let left = 1 + random.below(4); left > 0; left -= 1) changed = mutateOnce(random, changed);
  return changed;
}

function mutateOnce(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = Math.min(random.below(random.oneIn(4) ? 200 : 8), bytes.length - at);
  const [before, part, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, at + length),
    bytes.subarray(at + length),
  ];
  switch (random.below(7)) {
    case 0: // One bit.
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1: // One byte.
      if (at < bytes.length) bytes[at] = random.pick(EDGES);
      return bytes;
    case 2:
      return concatBytes([before, after]);
    case 3:
      return concatBytes([before, part, part, after]);
    case 4:
      return concatBytes([before, random.bytes(9), part, after]);
    case 5: // Cut off.
      return concatBytes([before]);
    default: {
      // Something from elsewhere in the same bytes.
      const from = random.below(bytes.length + 1);
      return concatBytes([before, bytes.subarray(from, from + length), after]);
    }
  }
}

/** `text` with a change, as characters. */
export function mutateText(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const length = random.below(6);
  const strange = [
    "\0",
    "\n",
    "\u2028",
    "\ufeff",
    "\ud800",
    "😀",
    "ä",
    '"',
    "\\",
    "/",
    ":",
    ";",
    "=",
    "%",
    " ",
    "{",
    "[",
    "]",
    "}",
    ",",
    "-",
    "9".repeat(400),
  ];
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at) + random.pick(strange) + text.slice(at);
    case 2:
      return text.slice(0, at) + random.pick(strange).repeat(1 + random.below(40)) + text.slice(at + length);
    default:
      return (
        text.slice(0, at) + text.slice(at, at + length).repeat(random.below(20)) + text.slice(at + length)
      );
  }
}

/** `bytes` as a reader could get them: whole, in some pieces, in small ones. Together they are `bytes`. */
export function cut(random: Random, bytes: Uint8Array): readonly Uint8Array[] {
  const lengthMax = random.pick([Infinity, Infinity, 65_536, 100, 20, bytes.length < 2_000 ? 1 : 4_096]);
  if (lengthMax === Infinity) return [bytes];
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random.below(lengthMax);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

/** Hexadecimal digits, as a failing case is shown. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
