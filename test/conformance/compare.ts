/**
 * Runs the suite on this project's plugin and on others that are installed, and writes the table into
 * docs/conformance.md, between its two marks.
 *
 *     node test/conformance/compare.ts [DIRECTORY …]
 *
 * Each directory has plugins of the CNI project (bridge, ptp, macvlan, host-local); /usr/lib/cni where none is given.
 *
 * @module
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { ALL_LINES, inOrderOfRunning } from "./catalogue.ts";
import { type OpenDriver } from "./driver.ts";
import { summaryOf } from "./report.ts";
import { runSuite } from "./runner.ts";
import { type Column, renderTable } from "./table.ts";
import { readConfig, targetOf } from "./target.ts";
import { openDriver } from "./terway-driver.ts";

const DOCUMENT = join(import.meta.dirname, "../../docs/conformance.md");
const BEGIN = "<!-- written by test/conformance/compare.ts -->";
const END = "<!-- end -->";
const PEERS = ["bridge", "ptp", "macvlan"];

async function column(plugin: string, name: string, version: string, open?: OpenDriver): Promise<Column> {
  const directory = await mkdtemp(join(tmpdir(), "cni-conformance-"));
  try {
    const report = await runSuite({
      target: targetOf({
        plugin,
        config: readConfig(join(import.meta.dirname, `configs/${name}.conf`)),
        scratch: join(directory, "host-local"),
      }),
      lines: inOrderOfRunning(ALL_LINES),
      name: `tw${process.pid}v`,
      directory,
      openDriver: open,
    });
    const { passed, failed, notApplicable } = summaryOf(report);
    process.stderr.write(`${plugin}: ${passed} passed, ${failed} failed, ${notApplicable} not applicable\n`);
    return { report, version };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the plugin says of itself, else the version of the Debian package that it is from. */
async function versionOf(plugin: string): Promise<string> {
  const about = await run(plugin, [], { env: { PATH: process.env["PATH"] ?? "" } });
  const said = /v(\d+\.\d+\.\d+)/.exec(about.stderr)?.[1];
  if (said !== undefined) return said;
  // Go writes the module that a program was built from into it.
  const built = /\tgithub\.com\/containernetworking\/plugins\tv(\d+\.\d+\.\d+)/.exec(
    readFileSync(plugin, "latin1"),
  )?.[1];
  if (built !== undefined) return built;
  const owner = (await run("dpkg-query", ["-S", plugin])).stdout.split(":")[0] ?? "";
  const packaged = await run("dpkg-query", ["-W", "-f", "${Version}", owner]);
  return packaged.status === 0 && packaged.stdout !== ""
    ? `(Debian ${packaged.stdout})`
    : "(version unknown)";
}

async function main(given: readonly string[]): Promise<number> {
  const directories = given.length === 0 ? ["/usr/lib/cni"] : given;
  const columns = [await column(program("terway"), "terway", "", openDriver)];
  for (const directory of directories) {
    for (const peer of PEERS) {
      const plugin = join(directory, peer);
      if (existsSync(plugin)) columns.push(await column(plugin, peer, await versionOf(plugin)));
    }
  }
  const text = readFileSync(DOCUMENT, "utf8");
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${DOCUMENT} lacks ${BEGIN} or ${END}`);
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${renderTable(columns)}\n\n${END}${after}`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
