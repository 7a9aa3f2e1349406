/**
 * What the agent must know before it can serve: who the node is, its vSwitches, its security groups. Asked of the
 * metadata service and the cloud; after a restart within the same boot, taken from the store, so that pods are served
 * before anybody answers.
 *
 * @module
 */
import { describeFault, type Fault, remedyFor } from "../../proto/fault.ts";
import { type SecurityGroupId, type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Cloud, type EniView, type NodeIdentity, type VSwitchView } from "../core/cloud.ts";
import { type Stored } from "../store/store.ts";
import { type StoreChange } from "../store/schema.ts";

/** Why the agent cannot start: one sentence with the remedy. */
export type StartFault = { readonly text: string };

type FactsCloud = Pick<Cloud, "describeVSwitches" | "describeInstance">;

/** A fault as a sentence with what to do. */
export function sentence(fault: Fault): string {
  return `${describeFault(fault)}\n  ${remedyFor(fault)}`;
}

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

/** Asks only for what the former run of this boot did not know. */
export async function learnCloudFacts(
  cloud: FactsCloud,
  node: NodeIdentity,
  former: Facts | undefined,
  configured: readonly VSwitchId[],
  groups: readonly SecurityGroupId[],
): Promise<Result<Facts, StartFault>> {
  const known =
    former !== undefined && configured.every((id) => former.vSwitches.some((view) => view.id === id));
  const [vSwitches, securityGroups] = await Promise.all([
    known ? ok(former.vSwitches) : askVSwitches(cloud, node, configured),
    groups.length === 0 && former !== undefined
      ? ok(former.securityGroups)
      : askSecurityGroups(cloud, node, groups),
  ]);
  if (!vSwitches.ok) return vSwitches;
  if (!securityGroups.ok) return securityGroups;
  return ok({ node, vSwitches: vSwitches.value, configured, securityGroups: securityGroups.value });
}

/** All vSwitches of the node's zone; each configured one has to be among them. */
async function askVSwitches(
  cloud: FactsCloud,
  node: NodeIdentity,
  configured: readonly VSwitchId[],
): Promise<Result<readonly VSwitchView[], StartFault>> {
  const listed = await cloud.describeVSwitches({ by: "zone", vpc: node.vpc, zone: node.zone });
  if (!listed.ok) return failed({ text: sentence(listed.fault.fault) });
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
  if (!instance.ok) return failed({ text: sentence(instance.fault.fault) });
  return ok(instance.value.securityGroups);
}

/** What is attached to the instance now; also the proof that key, permissions and clock are right. */
export async function askEnis(
  cloud: Cloud,
  node: NodeIdentity,
): Promise<Result<readonly EniView[], StartFault>> {
  const views = await cloud.describeEnis({ by: "instance", instance: node.instance });
  return views.ok ? views : failed({ text: sentence(views.fault.fault) });
}
