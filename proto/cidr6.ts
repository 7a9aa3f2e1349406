/**
 * Networks of either family. Those of IPv4 alone are in `cidr.ts`.
 *
 * @module
 */
import { type Brand, intToIpv4, type Ipv4, ipv4ToInt } from "./addr.ts";
import { intToIpv6, type IpAddress, type Ipv6, ipv6ToInt, isIpv6, parseIp } from "./addr6.ts";
import { type Cidr } from "./cidr.ts";

/** A network in canonical form: host bits zero, `"fd00:1::/64"`. */
export type Cidr6 = Brand<"Cidr6">;
/** Either; told apart by the colon. */
export type IpCidr = Cidr | Cidr6;

/** How a text that was to be a network is none. `corrected`: the network of the address that was given. */
export type CidrFault =
  | { readonly kind: "not-a-network" }
  | { readonly kind: "host-bits"; readonly corrected: IpCidr };

export type CidrParsed =
  | { readonly ok: true; readonly value: IpCidr }
  | { readonly ok: false; readonly fault: CidrFault };

/** Strict, either family. Host bits that are set are a fault: `10.0.0.1/24` is an address, not a network. */
export function parseIpCidr(text: string): CidrParsed {
  const [base = "", bits = "", ...rest] = text.split("/");
  const ip = parseIp(base);
  const isNumber = /^(?:0|[1-9]\d{0,2})$/.test(bits);
  if (ip === undefined || !isNumber || rest.length > 0 || Number(bits) > widthOf(ip))
    return { ok: false, fault: { kind: "not-a-network" } };
  const network = networkOf(ip, Number(bits));
  return firstOf(network) === ip
    ? { ok: true, value: network }
    : { ok: false, fault: { kind: "host-bits", corrected: network } };
}

/** The network of `bits` bits (0 to 32, or 128) that the address is in. */
export function networkOf(ip: IpAddress, bits: number): IpCidr {
  const width = widthOf(ip);
  if (!Number.isInteger(bits) || bits < 0 || bits > width) throw new RangeError(`${bits} bits of ${ip}`);
  const shift = BigInt(width - bits);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that makes an IpCidr
  return `${fromInt((toInt(ip) >> shift) << shift, ip)}/${bits}` as IpCidr;
}

/** True for a network of IPv6. */
export function isCidr6(cidr: IpCidr): cidr is Cidr6 {
  return cidr.includes(":");
}

/**
 * The IPv6 gateway of a vSwitch: the ninth address from the end (`…:ffff:fff7` of a /64), as the metadata service says
 * it. Alibaba Cloud reserves the first and the last nine addresses of each vSwitch.
 */
export function vSwitchGateway6(cidr: Cidr6): Ipv6 {
  const gateway = addressOf(cidr, sizeOf(cidr) - 9n);
  if (!isIpv6(gateway)) throw new Error(`not of IPv6: ${cidr}`);
  return gateway;
}

/** The network of this one address: /32 or /128. */
export function hostCidr(ip: IpAddress): IpCidr {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an address has no host bits beyond all of its bits
  return `${ip}/${widthOf(ip)}` as IpCidr;
}

/** Number of bits of the prefix. */
export function bitsOf(cidr: IpCidr): number {
  return Number(cidr.slice(cidr.indexOf("/") + 1));
}

/** The address whose host bits are zero. */
export function firstOf(cidr: IpCidr): IpAddress {
  const ip = parseIp(cidr.slice(0, cidr.indexOf("/")));
  if (ip === undefined) throw new Error(`not canonical: ${cidr}`);
  return ip;
}

/** The address whose host bits are one. */
export function lastOf(cidr: IpCidr): IpAddress {
  return addressOf(cidr, sizeOf(cidr) - 1n);
}

/** How many addresses it has. */
export function sizeOf(cidr: IpCidr): bigint {
  return 1n << BigInt(widthOf(firstOf(cidr)) - bitsOf(cidr));
}

/** The address number `index`, counted from 0. */
export function addressOf(cidr: IpCidr, index: bigint): IpAddress {
  if (index < 0n || index >= sizeOf(cidr)) throw new RangeError(`${cidr} has no address ${index}`);
  const first = firstOf(cidr);
  return fromInt(toInt(first) + index, first);
}

/** False where the families differ. */
export function contains(cidr: IpCidr, ip: IpAddress): boolean {
  return isIpv6(firstOf(cidr)) === isIpv6(ip) && networkOf(ip, bitsOf(cidr)) === cidr;
}

/** True where the two have an address in common (networks nest or are apart). */
export function overlap(a: IpCidr, b: IpCidr): boolean {
  return contains(a, firstOf(b)) || contains(b, firstOf(a));
}

function widthOf(ip: IpAddress): number {
  return isIpv6(ip) ? 128 : 32;
}

function toInt(ip: IpAddress): bigint {
  return isIpv6(ip) ? ipv6ToInt(ip) : BigInt(ipv4ToInt(ip));
}

function fromInt(value: bigint, like: IpAddress): Ipv4 | Ipv6 {
  return isIpv6(like) ? intToIpv6(value) : intToIpv4(Number(value));
}

/** An IPv6 network; `undefined` for one of IPv4, for host bits that are set, and for what is no network. */
export function parseCidr6(text: string): Cidr6 | undefined {
  const parsed = parseIpCidr(text);
  return parsed.ok && isCidr6(parsed.value) ? parsed.value : undefined;
}
