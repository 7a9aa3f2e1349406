/**
 * An on-premises network as text for `ip -batch`. Pure.
 *
 * @module
 */
import { intToIpv6, type Ipv6, ipv6ToInt } from "../../proto/addr6.ts";
import {
  namespacesOfSite,
  type OnPremNode,
  OUTSIDE,
  OUTSIDE_GATEWAY,
  type Site,
  withPrefix,
} from "./site.ts";

/** Lines for `ip -batch -`: the namespaces appear. */
export function planSiteNamespaces(site: Site): readonly string[] {
  return namespacesOfSite(site).map((namespace) => `netns add ${namespace}`);
}

/**
 * Lines for `ip -n ROUTER -batch -`: a bridge for each subnet, on which the router has the first address, a cable to each
 * node, and one to the outside. Both ends of a cable are created in their place.
 */
export function planSiteRouter(site: Site): readonly string[] {
  const { namespace } = site.outside;
  return [
    "link set lo up",
    ...site.subnets.flatMap(({ bridge, mtu, gateway, cidr, ipv6 }) => [
      // Without forward_delay 0 a port forwards after 15 s only; snooping would learn groups that nobody queries for.
      `link add ${bridge} type bridge forward_delay 0 mcast_snooping 0`,
      // Set by itself, or the bridge takes the smallest of its ports.
      `link set ${bridge} mtu ${mtu} up`,
      `addr add ${withPrefix(gateway, cidr)} dev ${bridge}`,
      ...(ipv6 === undefined ? [] : [`addr add ${withPrefix(ipv6.gateway, ipv6.cidr)} dev ${bridge} nodad`]),
    ]),
    ...site.nodes.flatMap(({ port, uplink, mtu, namespace: netns, subnet }) => [
      `link add name ${port} mtu ${mtu} type veth peer name ${uplink} mtu ${mtu} netns ${netns}`,
      `link set ${port} master ${subnet.bridge} up`,
    ]),
    `link add name out0 up type veth peer name eth0 netns ${namespace}`,
    `addr add ${withPrefix(OUTSIDE_GATEWAY.v4, OUTSIDE.cidr)} dev out0`,
    `addr add ${withPrefix(OUTSIDE_GATEWAY.v6, OUTSIDE.ipv6Cidr)} dev out0 nodad`,
  ];
}

/**
 * Lines for `ip -n NODE -batch -`: address and default route, as a machine in a rack has them. The link-local address is
 * given, so that it is there without the second or two of its test, as on a machine that is up for longer.
 */
export function planSiteNode({ uplink, address, ipv6Address, subnet }: OnPremNode): readonly string[] {
  const { ipv6 } = subnet;
  return [
    "link set lo up",
    ...(ipv6Address === undefined ? [] : [`link set ${uplink} addrgenmode none`]),
    `link set ${uplink} up`,
    `addr add ${withPrefix(address, subnet.cidr)} dev ${uplink}`,
    `route add default via ${subnet.gateway} dev ${uplink}`,
    ...(ipv6 === undefined || ipv6Address === undefined
      ? []
      : [
          `addr add ${linkLocal(ipv6Address)}/64 dev ${uplink} nodad`,
          `addr add ${withPrefix(ipv6Address, ipv6.cidr)} dev ${uplink} nodad`,
          `route add default via ${ipv6.gateway} dev ${uplink}`,
        ]),
  ];
}

/** Of fe80::/64, with the last 64 bits of `address`. */
function linkLocal(address: Ipv6): Ipv6 {
  return intToIpv6((0xfe80n << 112n) | (ipv6ToInt(address) & 0xffff_ffff_ffff_ffffn));
}

/** Lines for `ip -n OUTSIDE -batch -`: routes to the subnets, and no default route. */
export function planSiteOutside(site: Site): readonly string[] {
  const { address, ipv6Address } = site.outside;
  return [
    "link set lo up",
    "link set eth0 up",
    `addr add ${withPrefix(address, OUTSIDE.cidr)} dev eth0`,
    `addr add ${withPrefix(ipv6Address, OUTSIDE.ipv6Cidr)} dev eth0 nodad`,
    ...site.subnets.flatMap(({ cidr, ipv6 }) => [
      `route add ${cidr} via ${OUTSIDE_GATEWAY.v4} dev eth0`,
      ...(ipv6 === undefined ? [] : [`route add ${ipv6.cidr} via ${OUTSIDE_GATEWAY.v6} dev eth0`]),
    ]),
  ];
}

/** Settings of the router, below /proc/sys/net. It sends no redirects, so that what passes by it goes on doing so. */
export const SITE_ROUTER_SYSCTLS: Readonly<Record<string, number>> = {
  "ipv4/ip_forward": 1,
  "ipv4/conf/all/rp_filter": 0,
  "ipv4/conf/default/rp_filter": 0,
  "ipv4/conf/all/send_redirects": 0,
  "ipv4/conf/default/send_redirects": 0,
  "ipv6/conf/all/forwarding": 1,
  // Both, or addresses are tested before they are used.
  "ipv6/conf/all/accept_dad": 0,
  "ipv6/conf/default/accept_dad": 0,
};

/** Settings of a node. A new namespace takes some from the machine's own, hence the ones that look like defaults. */
export function siteNodeSysctls(rpFilter: Site["rpFilter"]): Readonly<Record<string, number>> {
  return {
    "ipv4/ip_forward": 0,
    "ipv4/conf/all/rp_filter": rpFilter,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/forwarding": 0,
  };
}
