/**
 * Our nftables tables of hybrid mode: source NAT of what pods send to others than pods, and the guard of the overlay. One
 * table a family that is needed, with everything in it, so nobody else's rules are touched and all goes with the table.
 *
 *     set exempt      destinations that see the pod's address (configuration)
 *     set direct      nodes that have a way back to our pods by the wire
 *     set vteps       nodes whose VXLAN is taken; a pod's packet to such a node itself leaves with this node's address
 *     set version     which text made the rules, as a number: another number, another text
 *     set forwarding  devices of others whose forwarding was switched on by us
 *
 * Connections are tracked only where the kernel has to: a hook of source NAT makes it track every packet of the node, which
 * costs a sixth of the packets. So there is none where source NAT is off and `redirect-text.ts` can be in its place.
 *
 * The guard stands where the node takes packets for itself: there it sees those of pods and of every device, whatever
 * address of the node they are for, and costs what it would cost at the uplink.
 *
 * The hook of source NAT is before the 100 of kube-proxy and iptables: the first chain that translates decides with which
 * address. It cannot keep a later chain of others from translating what it lets pass. Nodes come and go as elements, by
 * nfnetlink; the text is loaded when the configuration changes, in one transaction, and the elements of nodes stay.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { firstOf, type IpCidr } from "../../../proto/cidr6.ts";
import { type HybridDesired, type HybridDevices, type OverlayDevice } from "./desired.ts";
import { redirectLines } from "./redirect-text.ts";
import { HYBRID_TABLE, type NftFamily, type TableFamily } from "./things.ts";

/** A table as it is to be. */
export type NftStructure = {
  readonly family: TableFamily;
  /** 32 bits, the element of the set `version`. */
  readonly version: number;
  /** How many rules each chain has; a chain that is not here is not there. */
  readonly rules: Readonly<Record<string, number>>;
  /** For nft(8), one transaction; may be given again while packets flow. */
  readonly text: string;
};

/** What is known of the node beside the settings. */
export type NftFacts = {
  /** What pods send to nodes can be redirected from one of these to the other; absent: it has to be translated. */
  readonly redirect?: HybridDevices;
  /** Somebody else has connections tracked. */
  readonly tracked: boolean;
};

/** Both families that packets have. */
export const NFT_FAMILIES: readonly NftFamily[] = ["ip", "ip6"];

/** Those that a table of ours can have, in the order in which tables are made: what may not work first. */
export const TABLE_FAMILIES: readonly TableFamily[] = ["netdev", ...NFT_FAMILIES];

/** Nobody routes these: not translated whatever the settings are. */
const NEVER = {
  ip: ["169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"],
  ip6: ["fe80::/10", "ff00::/8"],
} as const satisfies Record<NftFamily, readonly string[]>;

const HOOKS = {
  postrouting: "type nat hook postrouting priority 99; policy accept;",
  prerouting: "type filter hook prerouting priority -300; policy accept;",
  output: "type filter hook output priority -300; policy accept;",
  input: "type filter hook input priority -5; policy accept;",
} as const;
type ChainName = keyof typeof HOOKS;
const CHAINS: readonly ChainName[] = ["postrouting", "prerouting", "output", "input"];

/** The counter of packets that came to our VTEP from no node that we know. */
export const UNKNOWN_COUNTER = "unknown_vtep";

/** The table of IPv4 is always there, for what has to be remembered; the other one where the node has IPv6. */
export function nftFamilies({ overlay, blocks }: HybridDesired): readonly NftFamily[] {
  const ips = [...blocks.map(firstOf), ...(overlay ? [overlay.local] : [])];
  return ips.some((ip) => isIpv6(ip)) ? NFT_FAMILIES : ["ip"];
}

/** One of each family that the network has, and the redirection where it can be and is needed. */
export function nftStructures(desired: HybridDesired, facts: NftFacts): readonly NftStructure[] {
  const { redirect } = facts;
  return [
    ...(redirect === undefined ? [] : [redirection(desired, redirect)]),
    ...nftFamilies(desired).map((family) => structureOf(family, desired, facts)),
  ];
}

/** Text for nft(8): none of the table is left; no failure where there is nothing. */
export function nftRemovalText(family: TableFamily): string {
  return lines([`add table ${family} ${HYBRID_TABLE}`, `delete table ${family} ${HYBRID_TABLE}`]);
}

/** The rules hold the index of the device that they lead to, not its name: of another one they have to be loaded anew. */
function redirection(desired: HybridDesired, devices: HybridDevices): NftStructure {
  const { lines: commands, rules } = redirectLines(desired, devices);
  return versioned("netdev", lines(commands), { egress: rules.length }, JSON.stringify(devices));
}

