/**
 * The findings as text: one table for what was compared in this run, one for single figures. Pure.
 *
 * @module
 */
import { table } from "../test/demo/report.ts";
import { type Absent, type Compared, type Comparison, type Figure, type Findings } from "./figures.ts";
import { pairedRatio, percentile, ratio, summarise } from "./statistics.ts";

/** A table: texts of its head, and of each line. */
export type Table = { readonly head: readonly string[]; readonly lines: readonly (readonly string[])[] };

/** Lines for a terminal; the notes stand below the tables. */
export function renderFindings(findings: Findings): string {
  const comparisons = comparisonTable(findings);
  const figures = figureTable(findings);
  return [
    describeRun(findings),
    ...(findings.quick ? ["Quick run: few samples, do not compare with others."] : []),
    ...[comparisons, figures].flatMap(({ head, lines }) =>
      lines.length === 0 ? [] : ["", ...table(head, lines)],
    ),
    ...upstreamNote(findings).flatMap((note) => ["", note]),
    ...notesOf(findings).map((note) => `  ${note}`),
    "",
  ].join("\n");
}

/** What "upstream" is, where a figure has it beside. */
export function upstreamNote({ rows }: Findings): readonly string[] {
  return rows.some((row) => row.kind === "figure" && row.upstream !== undefined)
    ? [
        "* upstream, measured elsewhere: Terway (Go) 89aadf8, legacy mode, on another simulated cloud with the same delays",
      ]
    : [];
}

/** Machine, system, load and date. */
export function describeRun({ machine, load, startedAt }: Findings): string {
  const { cpu, cores, memoryGb, system, kernel, node } = machine;
  const loads = `load ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after`;
  return `${cpu}, ${cores} cores, ${memoryGb} GB, ${system}, Linux ${kernel}, Node ${node}, ${loads}, ${startedAt}`;
}

/** What was done by several in turn. A row's name stands at its first line only. */
export function comparisonTable({ rows }: Findings): Table {
  const head = ["IN TURN, IN THIS RUN", "WHO", "UNIT", "N", "P50", "P90", "P99", "MIN", "OURS/THIS"];
  return {
    head: [...head, "TARGET", "REACHED"],
    lines: rows.filter((row) => row.kind === "comparison").flatMap(comparisonLines),
  };
}

/** Single figures of ours. A row's name stands at its first line only. */
export function figureTable({ rows }: Findings): Table {
  const figures = rows.filter((row) => row.kind === "figure");
  return {
    head: ["OURS", "", "UNIT", "N", "P50", "P90", "UPSTREAM*", "OURS/UPSTREAM", "TARGET", "REACHED"],
    lines: figures.map((figure, index) => figureLine(figure, figures[index - 1])),
  };
}

/** What the reader has to know, and what is missing. */
export function notesOf({ rows }: Findings): readonly string[] {
  const notes = rows
    .filter((row) => row.kind === "figure")
    .flatMap(({ row, what, note }) =>
      note === undefined || note === "" ? [] : [`${row}, ${what}: ${note}`],
    );
  const absent = rows.filter((row): row is Absent => row.kind === "absent");
  return [...notes, ...absent.map(({ row, why }) => `${row}: not measured on this machine: ${why}`)];
}

function comparisonLines({ row, unit, contenders, upstream, paired }: Comparison): string[][] {
  const [ours] = contenders;
  const oursP50 = ours === undefined ? Number.NaN : percentile(ours.samples, 0.5);
  const measured = contenders.map((contender) => {
    const { n, p50, p90, p99, min } = summarise(contender.samples);
    const times = paired === true ? pairedRatio(ours?.samples ?? [], contender.samples) : ratio(oursP50, p50);
    const numbers = [p50, p90, p99, min].map(decimals);
    return [contender.name, unit, `${n}`, ...numbers, factor(times), ...goalOf(contender, times)];
  });
  const elsewhere =
    upstream === undefined
      ? []
      : [
          [
            "upstream, measured elsewhere",
            unit,
            "",
            decimals(upstream),
            "",
            "",
            "",
            factor(ratio(oursP50, upstream)),
            "",
            "",
          ],
        ];
  return [...measured, ...elsewhere].map((cells, index) => [index === 0 ? row : "", ...cells]);
}

function figureLine(figure: Figure, before: Figure | undefined): string[] {
  const { row, what, unit, samples, upstream, target } = figure;
  const { n, p50, p90 } = summarise(samples);
  return [
    row === before?.row ? "" : row,
    what,
    unit,
    `${n}`,
    decimals(p50),
    n === 1 ? "" : decimals(p90),
    upstream === undefined ? "" : decimals(upstream),
    upstream === undefined ? "" : factor(ratio(p50, upstream)),
    target === undefined ? "" : `<= ${target}`,
    target === undefined ? "" : verdict(p50, target),
  ];
}

/** The cells of target and verdict. */
function goalOf({ target, atLeast }: Compared, times: number | undefined): readonly string[] {
  if (atLeast !== undefined) return [`>= ${atLeast}`, (times ?? 0) >= atLeast ? "yes" : "NO"];
  return target === undefined ? ["", ""] : [`<= ${target}`, verdict(times, target)];
}

function verdict(value: number | undefined, target: number): string {
  return value !== undefined && value <= target ? "yes" : "NO";
}

/** Two decimals below 10, one below 100, none above; whole numbers without. */
function decimals(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function factor(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(2);
}
