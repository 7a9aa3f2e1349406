/**
 * What the agent knows before its parts are opened: who the node is, what a former run left, what the cloud has.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Cloud, type EniView, type NodeIdentity } from "../core/cloud.ts";
import { vSwitchesOf } from "../core/config/eni-conf.ts";
import { type EniMetadata } from "../core/metadata.ts";
import { type IpStack } from "../core/ip-stack.ts";
import { type Limits, type PoolSettings } from "../core/pool/model.ts";
import { decideBounds } from "../core/quota/decide-bounds.ts";
import { type Store } from "../store/store.ts";
import { openNodeCloud, openNodeCredentials, openNodeMetadata } from "./edges.ts";
import { askEnis, type Facts, factsToStore, learnCloudFacts, storedFacts } from "./facts.ts";
import { passing, sentence, type StartFault } from "./start-fault.ts";
import { type EniNodeOptions } from "./node-options.ts";
import { type Records, recordsOf } from "./persist.ts";
import { poolSettings } from "./settings.ts";

export type Known = {
  readonly cloud: Cloud;
  readonly metadata: EniMetadata;
  readonly node: NodeIdentity;
  readonly facts: Facts;
  readonly records: Records;
  /** What the cloud has attached to the instance, where it was asked already: at a first start. */
  readonly enis: readonly EniView[] | undefined;
  readonly settings: PoolSettings;
  readonly limits: Limits;
};

/** Who and where we are, and what we had. At a first start the cloud is asked, and a wrong configuration shows here. */
export async function learnFacts(
  options: EniNodeOptions,
  store: Store,
  stack: AsyncDisposableStack,
): Promise<Result<Known, StartFault>> {
  const { config, log, args } = options;
  const stored = store.load();
  const former = storedFacts(stored);
  const metadata = stack.use(openNodeMetadata(() => Date.now()));
  const identity = former === undefined ? await metadata.identity() : ok(former.node);
  if (!identity.ok) return failed(passing(identity.fault));
  const node = identity.value;
  const { instance, instanceType, zone, vpc } = node;
  log.info({ instance, instanceType, zone, vpc, again: former !== undefined }, "this node");
  const configured = vSwitchesOf(config.eni, node.zone);
  if (!configured.ok) return failed({ text: `${configured.fault.reason}\n  ${configured.fault.remedy}` });
  const credentials = openNodeCredentials(config, args.secretDir, metadata);
  const cloud = stack.use(openNodeCloud(config, config.eni.region ?? node.region, credentials, log));
  return learnAbout(options, store, { cloud, metadata, node, configured: configured.value });
}

/** The rest, of a node whose identity is known. */
export async function learnAbout(
  { config, log }: Pick<EniNodeOptions, "config" | "log">,
  store: Store,
  {
    cloud,
    metadata,
    node,
    configured,
  }: Pick<Known, "cloud" | "metadata" | "node"> & Pick<Facts, "configured">,
): Promise<Result<Known, StartFault>> {
  const stored = store.load();
  const former = storedFacts(stored);
  const records = recordsOf(stored, node.instanceType);
  for (const text of records.unreadable) log.warn({ record: text }, "a record of the store was left out");
  const first = records.enis.length === 0 && records.leases.length === 0;
  const [facts, enis] = await Promise.all([
    learnCloudFacts(cloud, node, former, {
      configured,
      groups: config.eni.securityGroups,
      ipStack: config.eni.ipStack,
    }),
    first ? askEnis(cloud, node) : ok(undefined),
  ]);
  if (!facts.ok) return facts;
  if (!enis.ok) return enis;
  const written = store.write(factsToStore(facts.value));
  if (!written.ok) return failed({ text: sentence(written.fault) });
  const bounds = decideBounds({
    config: config.eni,
    instanceType: node.instanceType,
    ...(records.limits !== undefined && { learnt: records.limits }),
  });
  log.info({ ...bounds }, "limits of this node");
  const { enisMax, addressesPerEni, addresses6PerEni } = bounds;
  if (addresses6PerEni === 0) return failed({ text: typeWithoutIpv6(node.instanceType, config.eni.ipStack) });
  if (addresses6PerEni !== undefined && addresses6PerEni < addressesPerEni) {
    const about = { instanceType: node.instanceType, addressesPerEni, addresses6PerEni };
    log.warn(
      about,
      `ip_stack is ${config.eni.ipStack}: an ENI serves ${addresses6PerEni} pods, not ${addressesPerEni}, because it has no more IPv6 addresses`,
    );
  }
  const settings = poolSettings(config.eni, bounds, node, facts.value.securityGroups);
  return ok({
    cloud,
    metadata,
    node,
    facts: facts.value,
    records,
    enis: enis.value,
    settings,
    limits: { enisMax, addressesPerEni, ...(addresses6PerEni !== undefined && { addresses6PerEni }) },
  });
}

function typeWithoutIpv6(instanceType: string, ipStack: IpStack): string {
  return `ip_stack of eni_conf is ${ipStack}, and instance type ${instanceType} has no IPv6 addresses on its ENIs
  use another type for nodes, or set ip_stack to ipv4; if the number is wrong, correct instance_type_limits`;
}
