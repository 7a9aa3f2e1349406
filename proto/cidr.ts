/**
 * IPv4 networks. The arithmetic is `ip-cidr`'s; this file adds the brand and the one rule of the cloud about which
 * addresses of a vSwitch are its own.
 *
 * @module
 */
import IpCidr from "ip-cidr";
import { type Brand, intToIpv4, type Ipv4, ipv4ToInt, parseIpv4 } from "./addr.ts";

/** A network in canonical form: host bits zero, `"10.0.0.0/24"`. */
export type Cidr = Brand<"Cidr">;

/** Strict IPv4 only. Host bits that are set are an error: `10.0.0.1/24` is an address, not a network. */
export function parseCidr(text: string): Cidr | undefined {
  const [base = "", bits = "", ...rest] = text.split("/");
  const address = parseIpv4(base);
  if (rest.length > 0 || address === undefined || !/^(?:\d|[12]\d|3[0-2])$/.test(bits)) return undefined;
  const canonical = new IpCidr(text).start();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that makes a Cidr
  return canonical === address ? (text as Cidr) : undefined;
}

/** Number of bits of the prefix, 0 to 32. */
export function prefixLength(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf("/") + 1));
}

export function firstAddress(cidr: Cidr): Ipv4 {
  return intToIpv4(ipv4ToInt(baseOf(cidr)));
}

export function lastAddress(cidr: Cidr): Ipv4 {
  return intToIpv4(ipv4ToInt(baseOf(cidr)) + 2 ** (32 - prefixLength(cidr)) - 1);
}

export function cidrContains(cidr: Cidr, ip: Ipv4): boolean {
  return new IpCidr(cidr).contains(ip);
}

/** True where the two have an address in common (CIDR blocks nest or are apart). */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, baseOf(b)) || cidrContains(b, baseOf(a));
}

/**
 * The gateway of a vSwitch: the third address from the end (x.x.x.253 of a /24). Alibaba Cloud reserves the first and
 * the last three addresses of each vSwitch.
 */
export function vSwitchGateway(cidr: Cidr): Ipv4 {
  return intToIpv4(ipv4ToInt(lastAddress(cidr)) - 2);
}

function baseOf(cidr: Cidr): Ipv4 {
  const base = parseIpv4(cidr.slice(0, cidr.indexOf("/")));
  if (base === undefined) throw new Error(`not canonical: ${cidr}`);
  return base;
}
