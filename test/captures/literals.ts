/**
 * Addresses and bytes as they are written in tests. All throw for what is malformed.
 *
 * @module
 */
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";

/** `v4("10.0.0.1")`. */
export function v4(text: string): Ipv4 {
  return sure(parseIpv4(text), text);
}

/** `v6("fe80::1")`. */
export function v6(text: string): Ipv6 {
  return sure(parseIpv6(text), text);
}

/** `hw("02:00:00:00:00:0a")`. */
export function hw(text: string): Mac {
  return sure(parseMac(text), text);
}

/** The bytes that hex digits say; blanks are for the eye. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

function sure<Value>(value: Value | undefined, text: string): Value {
  if (value === undefined) throw new Error(`the test is wrong: ${text}`);
  return value;
}
