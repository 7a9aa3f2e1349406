/**
 * Reports of several plugins side by side, as Markdown.
 *
 * @module
 */
import { ALL_LINES, SECTIONS } from "./catalogue.ts";
import { failedIds, reasonsOf, summaryOf } from "./report.ts";
import { type LineReport, type Report } from "./runner.ts";

export type Column = {
  readonly report: Report;
  /** "1.1.1 (Debian 12)". */
  readonly version: string;
};

const CELL: Readonly<Record<LineReport["outcome"], string>> = {
  passed: "yes",
  failed: "**no**",
  "not applicable": "–",
};

/** The table of all lines, the sums, and what failed, plugin by plugin. Nothing in it depends on the day. */
export function renderTable(columns: readonly Column[]): string {
  const head = columns.map(titleOf);
  const rows = ALL_LINES.map(({ id, wants }) =>
    row([id, wants, ...columns.map(({ report }) => CELL[outcomeIn(report, id)])]),
  );
  const sums = columns.map(({ report }) => {
    const { passed, failed } = summaryOf(report);
    return `${passed} of ${passed + failed}`;
  });
  return [
    row(["", "wanted", ...head]),
    row(["---", "---", ...columns.map(() => "---")]),
    ...rows,
    row(["", "passed of what applies", ...sums]),
    "",
    ...columns.flatMap(failuresOf),
    ...notApplicable(columns),
  ].join("\n");
}

function outcomeIn(report: Report, id: string): LineReport["outcome"] {
  return report.lines.find((line) => line.id === id)?.outcome ?? "not applicable";
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", String.raw`\|`)).join(" | ")} |`;
}

function titleOf({ report, version }: Column): string {
  return `${report.label} ${version}`.trim();
}

function failuresOf(column: Column): string[] {
  const { report } = column;
  const failed = failedIds(report);
  if (failed.length === 0) return [];
  const lines = failed.map((id) => `- ${id}: ${whatFailed(report.lines.find((line) => line.id === id))}`);
  return [`**${titleOf(column)}** fails:`, "", ...lines, ""];
}

/** The checks without what differs from run to run; each text once. */
function whatFailed(line: LineReport | undefined): string {
  const texts = (line?.checks ?? []).flatMap((check) => (check.kind === "failed" ? [check.what] : []));
  const stable = texts.map((text) =>
    text
      .replaceAll(/after [\d.]+ ms/g, "at some point")
      .replaceAll(/, \d+ runs/g, ", runs")
      .replaceAll(/\/run\/netns\/\S+/g, "the node's namespace"),
  );
  return [...new Set(stable)].join("; ");
}

/** Why lines do not apply, by section, the same for all plugins or not. */
function notApplicable(columns: readonly Column[]): string[] {
  const reasons = new Map<string, Set<string>>();
  for (const { report } of columns) {
    for (const line of report.lines) {
      if (line.outcome !== "not applicable") continue;
      const ids = reasons.get(reasonsOf(line.checks)) ?? new Set();
      reasons.set(reasonsOf(line.checks), ids.add(line.id));
    }
  }
  const lines = [...reasons].map(([reason, ids]) => {
    const sorted = [...ids].sort((one, other) => place(one) - place(other));
    return `- ${shorten(sorted)}: ${reason}`;
  });
  return ["Lines that do not apply to some or all (–):", "", ...lines];
}

function place(id: string): number {
  return ALL_LINES.findIndex((line) => line.id === id);
}

/** A whole section by its name. */
function shorten(ids: readonly string[]): string {
  const whole = Object.entries(SECTIONS).find(([letter]) => {
    const all = ALL_LINES.filter(({ id }) => id.startsWith(letter)).map(({ id }) => id);
    return all.length === ids.length && all.every((id) => ids.includes(id));
  });
  return whole === undefined ? ids.join(", ") : `all of ${whole[1]}`;
}
