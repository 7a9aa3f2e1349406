/**
 * This project's own plugin conforms: no line of the checklist fails.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { program } from "../harness/programs.ts";
import { ALL_LINES, inOrderOfRunning } from "./catalogue.ts";
import { namespacesOf } from "./node.ts";
import { renderReport } from "./report.ts";
import { runSuite } from "./runner.ts";
import { readConfig, targetOf } from "./target.ts";
import { openDriver } from "./terway-driver.ts";

describe("terway", () => {
  it("conforms to every line, and leaves nothing behind", { timeout: 300_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), "cni-conformance-"));
    try {
      const report = await runSuite({
        target: targetOf({
          plugin: program("terway"),
          config: readConfig(join(import.meta.dirname, "configs/terway.conf")),
          scratch: directory,
        }),
        lines: inOrderOfRunning(ALL_LINES),
        name: `tw${process.pid}k`,
        directory,
        openDriver,
      });
      const failed = report.lines.filter(({ outcome }) => outcome === "failed").map(({ id }) => id);
      expect({ failed, left: report.left }, renderReport(report, "npm run conformance --")).toEqual({
        failed: [],
        left: [],
      });
      expect(report.lines.map(({ id }) => id).sort()).toEqual(ALL_LINES.map(({ id }) => id).sort());
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    expect(await namespacesOf(`tw${process.pid}k`)).toEqual([]);
  });
});
