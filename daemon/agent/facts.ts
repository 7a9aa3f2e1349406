/**
 * What the agent must know before it can serve: who the node is, its vSwitches, its security groups. Asked of the
 * metadata service and the cloud; after a restart within the same boot, taken from the store, so that pods are served
 * before anybody answers.
 *
 * @module
 */
import { type SecurityGroupId, type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Cloud, type EniView, type NodeIdentity, type VSwitchView } from "../core/cloud.ts";
import { type IpStack, wantsPairs } from "../core/ip-stack.ts";
import { type Stored } from "../store/rows.ts";
import { type StoreChange } from "../store/schema.ts";
import { cloudStartFault, sentence, type StartFault } from "./start-fault.ts";

type FactsCloud = Pick<Cloud, "describeVSwitches" | "describeInstance">;

/** What was learnt, and is kept for the same boot. */
export type Facts = {
  readonly node: NodeIdentity;
  /** All of the node's zone. */
  readonly vSwitches: readonly VSwitchView[];
  /** Those of the configuration, in its order. */
  readonly configured: readonly VSwitchId[];
  /** For new ENIs. */
  readonly securityGroups: readonly SecurityGroupId[];
};

/** Written by this agent in the same boot; what does not parse is asked for again. */
export function storedFacts(stored: Stored): Facts | undefined {
  const text = stored.meta.facts;
  if (text === undefined) return undefined;
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own text, of the same boot and schema
    return JSON.parse(text) as Facts;
  } catch {
    return undefined;
  }
}

export function factsToStore(facts: Facts): StoreChange[] {
  return [{ kind: "put-meta", key: "facts", value: JSON.stringify(facts) }];
}

/** What the configuration wants of the node's zone. */
export type Wanted = {
  readonly configured: readonly VSwitchId[];
  /** Empty: those of the instance. */
  readonly groups: readonly SecurityGroupId[];
  readonly ipStack: IpStack;
};

/** Asks only for what the former run of this boot did not know. */
export async function learnCloudFacts(
  cloud: FactsCloud,
  node: NodeIdentity,
  former: Facts | undefined,
  wanted: Wanted,
): Promise<Result<Facts, StartFault>> {
  const { configured, groups, ipStack } = wanted;
  const lacking = (views: readonly VSwitchView[]): readonly VSwitchId[] =>
    wantsPairs(ipStack) ? withoutIpv6(views, configured) : [];
  // What a former run knew may be older than the IPv6 block of a vSwitch.
  const known =
    former !== undefined &&
    configured.every((id) => former.vSwitches.some((view) => view.id === id)) &&
    lacking(former.vSwitches).length === 0;
  const [vSwitches, securityGroups] = await Promise.all([
    known ? ok(former.vSwitches) : askVSwitches(cloud, node, configured),
    groups.length === 0 && former !== undefined
      ? ok(former.securityGroups)
      : askSecurityGroups(cloud, node, groups),
  ]);
  if (!vSwitches.ok) return vSwitches;
  const poor = lacking(vSwitches.value);
  if (poor.length > 0) return failed({ text: noIpv6(poor, ipStack) });
  if (!securityGroups.ok) return securityGroups;
  return ok({ node, vSwitches: vSwitches.value, configured, securityGroups: securityGroups.value });
}

function withoutIpv6(views: readonly VSwitchView[], configured: readonly VSwitchId[]): readonly VSwitchId[] {
  return configured.filter((id) => views.some((view) => view.id === id && view.cidr6 === undefined));
}

function noIpv6(ids: readonly VSwitchId[], ipStack: IpStack): string {
  return `ip_stack of eni_conf is ${ipStack}, and these vSwitches have no IPv6 block: ${ids.join(", ")}
  enable IPv6 for them in the VPC console, name vSwitches that have it in "vswitches", or set ip_stack to ipv4`;
}

/** All vSwitches of the node's zone; each configured one has to be among them. */
async function askVSwitches(
  cloud: FactsCloud,
  node: NodeIdentity,
  configured: readonly VSwitchId[],
): Promise<Result<readonly VSwitchView[], StartFault>> {
  const listed = await cloud.describeVSwitches({ by: "zone", vpc: node.vpc, zone: node.zone });
  if (!listed.ok) return failed(cloudStartFault(listed.fault));
  const missing = configured.filter((id) => !listed.value.some((view) => view.id === id));
  if (missing.length === 0) return listed;
  const reasons = await Promise.all(missing.map((id) => whyMissing(cloud, node, id)));
  return failed({ text: reasons.join("\n") });
}

async function whyMissing(cloud: FactsCloud, node: NodeIdentity, id: VSwitchId): Promise<string> {
  const remedy = `  correct "vswitches" of eni_conf: zone ${node.zone} needs vSwitches of VPC ${node.vpc} in that zone`;
  const found = await cloud.describeVSwitches({ by: "id", id });
  if (!found.ok) return `vSwitch ${id}: ${sentence(found.fault.fault)}`;
  const [view] = found.value;
  if (view === undefined) return `vSwitch ${id} does not exist\n${remedy}`;
  if (view.vpc !== node.vpc)
    return `vSwitch ${id} is in VPC ${view.vpc}, this node in ${node.vpc}\n${remedy}`;
  return `vSwitch ${id} is in zone ${view.zone}, this node in ${node.zone}\n${remedy}`;
}

/** Those of the configuration, else those of the instance. */
async function askSecurityGroups(
  cloud: FactsCloud,
  node: NodeIdentity,
  configured: readonly SecurityGroupId[],
): Promise<Result<readonly SecurityGroupId[], StartFault>> {
  if (configured.length > 0) return ok(configured);
  const instance = await cloud.describeInstance(node.instance);
  if (!instance.ok) return failed(cloudStartFault(instance.fault));
  return ok(instance.value.securityGroups);
}

/** What is attached to the instance now; also the proof that key, permissions and clock are right. */
export async function askEnis(
  cloud: Cloud,
  node: NodeIdentity,
): Promise<Result<readonly EniView[], StartFault>> {
  const views = await cloud.describeEnis({ by: "instance", instance: node.instance });
  return views.ok ? views : failed(cloudStartFault(views.fault));
}
