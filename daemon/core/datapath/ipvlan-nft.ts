/**
 * The node's nftables tables for ipvlan pods. What the redirect of an ENI brings into the node's stack, to Services and
 * `host_stack_cidrs`, and the node sends on, gets the node's address as source: the answer has to come back through the node,
 * whose connection tracking undoes what was translated. Without that a backend on the client's own ENI would answer it inside the
 * driver, one elsewhere by the VPC, and the VPC drops a pod's source on the node's own ENI. The same holds for what comes to
 * a pod by a translation of the node (a NodePort), whoever sent it.
 *
 * What is for the node itself, its DNS cache for one, is not sent on, and sees the pod's address.
 *
 * @module
 */
import { familiesOf, HOOK_PRIORITY, type HostFacts } from "./host-plan.ts";
import { GROUP, MARK_MASK, type NftFamily } from "./layout.ts";

/** `ip terway_ipvlan` and `ip6 terway_ipvlan`. */
export const IPVLAN_NFT = {
  table: "terway_ipvlan",
  prerouting: "prerouting",
  postrouting: "postrouting",
  spoofed: "spoofed",
  /** Names of the host's devices whose forwarding was off. */
  forwarding: "forwarding",
} as const;

/** How many rules the chains have. */
export const IPVLAN_CHAIN_RULES = {
  ip: { prerouting: 1, postrouting: 2 },
  ip6: { prerouting: 2, postrouting: 2 },
} as const;

/** The one value of the mark's bits that is no ENI's: it came in by a slave of the node. */
const FROM_SLAVE = MARK_MASK;

/** NF_IP_PRI_NAT_SRC of <linux/netfilter_ipv4.h>: where kube-proxy does the same. Who comes first decides. */
const NAT_PRIORITY = 100;

/** Text for nft(8), one transaction; may be given again while packets flow. */
export function nftIpvlanText(host: HostFacts): string {
  return lines(familiesOf(host).flatMap(tableText));
}

/** Text for nft(8): all of it; no failure where there is nothing. */
export function nftIpvlanCleanText(host: HostFacts): string {
  return lines(
    familiesOf(host).flatMap((family) => {
      const table = `table ${family} ${IPVLAN_NFT.table}`;
      return [`add ${table}`, `delete ${table}`];
    }),
  );
}

function tableText(family: NftFamily): readonly string[] {
  const table = `${family} ${IPVLAN_NFT.table}`;
  const [prerouting, postrouting] = [
    `${table} ${IPVLAN_NFT.prerouting}`,
    `${table} ${IPVLAN_NFT.postrouting}`,
  ];
  return [
    `add table ${table}`,
    `add set ${table} ${IPVLAN_NFT.forwarding} { type ifname; }`,
    ...(family === "ip" ? [] : [`add counter ${table} ${IPVLAN_NFT.spoofed}`]),
    `add chain ${prerouting} { type filter hook prerouting priority ${HOOK_PRIORITY}; policy accept; }`,
    `flush chain ${prerouting}`,
    ...preroutingRules(family).map((rule) => `add rule ${prerouting} ${rule}`),
    `add chain ${postrouting} { type nat hook postrouting priority ${NAT_PRIORITY}; policy accept; }`,
    `flush chain ${postrouting}`,
    `add rule ${postrouting} meta mark and ${hex(MARK_MASK)} == ${hex(FROM_SLAVE)} masquerade`,
    `add rule ${postrouting} meta oifgroup ${GROUP.slaves} ct status dnat masquerade`,
  ];
}

/**
 * In the place of `rp_filter`, which IPv6 has not: the way back to a pod's address is the slave of its ENI. Multicasts of a
 * pod reach all slaves and are nobody's. A mark that the pod has set itself is lost.
 */
function preroutingRules(family: NftFamily): readonly string[] {
  const slaves = `meta iifgroup ${GROUP.slaves}`;
  const mark = `${slaves} meta mark set ${hex(FROM_SLAVE)}`;
  const spoofed = `${slaves} ip6 daddr != ff00::/8 fib saddr . iif oif missing counter name ${IPVLAN_NFT.spoofed} drop`;
  return family === "ip" ? [mark] : [spoofed, mark];
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function lines(commands: readonly string[]): string {
  return `${commands.join("\n")}\n`;
}
