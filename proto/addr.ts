/**
 * Addresses as branded strings: an `Ipv4` can be passed where a string is wanted, never the other way round. The only
 * way to get one is `parse…`. Networks (CIDR blocks) are in `cidr.ts`.
 *
 * @module
 */

declare const brand: unique symbol;
export type Brand<Name extends string> = string & { readonly [brand]: Name };

/** Dotted quad without leading zeros: `"172.16.0.10"`. */
export type Ipv4 = Brand<"Ipv4">;
/** Lower case, colon separated: `"00:16:3e:0a:1b:2c"`. */
export type Mac = Brand<"Mac">;

const OCTET = /^(?:0|[1-9]\d{0,2})$/;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;

/** Strict: four decimal octets. `010.1.1.1`, `10.1` and `0x7f.1`, which C libraries accept, are refused. */
export function parseIpv4(text: string): Ipv4 | undefined {
  const octets = text.split(".");
  const valid = octets.length === 4 && octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255);
  return valid ? (text as Ipv4) : undefined;
}

/** Accepts upper case and makes it lower. */
export function parseMac(text: string): Mac | undefined {
  const mac = text.toLowerCase();
  return MAC.test(mac) ? (mac as Mac) : undefined;
}

/** The address as an unsigned 32-bit integer, first octet most significant. */
export function ipv4ToInt(ip: Ipv4): number {
  return ip.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** The inverse of `ipv4ToInt`. `value` is an integer of 0 to 2^32-1. */
export function intToIpv4(value: number): Ipv4 {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".") as Ipv4;
}

/** Network byte order, 4 bytes. */
export function ipv4Bytes(ip: Ipv4): Uint8Array {
  return Uint8Array.from(ip.split("."), Number);
}

/** 6 bytes, first octet first. */
export function macBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(":"), (octet) => Number.parseInt(octet, 16));
}

/** The inverse of `macBytes`; `undefined` where `bytes` is not 6 long. */
export function macFromBytes(bytes: Uint8Array): Mac | undefined {
  return parseMac(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":"));
}

/** The inverse of `ipv4Bytes`; `undefined` where `bytes` is not 4 long. */
export function ipv4FromBytes(bytes: Uint8Array): Ipv4 | undefined {
  return parseIpv4(Array.from(bytes).join("."));
}
