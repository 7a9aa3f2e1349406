/**
 * Plugins that are broken on purpose, each a few lines of shell around a sound one: the suite finds each of them, by the
 * lines that are about the mistake and by no other.
 *
 * @module
 */
import { copyFile, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { program } from "../harness/programs.ts";
import { chooseLines, inOrderOfRunning } from "./catalogue.ts";
import { type Driver } from "./driver.ts";
import { failedIds, renderReport } from "./report.ts";
import { runOn } from "./runner.ts";
import { readConfig, targetOf } from "./target.ts";
import { openDriver } from "./terway-driver.ts";

/** The mutant, the lines that have to find it, and lines that may, by the way a race goes. */
const MUTANTS: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["ok-on-del", ["E14", "D6"], []],
  ["no-index", ["A6"], []],
  ["second-del-fails", ["D1"], []],
  ["lenient-environment", ["E3"], []],
  ["gc-frees-all", ["G1", "G2", "G3", "G7", "G10"], ["G8"]],
  ["check-finds-nothing", ["C2"], []],
  ["newest-version", ["A1"], []],
  ["extra-key", ["R6"], []],
];

/** The lines about verbs and results; those about names and input, and slow ones, add nothing here. */
const LINES = "E2,E3,E14,E15,A1,A5,A6,D1,D2,D6,C1,C2,C7,S1,G1,G2,G3,G6,G7,G8,G10,R6";

describe("a mutant", () => {
  let directory = "";
  let driver: Driver;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "cni-conformance-"));
    driver = await openDriver({ name: `tw${process.pid}m`, directory, config: {} });
  }, 120_000);

  afterAll(async () => {
    const left = await driver.close();
    await rm(directory, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  it.each(MUTANTS)("%s fails %j and nothing else", { timeout: 240_000 }, async (mutant, found, maybe) => {
    const own = join(directory, mutant);
    await mkdir(own);
    await copyFile(join(import.meta.dirname, `mutants/${mutant}.sh`), join(own, "mutant"));
    await symlink(program("terway"), join(own, "plugin"));
    // Without the switches: they are about the agent, and take seconds.
    const { node, config, leases, damages, close } = driver;
    const report = await runOn(
      {
        target: targetOf({
          plugin: join(own, "mutant"),
          label: mutant,
          config: readConfig(join(import.meta.dirname, "configs/terway.conf")),
          scratch: own,
        }),
        lines: inOrderOfRunning(chooseLines(LINES)),
        name: `tw${process.pid}m`,
        directory: own,
      },
      { node, config, ...(leases && { leases }), ...(damages && { damages }), close },
    );
    const failed = failedIds(report).filter((id) => !maybe.includes(id));
    expect(failed, renderReport(report, "")).toEqual(found);
  });
});
