/**
 * The table of nftables that takes what pods send to a node behind the tunnel from the uplink and gives it to the tunnel,
 * where source NAT is off. That node answers by the tunnel, where a pod's address is at home, and refuses a pod's packet
 * that comes by the wire. A rule of routing would do the same and costs every packet of the node a tenth: with a rule of
 * its own the kernel looks every route up the slow way, three times a packet.
 *
 *     map macs_ip, macs_ip6   a node's address -> MAC of its VTEP
 *     set version             as in `nft-text.ts`
 *
 * What leaves by the uplink has an Ethernet header already; the VTEP's MAC in it is all that VXLAN needs to find the node.
 * It comes after the hooks of translation, so an address of a Service that became a node's goes the same way.
 *
 * @module
 */
import { isIpv6 } from "../../../proto/addr6.ts";
import { firstOf } from "../../../proto/cidr6.ts";
import { type HybridDesired, type HybridDevices, overlayName } from "./desired.ts";
import { HYBRID_TABLE, type NftFamily, type NodeSet } from "./things.ts";

/** The map of each family. */
export const REDIRECT_MAPS = { ip: "macs_ip", ip6: "macs_ip6" } as const satisfies Record<NftFamily, NodeSet>;

/** Whether pods' packets to nodes are to go by the tunnel, if the kernel and the uplink can do that. */
export function redirects({ overlay, sourceNat }: Pick<HybridDesired, "overlay" | "sourceNat">): boolean {
  return overlay !== undefined && !sourceNat.enabled;
}

/** Commands for nft(8) that make sets, maps and chain; the rules of the chain `egress`. */
export function redirectLines(
  { blocks, overlay }: HybridDesired,
  { uplink }: HybridDevices,
): { readonly lines: readonly string[]; readonly rules: readonly string[] } {
  if (overlay === undefined) return { lines: [], rules: [] };
  const table = `netdev ${HYBRID_TABLE}`;
  const chain = `${table} egress`;
  const rules = blocks.map((block) => {
    const family = isIpv6(firstOf(block)) ? "ip6" : "ip";
    const macs = `${family} daddr map @${REDIRECT_MAPS[family]}`;
    return `${family} saddr ${block} ether daddr set ${macs} ether saddr set ${overlay.mac} fwd to "${overlayName(overlay.vni)}"`;
  });
  const lines = [
    `add table ${table}`,
    `add map ${table} ${REDIRECT_MAPS.ip} { type ipv4_addr : ether_addr; }`,
    `add map ${table} ${REDIRECT_MAPS.ip6} { type ipv6_addr : ether_addr; }`,
    `add set ${table} version { type mark; }`,
    `flush set ${table} version`,
    `add chain ${chain}`,
    `flush chain ${chain}`,
    `delete chain ${chain}`,
    `add chain ${chain} { type filter hook egress device "${uplink.name}" priority 0; policy accept; }`,
    ...rules.map((rule) => `add rule ${chain} ${rule}`),
  ];
  return { lines, rules };
}
