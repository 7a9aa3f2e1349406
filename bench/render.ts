/**
 * The findings as text: one table for what was compared in this run, one for single figures. Pure.
 *
 * @module
 */
import { table } from "../test/demo/report.ts";
import { type Comparison, type Figure, type Findings } from "./figures.ts";
import { percentile, ratio, summarise } from "./statistics.ts";

/** Lines for a terminal; the notes stand below the tables. */
export function renderFindings(findings: Findings): string {
  const { machine, rows } = findings;
  const comparisons = rows.filter((row) => row.kind === "comparison");
  const figures = rows.filter((row) => row.kind === "figure");
  return [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}, ${findings.startedAt}`,
    ...(findings.quick ? ["Quick run: few samples, do not compare with others."] : []),
    ...(comparisons.length === 0 ? [] : ["", ...renderComparisons(comparisons)]),
    ...(figures.length === 0 ? [] : ["", ...renderFigures(figures)]),
    "",
  ].join("\n");
}

function renderComparisons(comparisons: readonly Comparison[]): string[] {
  const lines = comparisons.flatMap(({ row, contenders, upstream }) => {
    const [ours] = contenders;
    const oursP50 = ours === undefined ? Number.NaN : percentile(ours.samples, 0.5);
    const measured = contenders.map(({ name, samples }) => {
      const { n, p50, p90, min } = summarise(samples);
      return [name, `${n}`, decimals(p50), decimals(p90), decimals(min), factor(ratio(oursP50, p50))];
    });
    const elsewhere =
      upstream === undefined
        ? []
        : [
            [
              "upstream, measured elsewhere",
              "",
              decimals(upstream),
              "",
              "",
              factor(ratio(oursP50, upstream)),
            ],
          ];
    return [...measured, ...elsewhere].map((cells, index) => [index === 0 ? row : "", ...cells]);
  });
  return table(["IN TURN, IN THIS RUN (ms)", "WHO", "N", "P50", "P90", "MIN", "OURS/THIS"], lines);
}

function renderFigures(figures: readonly Figure[]): string[] {
  const lines = figures.map(({ row, what, unit, samples, upstream, target }, index) => {
    const { n, p50, p90 } = summarise(samples);
    return [
      row === figures[index - 1]?.row ? "" : row,
      what,
      unit,
      `${n}`,
      decimals(p50),
      n === 1 ? "" : decimals(p90),
      upstream === undefined ? "" : decimals(upstream),
      upstream === undefined ? "" : factor(ratio(p50, upstream)),
      target === undefined ? "" : `<= ${target}`,
      target === undefined ? "" : p50 <= target ? "yes" : "NO",
    ];
  });
  const header = ["OURS", "", "UNIT", "N", "P50", "P90", "UPSTREAM*", "OURS/UPSTREAM", "TARGET", "REACHED"];
  const notes = figures.flatMap(({ row, what, note }) =>
    note === undefined || note === "" ? [] : [`  ${row}, ${what}: ${note}`],
  );
  return [
    ...table(header, lines),
    "",
    "* upstream, measured elsewhere: Terway (Go) 89aadf8, legacy mode, on another simulated cloud with the same delays",
    ...notes,
  ];
}

/** One decimal below 100, none above; whole numbers without. */
function decimals(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1);
}

function factor(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(2);
}