function versioned(
  family: TableFamily,
  text: string,
  rules: Readonly<Record<string, number>>,
  salt = "",
): NftStructure {
  const version = hashOf(text + salt);
  const element = `{ 0x${version.toString(16).padStart(8, "0")} }`;
  return {
    family,
    version,
    rules,
    text: `${text}add element ${family} ${HYBRID_TABLE} version ${element}\n`,
  };
}

function structureOf(family: NftFamily, desired: HybridDesired, facts: NftFacts): NftStructure {
  const { overlay, sourceNat } = desired;
  const isTranslated = sourceNat.enabled || (overlay !== undefined && facts.redirect === undefined);
  const blocks = desired.blocks.filter((block) => familyOf(firstOf(block)) === family);
  const rules: Rules = {
    ...(blocks.length > 0 && isTranslated && { postrouting: natRules(family, blocks, desired) }),
    ...(overlay &&
      familyOf(overlay.local) === family && {
        ...((isTranslated || facts.tracked) && untrackedRules(family, overlay)),
        ...guardRules(family, overlay),
      }),
  };
  const exempt = [...NEVER[family], ...sourceNat.exempt.filter((cidr) => familyOf(firstOf(cidr)) === family)];
  const text = lines([...setLines(family, exempt), ...chainLines(family, rules)]);
  const counts = Object.entries(rules).map(([chain, list]) => [chain, list.length] as const);
  return versioned(family, text, Object.fromEntries(counts));
}

function natRules(
  family: NftFamily,
  blocks: readonly IpCidr[],
  { overlay, sourceNat }: HybridDesired,
): readonly string[] {
  const own = blocks.length === 1 ? blocks.join("") : `{ ${blocks.join(", ")} }`;
  // UDP with the overlay's port as source would get no answers: they would be taken for VXLAN.
  const ports = portsBeside(overlay?.udpPort);
  const to = sourceNat.enabled ? "" : `${family} daddr @vteps `;
  return [
    `${family} saddr != ${own} return`,
    `${family} daddr @exempt return`,
    "fib daddr type local return",
    `${family} daddr @direct return`,
    ...(ports === undefined ? [] : [`${to}meta l4proto udp masquerade to :${ports} fully-random`]),
    `${to}masquerade fully-random`,
  ];
}

/** The larger part of the ports from 1024 (10000 where there is room) that has not `port` in it. */
function portsBeside(port: number | undefined): string | undefined {
  if (port === undefined) return undefined;
  return port < 32_768 ? `${Math.max(port + 1, 10_000)}-65535` : `1024-${port - 1}`;
}

type Rules = Partial<Record<ChainName, readonly string[]>>;

/** VXLAN between nodes is not tracked: each flow in it would cost an entry more. */
function untrackedRules(family: NftFamily, { udpPort }: OverlayDevice): Rules {
  const vxlan = `udp dport ${udpPort}`;
  return {
    prerouting: [`${vxlan} ${family} saddr @vteps notrack`],
    output: [`${vxlan} ${family} daddr @vteps notrack`],
  };
}

function guardRules(family: NftFamily, { udpPort }: OverlayDevice): Rules {
  return { input: [`udp dport ${udpPort} ${family} saddr != @vteps counter name ${UNKNOWN_COUNTER} drop`] };
}

function setLines(family: NftFamily, exempt: readonly string[]): readonly string[] {
  const table = `${family} ${HYBRID_TABLE}`;
  const type = family === "ip" ? "ipv4_addr" : "ipv6_addr";
  return [
    `add table ${table}`,
    `add counter ${table} ${UNKNOWN_COUNTER}`,
    `add set ${table} vteps { type ${type}; }`,
    `add set ${table} direct { type ${type}; }`,
    `add set ${table} forwarding { type ifname; }`,
    `add set ${table} version { type mark; }`,
    `flush set ${table} version`,
    `add set ${table} exempt { type ${type}; flags interval; auto-merge; }`,
    `flush set ${table} exempt`,
    `add element ${table} exempt { ${exempt.join(", ")} }`,
  ];
}

/** A chain is made anew: so one of an older text, with another hook, is none in the way. */
function chainLines(family: NftFamily, rules: Rules): readonly string[] {
  return CHAINS.flatMap((name) => {
    const chain = `${family} ${HYBRID_TABLE} ${name}`;
    const list = rules[name] ?? [];
    return [
      `add chain ${chain}`,
      `flush chain ${chain}`,
      `delete chain ${chain}`,
      ...(list.length === 0 ? [] : [`add chain ${chain} { ${HOOKS[name]} }`]),
      ...list.map((rule) => `add rule ${chain} ${rule}`),
    ];
  });
}

function familyOf(ip: IpAddress): NftFamily {
  return isIpv6(ip) ? "ip6" : "ip";
}

/** FNV-1a, 32 bits: draft-eastlake-fnv, section 5. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

function lines(commands: readonly string[]): string {
  return `${commands.join("\n")}\n`;
}
