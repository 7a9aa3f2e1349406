/**
 * Opens the edges from the configuration: metadata service, credentials, cloud.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ok } from "../../proto/result.ts";
import { openBudget } from "../cloud/budget.ts";
import { openCloud } from "../cloud/cloud.ts";
import { type Metadata, openMetadata } from "../cloud/metadata.ts";
import { type CredentialProvider, openCredentials, reveal } from "../config/credentials.ts";
import { type LoadedConfig } from "../config/load.ts";
import { type Cloud } from "../core/cloud.ts";
import { openCallLog } from "./call-log.ts";
import { type Log } from "./log.ts";

/** Of one read of the metadata service, which answers from the host that the node runs on. */
const METADATA_TIMEOUT_MS = 2000;

export function openNodeMetadata(nowMs: () => number): Metadata {
  return openMetadata({ timeoutMs: METADATA_TIMEOUT_MS, now: nowMs, sleep: (ms) => sleep(ms) });
}

/** Secret, then `eni_conf`, then environment, then the instance's RAM role: asked before each request. */
export function openNodeCredentials(
  config: LoadedConfig,
  secretDir: string,
  metadata: Metadata,
): CredentialProvider {
  const { inlineCredentials } = config.eni;
  return openCredentials({
    secretDir,
    ...(inlineCredentials !== undefined && { inline: inlineCredentials }),
    env: process.env,
    fetchRoleCredentials: () => metadata.roleCredentials(),
  });
}

export function openNodeCloud(
  config: LoadedConfig,
  region: string,
  credentials: CredentialProvider,
  log: Log,
): Cloud & AsyncDisposable {
  const { ecsEndpoint, vpcEndpoint, cloudTimeoutMs, rateLimits } = config.eni;
  return openCloud({
    region,
    ...(ecsEndpoint !== undefined && { ecsEndpoint: ecsEndpoint }),
    ...(vpcEndpoint !== undefined && { vpcEndpoint: vpcEndpoint }),
    credentials: {
      async current() {
        const key = await credentials.current();
        return key.ok ? ok(reveal(key.value)) : key;
      },
    },
    timeoutMs: cloudTimeoutMs,
    budget: openBudget({
      ratesPerMinute: rateLimits,
      now: () => performance.now(),
      sleep: (ms) => sleep(ms),
    }),
    now: () => performance.now(),
    onCall: openCallLog(log, () => performance.now()),
  });
}
