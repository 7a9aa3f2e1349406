/**
 * Destinations that ipvlan pods reach through the node's stack, beside the addresses that pods can have: what is redirected
 * does not reach a pod, so the two must have nothing in common.
 *
 * @module
 */
import { type IpCidr, networkOf, overlap } from "../../../proto/cidr6.ts";
import { type EniLink } from "../kernel.ts";

/** Bits of the prefix of every vSwitch's IPv6 network. */
export const VSWITCH_BITS_6 = 64;

/** Each once, in the order given. */
export function hostStackOf(
  serviceCidrs: readonly IpCidr[],
  hostStackCidrs: readonly IpCidr[],
): readonly IpCidr[] {
  return [...new Set([...serviceCidrs, ...hostStackCidrs])];
}

/** The vSwitch's networks, of which the ENI's pods have their addresses. */
export function eniNetworks({
  gateway,
  prefixLength,
  v6,
}: Pick<EniLink, "gateway" | "prefixLength" | "v6">): readonly IpCidr[] {
  return [
    networkOf(gateway, prefixLength),
    ...(v6 === undefined ? [] : [networkOf(v6.gateway, VSWITCH_BITS_6)]),
  ];
}

/** A network of a vSwitch; `owner` for people: "vSwitch vsw-1". */
export type PodNetwork = { readonly cidr: IpCidr; readonly owner: string };

/** One sentence with both networks for each pair that has addresses in common. */
export function hostStackOverlaps(
  hostStack: readonly IpCidr[],
  networks: readonly PodNetwork[],
): readonly string[] {
  return hostStack.flatMap((to) =>
    networks
      .filter(({ cidr }) => overlap(to, cidr))
      .map(({ cidr, owner }) => `${to} overlaps with ${cidr} of ${owner}, where pods have their addresses`),
  );
}
