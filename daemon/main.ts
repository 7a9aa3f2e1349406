/**
 * `terwayd`: reads the command line and the configuration, runs the node's agent until a signal.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { parseArguments, rootRefusal, USAGE } from "./agent/arguments.ts";
import { openLog } from "./agent/log.ts";
import { runNode } from "./agent/node.ts";
import { openParts } from "./agent/parts.ts";
import { loadConfig } from "./config/load.ts";

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
  const config = await loadConfig({ configDir: args.configDir, secretDir: args.secretDir, env: process.env });
  if (!config.ok) {
    process.stderr.write(`terwayd: the configuration cannot be used\n${config.fault.report}\n`);
    return 1;
  }
  if (config.value.report !== "") process.stderr.write(`${config.value.report}\n`);
  if (args.check) {
    process.stdout.write(
      `terwayd: the configuration can be used; credentials: ${config.value.credentialsSource}\n`,
    );
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
  // Also after an exception that nobody caught.
  process.once("exit", () => log.flush());
  const workerUrl = existsSync(BUNDLED_WORKER) ? { workerUrl: BUNDLED_WORKER } : {};
  const options = { args, config: config.value, log, stop: stop.signal, ...workerUrl };
  const outcome = await runNode(options, (store) => openParts(options, store));
  if (outcome.ok) return 0;
  process.stderr.write(`terwayd: ${outcome.fault.text}\n`);
  return 1;
}

process.exitCode = await main(process.argv.slice(2));
