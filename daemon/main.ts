/**
 * `terwayd`: reads the command line and the configuration, runs the node's agent until a signal.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { failed, ok, type Result } from "../proto/result.ts";
import {
  type Arguments,
  type HybridArguments,
  parseArguments,
  rootRefusal,
  USAGE,
} from "./agent/arguments.ts";
import { checkHybridConf } from "./agent/hybrid-check.ts";
import { openHybridParts } from "./agent/hybrid.ts";
import { openLog } from "./agent/log.ts";
import { type NodeOptions } from "./agent/node-options.ts";
import { type OpenNode, runNode } from "./agent/node.ts";
import { openParts } from "./agent/parts.ts";
import { onPremisesNote } from "./agent/virtual-type.ts";
import { openKernel } from "./netlink/kernel.ts";
import { loadCniConfig, loadConfig } from "./config/load.ts";

/** Beside the bundle there is the bundled netlink thread; the sources have their own. */
const BUNDLED_WORKER = new URL("netlink-worker.mjs", import.meta.url);

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseArguments(argv);
  if (!parsed.ok) {
    process.stderr.write(`terwayd: ${parsed.fault}\nTry: terwayd --help\n`);
    return 2;
  }
  const args = parsed.value;
  if (args.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const mode = args.hybrid === undefined ? await onInstance(args) : await onPremises(args, args.hybrid);
  if (!mode.ok) {
    process.stderr.write(`terwayd: the configuration cannot be used\n${mode.fault}\n`);
    return 1;
  }
  if (mode.value.report !== "") process.stderr.write(`${mode.value.report}\n`);
  if (args.check) {
    process.stdout.write(`terwayd: the configuration can be used; ${mode.value.summary}\n`);
    return 0;
  }
  const refusal = rootRefusal(process.getuid?.());
  if (refusal !== undefined) {
    process.stderr.write(`terwayd: ${refusal}
`);
    return 1;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const log = openLog(args.logLevel);
  const kernel = openKernel(existsSync(BUNDLED_WORKER) ? { workerUrl: BUNDLED_WORKER } : {});
  // Whoever awaits it hears of it.
  kernel.catch(() => undefined);
  const options = { args, log, stop: stop.signal, kernel };
  const outcome = await runNode(options, mode.value.open(options));
  await (await kernel)[Symbol.asyncDispose]();
  if (outcome.ok) return 0;
  process.stderr.write(`terwayd: ${outcome.fault.text}\n`);
  return 1;
}

/** Where the agent runs. `report`: warnings; `summary`: for `--check`. */
type Mode = {
  readonly report: string;
  readonly summary: string;
  readonly open: (options: NodeOptions) => OpenNode;
};

async function onInstance({ configDir, secretDir }: Arguments): Promise<Result<Mode, string>> {
  const config = await loadConfig({ configDir, secretDir, env: process.env });
  if (!config.ok) return failed(config.fault.report);
  return ok({
    report: config.value.report,
    summary: `credentials: ${config.value.credentialsSource}`,
    open: (options) => (store) => openParts({ ...options, config: config.value }, store),
  });
}

/** An agent that starts may have a former network to go on with, so only a check minds what the file says. */
async function onPremises(
  { configDir, check }: Arguments,
  hybrid: HybridArguments,
): Promise<Result<Mode, string>> {
  const config = await loadCniConfig(configDir);
  if (!config.ok) return failed(config.fault.report);
  const checked = check ? checkHybridConf(hybrid) : ok({ report: "", summary: "" });
  if (!checked.ok) return checked;
  return ok({
    report: [config.value.report, onPremisesNote(config.value.cni), checked.value.report]
      .filter((part) => part !== "")
      .join("\n"),
    summary: checked.value.summary,
    open: (options) => (store) => openHybridParts({ ...options, hybrid }, store),
  });
}

process.exitCode = await main(process.argv.slice(2));
