/**
 * From the configuration and the node to what the pool works with.
 *
 * @module
 */
import { type SecurityGroupId } from "../../proto/ids.ts";
import { type NodeIdentity } from "../core/cloud.ts";
import { type EniConf } from "../core/config/eni-conf.ts";
import { type PoolBounds } from "../core/config/pool-bounds.ts";
import { type PoolSettings } from "../core/pool/model.ts";

/** Tags of every ENI that this agent makes: who made it, and for which instance. */
export function ownTags(node: NodeIdentity): Readonly<Record<string, string>> {
  return { creator: "terway", "terway-instance": node.instance };
}

export function poolSettings(
  config: EniConf,
  bounds: PoolBounds,
  node: NodeIdentity,
  securityGroups: readonly SecurityGroupId[],
): PoolSettings {
  return {
    instance: node.instance,
    ipStack: config.ipStack,
    idleMin: bounds.idleMin,
    idleMax: bounds.idleMax,
    cooldownMs: config.cooldownMs,
    settleMs: config.poolSyncPeriodMs,
    vSwitchRetryMs: config.vSwitchRetryMs,
    vSwitchPolicy: config.vSwitchPolicy,
    eniPolicy: config.eniPolicy,
    securityGroups,
    eniTags: config.eniTags,
    ownTags: ownTags(node),
    ...(config.resourceGroup !== undefined && { resourceGroup: config.resourceGroup }),
    ...(Object.keys(config.eniTagFilter).length > 0 && { adoptTags: config.eniTagFilter }),
  };
}

/** What `--drain` works with: nothing is kept, nothing is waited for, and no pair has to be complete. */
export function drainSettings(settings: PoolSettings): PoolSettings {
  return { ...settings, ipStack: "ipv4", idleMin: 0, idleMax: 0, cooldownMs: 0, settleMs: 0 };
}
