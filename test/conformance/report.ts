/**
 * What the suite found, for people.
 *
 * @module
 */
import { ALL_LINES, SECTIONS } from "./catalogue.ts";
import { type LineReport, type Report } from "./runner.ts";
import { type Check } from "./trial.ts";

export type Summary = { readonly passed: number; readonly failed: number; readonly notApplicable: number };

export function summaryOf(report: Report): Summary {
  const count = (outcome: LineReport["outcome"]): number =>
    report.lines.filter((line) => line.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), notApplicable: count("not applicable") };
}

/** The ids of lines that failed, in the order of the checklist. */
export function failedIds(report: Report): string[] {
  return inChecklistOrder(report.lines).flatMap(({ id, outcome }) => (outcome === "failed" ? [id] : []));
}

export function inChecklistOrder(lines: readonly LineReport[]): readonly LineReport[] {
  const place = new Map(ALL_LINES.map(({ id }, index) => [id, index]));
  return lines.toSorted((one, other) => (place.get(one.id) ?? 0) - (place.get(other.id) ?? 0));
}

/** The whole of it. `again` is the command that runs one line once more, without the line's id. */
export function renderReport(report: Report, again: string): string {
  const { passed, failed, notApplicable } = summaryOf(report);
  const parts = [
    `CNI conformance of ${report.label} (${report.plugin})`,
    `announces ${report.announces.join(", ")}; called with ${report.version}`,
  ];
  let section = "";
  for (const line of inChecklistOrder(report.lines)) {
    const title = SECTIONS[line.id.charAt(0)] ?? "";
    if (title !== section) parts.push("", title);
    section = title;
    parts.push(renderLine(line), ...explain(line, again));
  }
  const applicable = passed + failed;
  const share =
    applicable === 0 ? "nothing applies" : `${Math.floor((100 * passed) / applicable)} % of what applies`;
  parts.push("", `${passed} passed, ${failed} failed, ${notApplicable} not applicable: ${share}`);
  for (const left of report.left) parts.push(`left behind: ${left}`);
  return `${parts.join("\n")}\n`;
}

/** One line of the table. */
export function renderLine(line: LineReport): string {
  const outcome = { passed: "passed", failed: "FAILED", "not applicable": "n/a" }[line.outcome];
  return `  ${line.id.padEnd(4)} ${outcome.padEnd(7)} ${line.wants}`;
}

function explain(line: LineReport, again: string): string[] {
  switch (line.outcome) {
    case "passed":
      return [];
    case "not applicable":
      return [`               ${reasonsOf(line.checks)}`];
    case "failed":
      return [...renderFailures(line.checks), `               again: ${again} --only ${line.id}`];
    default:
      return line.outcome satisfies never;
  }
}

/** Why checks were not made, each reason once. */
export function reasonsOf(checks: readonly Check[]): string {
  const reasons = checks.flatMap((check) => (check.kind === "skipped" ? [check.reason] : []));
  return [...new Set(reasons)].join("; ");
}

/** Each with what was wanted and seen; the run of the first, the others' are in the JSON. */
function renderFailures(checks: readonly Check[]): string[] {
  const failures = checks.flatMap((check) => (check.kind === "failed" ? [check] : []));
  const repeat = failures.find((check) => check.repeat !== undefined)?.repeat;
  return [
    ...failures.flatMap(({ what, wanted, seen }) => [
      `       - ${what}`,
      `         wanted ${wanted}`,
      `         seen   ${seen}`,
    ]),
    ...(repeat === undefined ? [] : [`               run: ${repeat}`]),
  ];
}

/** The same for programs. */
export function toJson(report: Report): string {
  const lines = inChecklistOrder(report.lines).map((line) => ({ ...line, reason: reasonsOf(line.checks) }));
  return `${JSON.stringify({ ...report, summary: summaryOf(report), lines }, undefined, 2)}\n`;
}
