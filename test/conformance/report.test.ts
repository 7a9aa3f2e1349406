import { describe, expect, it } from "vitest";
import { ALL_LINES, chooseLines, inOrderOfRunning } from "./catalogue.ts";
import { readOptions } from "./options.ts";
import { failedIds, renderReport, toJson } from "./report.ts";
import { outcomeOf, type LineReport, type Report } from "./runner.ts";
import { renderTable } from "./table.ts";
import { type Check } from "./trial.ts";

const PASSED: Check = { kind: "passed", what: "it works" };
const SKIPPED: Check = { kind: "skipped", what: "the rest", reason: "nobody knows how" };
const FAILED: Check = { kind: "failed", what: "it ends", wanted: "exit 0", seen: "exit 1", repeat: "run it" };

function lineOf(id: string, ...checks: readonly Check[]): LineReport {
  return { id, wants: `what ${id} wants`, outcome: outcomeOf(checks), checks, tookMs: 1 };
}

const REPORT: Report = {
  label: "some",
  plugin: "/some",
  announces: ["1.0.0", "1.1.0"],
  version: "1.1.0",
  lines: [lineOf("D1", FAILED, PASSED), lineOf("E1", PASSED, SKIPPED), lineOf("S8", SKIPPED)],
  left: ["a thing"],
};

describe("outcomeOf()", () => {
  it("fails with one failed check, applies with one check that was made", () => {
    expect(outcomeOf([PASSED, FAILED])).toBe("failed");
    expect(outcomeOf([SKIPPED, PASSED])).toBe("passed");
    expect(outcomeOf([SKIPPED])).toBe("not applicable");
    expect(outcomeOf([])).toBe("not applicable");
  });
});

describe("renderReport()", () => {
  it("has the lines in the order of the checklist, what failed, why not, the sum and what was left", () => {
    expect(renderReport(REPORT, "again").split("\n")).toEqual([
      "CNI conformance of some (/some)",
      "announces 1.0.0, 1.1.0; called with 1.1.0",
      "",
      "Environment, input, process",
      "  E1   passed  what E1 wants",
      "",
      "DEL",
      "  D1   FAILED  what D1 wants",
      "       - it ends",
      "         wanted exit 0",
      "         seen   exit 1",
      "               run: run it",
      "               again: again --only D1",
      "",
      "STATUS",
      "  S8   n/a     what S8 wants",
      "               nobody knows how",
      "",
      "1 passed, 1 failed, 1 not applicable: 50 % of what applies",
      "left behind: a thing",
      "",
    ]);
  });
});

describe("toJson()", () => {
  it("has the sum, and each line with its outcome and reason", () => {
    expect(JSON.parse(toJson(REPORT))).toMatchObject({
      plugin: "/some",
      summary: { passed: 1, failed: 1, notApplicable: 1 },
      lines: [
        { id: "E1", outcome: "passed", reason: "nobody knows how" },
        { id: "D1", outcome: "failed", reason: "" },
        { id: "S8", outcome: "not applicable" },
      ],
    });
    expect(failedIds(REPORT)).toEqual(["D1"]);
  });
});

describe("renderTable()", () => {
  it("has a row for each line, a column for each plugin, and names what failed", () => {
    const text = renderTable([{ report: REPORT, version: "1.2.3" }]).split("\n");
    expect(text[0]).toBe("|  | wanted | some 1.2.3 |");
    expect(text.filter((line) => /^\| [A-Z]\d+ /.test(line))).toHaveLength(ALL_LINES.length);
    expect(text.find((line) => line.startsWith("| E1 "))).toMatch(/\| yes \|$/);
    expect(text.find((line) => line.startsWith("| D1 "))).toMatch(/\| \*\*no\*\* \|$/);
    expect(text.find((line) => line.startsWith("| S8 "))).toMatch(/\| – \|$/);
    expect(text).toContain("|  | passed of what applies | 1 of 2 |");
    expect(text).toContain("- D1: it ends");
    expect(text).toContain("- S8: nobody knows how");
  });
});

describe("ALL_LINES", () => {
  it("has each line of the checklist once, in its order", () => {
    const sections = { E: 17, A: 10, D: 7, C: 9, S: 10, G: 11, R: 6, L: 4 };
    const ids = Object.entries(sections).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
    );
    expect(ALL_LINES.map(({ id }) => id)).toEqual(ids);
  });
});

describe("chooseLines()", () => {
  it("takes ids and sections, and names what it does not know", () => {
    expect(chooseLines("d1,L").map(({ id }) => id)).toEqual(["D1", "L1", "L2", "L3", "L4"]);
    expect(() => chooseLines("D1,X9")).toThrow("there is no line X9; they are E1 E2");
  });
});

describe("inOrderOfRunning()", () => {
  it("leaves the lines that look at all runs for the end", () => {
    expect(inOrderOfRunning(chooseLines("E13,E14,E15,L4")).map(({ id }) => id)).toEqual([
      "E13",
      "L4",
      "E14",
      "E15",
    ]);
  });
});

describe("readOptions()", () => {
  it("reads the words, and refuses what makes no sense", () => {
    const words = ["--plugin", "/p", "--config", "c.conf", "--only", "E", "--with-sim", "--state-dir", "/s"];
    expect(readOptions(words, "/ours.ts")).toEqual({
      plugin: "/p",
      config: "c.conf",
      label: undefined,
      cniPath: undefined,
      stateDirs: ["/s"],
      driver: "/ours.ts",
      only: "E",
      json: undefined,
    });
    expect(() => readOptions(["--plugin", "/p"], "")).toThrow("--plugin and --config are needed");
    expect(() => readOptions([...words, "--driver", "d.ts"], "")).toThrow("leave --driver out");
  });
});
