/**
 * Base64 as gRPC puts it into "-bin" headers: the standard alphabet, with or without padding.
 * Source: RFC 4648 section 4; grpc/grpc `doc/PROTOCOL-HTTP2.md`, "Binary-Header".
 *
 * @module
 */

/** `undefined` where `text` is not base64. Accepts missing padding, refuses white space. */
export function decodeBase64(text: string): Uint8Array | undefined {
  let end = text.length;
  while (end > 0 && text.length - end < 2 && text.charAt(end - 1) === "=") end -= 1;
  if (end % 4 === 1 || (end !== text.length && text.length % 4 !== 0)) return undefined;
  const bytes = new Uint8Array(Math.floor((end * 3) / 4));
  let [bits, bitCount, length] = [0, 0, 0];
  for (let at = 0; at < end; at += 1) {
    const sextet = sextetOf(text.charCodeAt(at));
    if (sextet === undefined) return undefined;
    bits = ((bits << 6) | sextet) & 0xff_ff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length] = bits >> bitCount;
    length += 1;
  }
  return bytes;
}

function sextetOf(code: number): number | undefined {
  if (code >= 0x41 && code <= 0x5a) return code - 0x41; // A-Z
  if (code >= 0x61 && code <= 0x7a) return code - 0x61 + 26; // a-z
  if (code >= 0x30 && code <= 0x39) return code - 0x30 + 52; // 0-9
  if (code === 0x2b) return 62; // +
  if (code === 0x2f) return 63; // /
  return undefined;
}
