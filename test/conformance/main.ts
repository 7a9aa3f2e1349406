/**
 * CNI conformance of any plugin executable: `node test/conformance/main.ts --plugin PATH --config FILE`. Exit status 0
 * where no line failed, 1 where one did, 2 where nothing could be tested.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ALL_LINES, chooseLines, inOrderOfRunning } from "./catalogue.ts";
import { loadDriver } from "./driver.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { renderReport, summaryOf, toJson } from "./report.ts";
import { type Report, runSuite } from "./runner.ts";
import { readConfig, targetOf } from "./target.ts";

const TERWAY_DRIVER = join(import.meta.dirname, "terway-driver.ts");

async function main(words: readonly string[]): Promise<number> {
  if (words.length === 0 || words.includes("--help")) {
    process.stdout.write(USAGE);
    return words.length === 0 ? 2 : 0;
  }
  if (process.getuid?.() !== 0) throw new Error("root is needed: the suite makes network namespaces");
  const options = readOptions(words, TERWAY_DRIVER);
  const report = await testAll(options);
  process.stdout.write(renderReport(report, againCommand(words)));
  if (options.json !== undefined) await writeFile(options.json, toJson(report));
  return summaryOf(report).failed + report.left.length === 0 ? 0 : 1;
}

async function testAll(options: Options): Promise<Report> {
  const lines = options.only === undefined ? ALL_LINES : chooseLines(options.only);
  const directory = await mkdtemp(join(tmpdir(), "cni-conformance-"));
  const isTerminal = process.stderr.isTTY;
  try {
    return await runSuite({
      target: targetOf({
        plugin: options.plugin,
        config: readConfig(options.config),
        scratch: join(directory, "host-local"),
        label: options.label,
        cniPath: options.cniPath,
        stateDirs: options.stateDirs,
      }),
      lines: inOrderOfRunning(lines),
      name: `tw${process.pid}k`,
      directory,
      openDriver: options.driver === undefined ? undefined : await loadDriver(resolve(options.driver)),
      onLine: ({ id }) => {
        if (isTerminal) process.stderr.write(`${id} `);
      },
    });
  } finally {
    if (isTerminal) process.stderr.write("\n");
    await rm(directory, { recursive: true, force: true });
  }
}

/** The command without the choice of lines. */
function againCommand(words: readonly string[]): string {
  const kept = words.filter((word, index) => word !== "--only" && words[index - 1] !== "--only");
  return `node test/conformance/main.ts ${kept.join(" ")}`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`conformance: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
