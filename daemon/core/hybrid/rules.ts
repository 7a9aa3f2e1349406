/**
 * What settings and records of a hybrid network say to each other: which of them cannot be. Findings name keys of the `spec`
 * of HybridNetwork and HybridNode; whoever read those knows where they stand.
 *
 * @module
 */
import { type z } from "zod";
import { isIpv6 } from "../../../proto/addr6.ts";
import { bitsOf, firstOf, type IpCidr, overlap } from "../../../proto/cidr6.ts";
import { type CrossCheck, type Finding } from "../config/check.ts";
import { type NETWORK_KEYS, type NODE_KEYS, type VXLAN_KEYS } from "./keys.ts";
import { clashes, doubts, networkOfHost } from "./overlap.ts";

export type NetworkSpec = z.output<typeof NETWORK_KEYS.schema>;
export type VxlanSpec = z.output<typeof VXLAN_KEYS.schema>;
export type NodeSpec = z.output<typeof NODE_KEYS.schema>;

/** More nodes than this are not to be had from one network of pods; a typing error makes more. */
const BLOCK_COUNT_BITS = 16;
/** RFC 791 has 576 that every host takes; RFC 8200, section 5, has 1280. */
const [MTU_MIN, MTU_MIN_V6] = [576, 1280];

/** Lists of networks that pods' networks must be apart from. */
const OTHERS = ["serviceCIDRs", "cloudCIDRs", "onPremNodeCIDRs", "clusterPodCIDRs"] as const;

/** What the settings say to each other. */
export const NETWORK_CHECKS: readonly CrossCheck<NetworkSpec>[] = [
  { keys: ["podCIDRs"], severity: "problem", find: ({ podCIDRs = [] }) => podCIDRs.flatMap(ownClashes) },
  ...OTHERS.map((list): CrossCheck<NetworkSpec> => ({
    keys: ["podCIDRs", list],
    severity: "problem",
    find: ({ podCIDRs = [], ...others }) =>
      podCIDRs.flatMap((cidr, at) => clashesAt(cidr, at, others[list] ?? [], list)),
  })),
  { keys: ["podCIDRs"], severity: "problem", find: ({ podCIDRs = [] }) => noIpv4(podCIDRs) },
  ...(["nodeMaskSize", "nodeMaskSizeV6"] as const).map((name): CrossCheck<NetworkSpec> => ({
    keys: ["podCIDRs", name],
    severity: "problem",
    find: ({ podCIDRs = [], [name]: bits = 0 }) => maskFindings(podCIDRs, name, bits),
  })),
  {
    keys: ["podCIDRs"],
    severity: "warning",
    find: ({ podCIDRs = [] }) =>
      podCIDRs.flatMap((cidr, at) =>
        doubts(cidr).map((doubt) => ({ path: ["podCIDRs", at], predicate: `is ${cidr}, which ${doubt}` })),
      ),
  },
  {
    keys: ["mode", "fallback"],
    severity: "warning",
    find: ({ mode, fallback }) =>
      mode === "Overlay" && fallback === "VXLAN"
        ? [{ path: ["fallback"], predicate: "has no effect: an overlay is VXLAN", suggestion: "remove it" }]
        : [],
  },
];

function ownClashes(cidr: IpCidr, at: number, all: readonly IpCidr[]): readonly Finding[] {
  const before = all.slice(0, at).map((other) => ({ cidr: other, by: "podCIDRs" }));
  return clashes(cidr, before).map((other) => clash(cidr, at, other.cidr, other.by));
}

function clashesAt(cidr: IpCidr, at: number, others: readonly IpCidr[], list: string): readonly Finding[] {
  return others.filter((other) => overlap(cidr, other)).map((other) => clash(cidr, at, other, list));
}

function clash(cidr: IpCidr, at: number, other: IpCidr, by: string): Finding {
  return {
    path: ["podCIDRs", at],
    predicate: `is ${cidr}, which overlaps ${other} (${by})`,
    suggestion: "choose a network for the pods that is apart from all others",
  };
}

function noIpv4(podCidrs: readonly IpCidr[]): readonly Finding[] {
  if (podCidrs.some((cidr) => !isV6(cidr))) return [];
  return [
    { path: ["podCIDRs"], predicate: "has no IPv4 network; every pod has an IPv4 address in this version" },
  ];
}

function maskFindings(podCidrs: readonly IpCidr[], name: string, bits: number): readonly Finding[] {
  return podCidrs
    .filter((cidr) => isV6(cidr) === (name === "nodeMaskSizeV6"))
    .flatMap((cidr): Finding[] => {
      const size = bitsOf(cidr);
      if (bits < size)
        return [
          { path: [name], predicate: `is ${bits}, and ${cidr} of podCIDRs is smaller than one such block` },
        ];
      if (bits - size <= BLOCK_COUNT_BITS) return [];
      const predicate = `is ${bits}: ${cidr} of podCIDRs would have 2^${bits - size} blocks, 2^${BLOCK_COUNT_BITS} at most are possible`;
      return [{ path: [name], predicate, suggestion: `lower it to ${size + BLOCK_COUNT_BITS} or less` }];
    });
}

