/**
 * Bytes and text of one byte a character, for the wire formats beside this file.
 *
 * @module
 */

/** A new array with the contents of `parts` in their order: also the way to keep bytes that their owner will reuse. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** One byte for each character; characters above U+00FF lose their upper bits, so this is for ASCII. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** One character for each byte. */
export function latin1Text(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Four bytes, most significant first. `value` is an integer of 0 to 2^32-1. */
export function uint32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** The four bytes from `at`, most significant first; bytes past the end read as 0. */
export function uint32At(bytes: Uint8Array, at: number): number {
  const [a, b, c, d] = [bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/**
 * Offset of the first byte that no UTF-8 text can have there; `undefined` where all is UTF-8. Source: RFC 3629, section
 * 4.
 */
export function findBadUtf8(bytes: Uint8Array): number | undefined {
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at] ?? 0;
    const [length, low, high] = utf8Sequence(lead);
    if (length === 0) return at;
    for (let next = 1; next < length; next += 1) {
      const byte = bytes[at + next] ?? 0;
      if (byte < (next === 1 ? low : 0x80) || byte > (next === 1 ? high : 0xbf)) return at;
    }
    at += length;
  }
  return undefined;
}

/** Length of the sequence that `lead` begins (0: none), and the bounds of its second byte. */
function utf8Sequence(lead: number): readonly [length: number, low: number, high: number] {
  if (lead < 0x80) return [1, 0, 0];
  if (lead < 0xc2) return [0, 0, 0];
  if (lead < 0xe0) return [2, 0x80, 0xbf];
  // No overlong forms, no surrogates, nothing above U+10FFFF.
  if (lead < 0xf0) return [3, lead === 0xe0 ? 0xa0 : 0x80, lead === 0xed ? 0x9f : 0xbf];
  if (lead < 0xf5) return [4, lead === 0xf0 ? 0x90 : 0x80, lead === 0xf4 ? 0x8f : 0xbf];
  return [0, 0, 0];
}
