/**
 * The findings as the generated part of docs/performance.md. Pure.
 *
 * @module
 */
import { type Findings } from "./figures.ts";
import { comparisonTable, describeRun, figureTable, notesOf, type Table, upstreamNote } from "./render.ts";

const BEGIN = "<!-- figures: begin -->";
const END = "<!-- figures: end -->";

/** The document with these findings in place of its former ones. Throws where it has no place for them. */
export function withFigures(document: string, runs: readonly Findings[]): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the document lacks ${BEGIN} and ${END}`);
  const parts = runs.map(renderMarkdown).join("\n");
  return `${document.slice(0, begin)}${BEGIN}\n\n${parts}\n${document.slice(end)}`;
}

/** Tables, machine and date. */
export function renderMarkdown(findings: Findings): string {
  const [comparisons, figures] = [comparisonTable(findings), figureTable(findings)];
  const notes = [...upstreamNote(findings).map((note) => note.replace("*", "\\*")), ...notesOf(findings)];
  return [
    `${describeRun(findings)}${findings.quick ? " (quick run: few samples)" : ""}`,
    "",
    ...[comparisons, figures].flatMap((found) => (found.lines.length === 0 ? [] : [...pipes(found), ""])),
    ...notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
}

function pipes({ head, lines }: Table): string[] {
  return [
    pipe(head.map((text) => text.replace("*", "\\*").toLowerCase())),
    `|${head.map(() => "---|").join("")}`,
    ...lines.map(pipe),
  ];
}

function pipe(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replace(/^<= /, "≤ ").replace(/^>= /, "≥ ")).join(" | ")} |`;
}