/** An MTU that was written down; 0 is none. */
export function vxlanChecks({ podCIDRs }: Pick<NetworkSpec, "podCIDRs">): readonly CrossCheck<VxlanSpec>[] {
  return [
    {
      keys: ["mtu"],
      severity: "problem",
      find: ({ mtu = 0 }) => {
        const fault = mtu === 0 ? undefined : mtuFault(mtu, podCIDRs.some(isV6));
        return fault === undefined
          ? []
          : [{ path: ["mtu"], predicate: `is ${mtu}; ${fault}`, suggestion: "raise it, or write 0" }];
      },
    },
  ];
}

/** Why pods cannot have an MTU of so many bytes. */
export function mtuFault(mtuBytes: number, hasIpv6: boolean): string | undefined {
  const min = hasIpv6 ? MTU_MIN_V6 : MTU_MIN;
  return mtuBytes >= min ? undefined : `${hasIpv6 ? "IPv6" : "IPv4"} needs ${min} bytes at least`;
}

/** What sound records have already: "MAC 0a:00:00:00:00:01" -> the node whose it is. */
export type Claims = Map<string, string>;

/** What is wrong with a record by itself, with the settings, and with the records before it. */
export function recordFindings(
  spec: NodeSpec,
  network: Pick<NetworkSpec, "podCIDRs" | "nodeMaskSize" | "nodeMaskSizeV6">,
  claims: Claims,
): readonly Finding[] {
  const findings: Finding[] = [];
  const claimed = (path: Finding["path"], value: string | undefined, what: string): void => {
    const owner = value === undefined ? undefined : claims.get(`${what} ${value}`);
    if (owner === undefined) return;
    const suggestion = "give each node its own; the record that comes first keeps it";
    findings.push({ path, predicate: `is ${value}, which is the ${what} of ${owner} already`, suggestion });
  };
  claimed(["name"], spec.name, "name");
  claimed(["vtepMAC"], spec.vtepMAC, "MAC");
  if (spec.nodeIP === undefined && spec.nodeIPv6 === undefined)
    findings.push({ path: [], predicate: "has neither nodeIP nor nodeIPv6", suggestion: 'add "nodeIP"' });
  for (const name of ["nodeIP", "nodeIPv6"] as const) {
    const ip = spec[name]?.ip;
    if (ip === undefined) continue;
    const pods = networkOfHost(ip, network.podCIDRs);
    if (pods !== undefined)
      findings.push({ path: [name], predicate: `is ${ip}, inside of ${pods} (podCIDRs)` });
    claimed([name], ip, "address");
  }
  spec.blocks.forEach((block, at) => {
    const fault = blockFault(block, at, spec.blocks, network);
    if (fault === undefined) claimed(["blocks", at], block, "block");
    else findings.push({ path: ["blocks", at], ...fault });
  });
  if (spec.blocks.every(isV6)) findings.push({ path: ["blocks"], predicate: "has no IPv4 network" });
  return findings;
}

/** Enters a sound record. */
export function claim(claims: Claims, spec: NodeSpec): void {
  const { name, vtepMAC, nodeIP, nodeIPv6, blocks } = spec;
  claims.set(`name ${name}`, name);
  if (vtepMAC !== undefined) claims.set(`MAC ${vtepMAC}`, name);
  for (const ip of [nodeIP?.ip, nodeIPv6?.ip]) if (ip !== undefined) claims.set(`address ${ip}`, name);
  for (const block of blocks) claims.set(`block ${block}`, name);
}

function blockFault(
  block: IpCidr,
  at: number,
  blocks: readonly IpCidr[],
  network: Pick<NetworkSpec, "podCIDRs" | "nodeMaskSize" | "nodeMaskSizeV6">,
): Omit<Finding, "path"> | undefined {
  const [bits, key] = isV6(block)
    ? [network.nodeMaskSizeV6, "nodeMaskSizeV6"]
    : [network.nodeMaskSize, "nodeMaskSize"];
  const within = network.podCIDRs.some((pods) => overlap(pods, block) && bitsOf(pods) <= bitsOf(block));
  if (!within) return { predicate: `is ${block}, outside of podCIDRs (${network.podCIDRs.join(", ")})` };
  if (bitsOf(block) !== bits) return { predicate: `is ${block}; ${key} is ${bits}` };
  const twin = blocks.slice(0, at).find((other) => isV6(other) === isV6(block));
  return twin === undefined
    ? undefined
    : { predicate: `is ${block} beside ${twin}; a node has one block of each family` };
}

function isV6(cidr: IpCidr): boolean {
  return isIpv6(firstOf(cidr));
}
