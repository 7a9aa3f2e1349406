/**
 * From the configuration and the node to what the pool works with.
 *
 * @module
 */
import { type SecurityGroupId } from "../../proto/ids.ts";
import { type NodeIdentity } from "../core/cloud.ts";
import { type EniConf } from "../core/config/eni-conf.ts";
import { type PoolBounds } from "../core/config/pool-bounds.ts";
import { tagsOfInstance } from "../core/eni-tags.ts";
import { type PoolSettings } from "../core/pool/model.ts";

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
    ownTags: tagsOfInstance(node.instance),
    ...(config.resourceGroup !== undefined && { resourceGroup: config.resourceGroup }),
    ...(Object.keys(config.eniTagFilter).length > 0 && { adoptTags: config.eniTagFilter }),
  };
}

/** What `--drain` works with: nothing is kept, nothing is waited for, and no pair has to be complete. */
export function drainSettings(settings: PoolSettings): PoolSettings {
  return { ...settings, ipStack: "ipv4", idleMin: 0, idleMax: 0, cooldownMs: 0, settleMs: 0 };
}
