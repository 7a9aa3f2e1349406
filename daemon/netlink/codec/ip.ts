/**
 * IP addresses as they stand in messages: 4 or 16 bytes in network order.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { bitsOf, firstOf, type IpCidr } from "../../../proto/cidr6.ts";

/** A network or, with all bits, a host. The kernel refuses routes whose host bits are set. */
export type IpPrefix = { readonly ip: IpAddress; readonly bits: number };

/** AF_* of <linux/socket.h>. */
export const AF = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const;

/** AF_INET or AF_INET6. */
export function familyOf(ip: IpAddress): number {
  return isIpv6(ip) ? AF.INET6 : AF.INET;
}

/** The network of a route or a rule. */
export function prefixOf(cidr: IpCidr): IpPrefix {
  return { ip: firstOf(cidr), bits: bitsOf(cidr) };
}

/** The address alone: /32 or /128. */
export function hostPrefix(ip: IpAddress): IpPrefix {
  return { ip, bits: isIpv6(ip) ? 128 : 32 };
}
