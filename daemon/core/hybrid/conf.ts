/**
 * The file that describes a hybrid network: text to a checked, complete, frozen view.
 *
 * @module
 */
import { type Cidr } from "../../../proto/cidr.ts";
import { type Cidr6, firstOf, type IpCidr } from "../../../proto/cidr6.ts";
import { isIpv6 } from "../../../proto/addr6.ts";
import { checkObject, documentProblems, inFileOrder, placed } from "../config/check.ts";
import { freeze } from "../config/freeze.ts";
import { type JsonDocument, readJsonObject } from "../config/json-text.ts";
import { type Problem } from "../config/problem.ts";
import { NETWORK_KEYS, NODE_KEYS, TOP_KEYS, VXLAN_KEYS } from "./keys.ts";
import { type HybridNetwork, type HybridNode, type HybridView, type RefusedNode } from "./network.ts";
import {
  claim,
  type Claims,
  NETWORK_CHECKS,
  type NetworkSpec,
  type NodeSpec,
  recordFindings,
  vxlanChecks,
  type VxlanSpec,
} from "./rules.ts";

/** `refused`: what is wrong with the records that `view.refused` names. Everything in the order of the file. */
export type HybridConfParsed =
  | {
      readonly ok: true;
      readonly view: HybridView;
      readonly refused: readonly Problem[];
      readonly warnings: readonly Problem[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** 10,000 records of 500 characters, and room for comments. */
const RULES = { comments: true, textMax: 8_388_608 };

/**
 * What is wrong with the settings, or with the file as a whole, makes the file unusable. What is wrong with a record
 * makes that record unusable. Never throws on any text.
 */
export function parseHybridConf(text: string): HybridConfParsed {
  const reading = readJsonObject(text, RULES);
  if (!reading.ok) return { ok: false, problems: reading.problems, warnings: [] };
  const { document } = reading;
  const top = checkObject(document, { at: [], value: document.value }, TOP_KEYS, []);
  const problems = [...documentProblems(document), ...(top.ok ? [] : top.problems)];
  const warnings = [...top.warnings];
  const given = document.value["network"];
  const network = isObject(given) ? networkOf(document, given) : undefined;
  warnings.push(...(network?.warnings ?? []));
  if (network?.ok === false) problems.push(...network.problems);
  if (!top.ok || network?.ok !== true || problems.length > 0)
    return { ok: false, problems: problems.sort(inFileOrder), warnings: warnings.sort(inFileOrder) };
  const records = recordsOf(document, top.value.nodes, network.spec);
  warnings.push(...records.warnings);
  return {
    ok: true,
    view: freeze({ network: network.value, nodes: records.nodes, refused: records.refused }),
    refused: records.problems.sort(inFileOrder),
    warnings: warnings.sort(inFileOrder),
  };
}

function networkOf(document: JsonDocument, given: Readonly<Record<string, unknown>>) {
  const checked = checkObject(document, { at: ["network"], value: given }, NETWORK_KEYS, NETWORK_CHECKS);
  const inner = isObject(given["vxlan"]) ? given["vxlan"] : {};
  const checks = vxlanChecks(checked.ok ? checked.value : { podCIDRs: [] });
  const vxlan = checkObject(document, { at: ["network", "vxlan"], value: inner }, VXLAN_KEYS, checks);
  const warnings = [...checked.warnings, ...vxlan.warnings];
  if (checked.ok && vxlan.ok)
    return {
      ok: true as const,
      spec: checked.value,
      value: hybridNetwork(checked.value, vxlan.value),
      warnings,
    };
  const problems = [...(checked.ok ? [] : checked.problems), ...(vxlan.ok ? [] : vxlan.problems)];
  return { ok: false as const, problems, warnings };
}

function recordsOf(document: JsonDocument, given: readonly unknown[], network: NetworkSpec) {
  const claims: Claims = new Map();
  const nodes: HybridNode[] = [];
  const refused: RefusedNode[] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  given.forEach((value, index) => {
    const at = ["nodes", index];
    const record = recordAt(document, at, value, { network, claims });
    warnings.push(...record.warnings);
    if (record.ok) {
      claim(claims, record.spec);
      nodes.push(hybridNode(record.spec));
    } else {
      problems.push(...record.problems);
      refused.push({ name: nameOf(value, index), reasons: record.problems.map(reasonOf) });
    }
  });
  return { nodes, refused, problems, warnings };
}

type Around = { readonly network: NetworkSpec; readonly claims: Claims };
type RecordAt =
  | { readonly ok: true; readonly spec: NodeSpec; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

function recordAt(
  document: JsonDocument,
  at: readonly PropertyKey[],
  value: unknown,
  { network, claims }: Around,
): RecordAt {
  if (!isObject(value)) {
    const predicate = 'is no object; a record such as {"name": "node-1", …} is wanted';
    return { ok: false, problems: placed(document, at, [{ path: [], predicate }]), warnings: [] };
  }
  const checked = checkObject(document, { at, value }, NODE_KEYS, []);
  if (!checked.ok) return checked;
  const found = recordFindings(checked.value, network, claims);
  if (found.length > 0)
    return { ok: false, problems: placed(document, at, found), warnings: checked.warnings };
  return { ok: true, spec: checked.value, warnings: checked.warnings };
}

function nameOf(value: unknown, index: number): string {
  const name = isObject(value) ? value["name"] : undefined;
  return typeof name === "string" && name !== "" ? name.slice(0, 253) : `nodes[${index}]`;
}

function reasonOf({ line, column, message, suggestion }: Problem): string {
  return `line ${line}, column ${column}: ${message}${suggestion === undefined ? "" : ` (${suggestion})`}`;
}

function hybridNetwork(spec: NetworkSpec, vxlan: VxlanSpec): HybridNetwork {
  return {
    podCidrs: spec.podCIDRs,
    blockBits: spec.nodeMaskSize,
    blockBitsV6: spec.nodeMaskSizeV6,
    mode: spec.mode,
    fallback: spec.fallback,
    sourceNat: spec.sourceNAT,
    nonMasqueradeCidrs: spec.nonMasqueradeCIDRs,
    serviceCidrs: spec.serviceCIDRs,
    cloudCidrs: spec.cloudCIDRs,
    onPremNodeCidrs: spec.onPremNodeCIDRs,
    clusterPodCidrs: spec.clusterPodCIDRs,
    vxlan: { vni: vxlan.vni, port: vxlan.port, mtuBytes: vxlan.mtu, directRouting: vxlan.directRouting },
  };
}

function hybridNode(spec: NodeSpec): HybridNode {
  const block = spec.blocks.find(isCidr);
  const blockV6 = spec.blocks.find(isCidr6);
  return {
    name: spec.name,
    ...(spec.nodeIP !== undefined && { nodeIp: spec.nodeIP }),
    ...(spec.nodeIPv6 !== undefined && { nodeIpv6: spec.nodeIPv6 }),
    ...(spec.l2Domain !== undefined && { l2Domain: spec.l2Domain }),
    ...(spec.vtepMAC !== undefined && { vtepMac: spec.vtepMAC }),
    capabilities: spec.capabilities,
    ...(block !== undefined && { block }),
    ...(blockV6 !== undefined && { blockV6 }),
  };
}

function isCidr6(cidr: IpCidr): cidr is Cidr6 {
  return isIpv6(firstOf(cidr));
}

function isCidr(cidr: IpCidr): cidr is Cidr {
  return !isCidr6(cidr);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
