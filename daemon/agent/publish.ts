/**
 * The CNI configuration for the runtime, written once the agent serves.
 *
 * @module
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { publishConf } from "../cni-conf/publish.ts";
import { type Arguments } from "./arguments.ts";
import { type Log } from "./log.ts";

/** A directory that cannot be written now may be mounted a little later. */
const RETRY_MS = 10_000;

/** Resolves when it is there, when it was not asked for, or at `stop`. */
export async function keepPublished(args: Arguments, log: Log, stop: AbortSignal): Promise<void> {
  const { configDir, cniConfDir: confDir } = args;
  if (confDir === undefined) return;
  // The plugin runs in another directory.
  const [socketPath, spoolDir] = [resolve(args.socketPath), resolve(args.spoolDir)];
  while (!stop.aborted) {
    const published = publishConf({ configDir, confDir, socketPath, spoolDir });
    if (published.ok) {
      log.info({ confDir, outcome: published.value }, "the CNI configuration is in place");
      return;
    }
    log.error({ reason: published.fault }, "the runtime cannot see this node's network");
    await sleep(RETRY_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}
