/**
 * IPv6 addresses, and either family. Text is canonical (RFC 5952), so two addresses are the same where their texts are.
 *
 * @module
 */
import { type Brand, type Ipv4, ipv4Bytes, ipv4FromBytes, parseIpv4 } from "./addr.ts";

/** Canonical text of RFC 5952 (lower case, longest run of zeros shortened, no dotted quad): `"fe80::1"`. */
export type Ipv6 = Brand<"Ipv6">;
/** Either; told apart by the colon. */
export type IpAddress = Ipv4 | Ipv6;

/** An address of one of the two families, in any spelling that `parseIpv4` or `parseIpv6` takes. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Any spelling of RFC 4291 without a dotted quad or a zone. */
export function parseIpv6(text: string): Ipv6 | undefined {
  const halves = text.split("::");
  const [head = "", tail] = halves;
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - left.length - right.length;
  if (halves.length > 2 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined;
  const groups = [...left, ...Array<string>(missing).fill("0"), ...right];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return formatIpv6(groups.map((group) => Number.parseInt(group, 16)));
}

/** 4 or 16 bytes, network order. */
export function ipBytes(ip: IpAddress): Uint8Array {
  if (!isIpv6(ip)) return ipv4Bytes(ip);
  const [head = "", tail = ""] = ip.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const bytes = new Uint8Array(16);
  left.forEach((group, index) => putGroup(bytes, index, group));
  right.forEach((group, index) => putGroup(bytes, 8 - right.length + index, group));
  return bytes;
}

/** The inverse of `ipBytes`; `undefined` where `bytes` is neither 4 nor 16 long. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length !== 16) return ipv4FromBytes(bytes);
  return formatIpv6(Array.from({ length: 8 }, (_, i) => (bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0)));
}

/** Which of the two families. */
export function isIpv6(ip: IpAddress): ip is Ipv6 {
  return ip.includes(":");
}

function putGroup(bytes: Uint8Array, index: number, group: string): void {
  const value = Number.parseInt(group, 16);
  bytes[2 * index] = value >> 8;
  bytes[2 * index + 1] = value & 0xff;
}

/** `groups`: eight integers of 16 bits. */
function formatIpv6(groups: readonly number[]): Ipv6 {
  const run = longestZeroRun(groups);
  const whole =
    run.length < 2
      ? hexGroups(groups)
      : `${hexGroups(groups.slice(0, run.start))}::${hexGroups(groups.slice(run.start + run.length))}`;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that makes an Ipv6
  return whole as Ipv6;
}

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

/** The first of the longest (RFC 5952, section 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index + 1 - length, length };
  });
  return best;
}

/** The address as an integer of 128 bits, first octet most significant. */
export function ipv6ToInt(ip: Ipv6): bigint {
  return ipBytes(ip).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

/** The inverse of `ipv6ToInt`. `value` is an integer of 0 to 2^128-1. */
export function intToIpv6(value: bigint): Ipv6 {
  return formatIpv6(Array.from({ length: 8 }, (_, at) => Number((value >> BigInt(112 - 16 * at)) & 0xffffn)));
}
