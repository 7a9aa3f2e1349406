/**
 * Address families: of an address, and of pods (`ip_stack` of eni_conf).
 *
 * @module
 */

export type Family = "ipv4" | "ipv6";

/**
 * What a pod gets: an IPv4 address, an IPv4 and an IPv6 address of the same ENI, or the IPv6 address alone. The last two
 * take a pair from the pool; with "ipv6" the IPv4 half stays unused.
 */
export type IpStack = "ipv4" | "dual" | "ipv6";

/** True where a pod takes an address of each family from the pool. */
export function wantsPairs(stack: IpStack): boolean {
  return stack !== "ipv4";
}
