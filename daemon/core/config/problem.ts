/**
 * What is wrong in a configuration file, where, and what to do: the values, and their form for people.
 *
 * @module
 */
import { maskSecrets } from "./secret.ts";

export type Problem = {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Characters concerned, at least 1. */
  readonly length: number;
  /** `eni_tags["ack.aliyun.com"]`, `vswitches.cn-hangzhou-h[0]`; empty for the whole file. */
  readonly path: string;
  /** What is there and what is wanted, in one sentence without a full stop. */
  readonly message: string;
  /** What to do, an imperative. */
  readonly suggestion?: string;
};

/** A configuration with what a person should know about it, or everything that is wrong with it at once. */
export type Parsed<Config> =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** A file as it was read. */
export type SourceText = { readonly name: string; readonly text: string };

/** What a line of more than this is cut to, so that a file of one line does not fill the screen. */
const SHOWN_MAX = 100;

/**
 * As a compiler prints it: `file:line:column: message`, the line with a mark under the place, the remedy. Values of
 * `access_key` and `access_secret` are masked.
 */
export function formatProblems(
  source: SourceText,
  problems: readonly Problem[],
  severity: "error" | "warning" = "error",
): string {
  const lines = maskSecrets(source.text).split(/\r\n|\n|\r/);
  return problems
    .map((problem) => formatProblem(source.name, lines[problem.line - 1] ?? "", problem, severity))
    .join("\n");
}

function formatProblem(name: string, line: string, problem: Problem, severity: "error" | "warning"): string {
  const number = String(problem.line);
  const gutter = " ".repeat(number.length);
  const { shown, column } = excerpt(line, problem.column);
  const room = Math.max(1, shown.length - column + 1);
  const indent = shown.slice(0, column - 1).replace(/[^\t]/g, " ");
  const rows = [
    `${name}:${problem.line}:${problem.column}: ${severity}: ${problem.message}`,
    `  ${number} | ${shown}`,
    `  ${gutter} | ${indent}${"^".repeat(Math.min(problem.length, room))}`,
  ];
  if (problem.suggestion !== undefined) rows.push(`  ${gutter} = ${problem.suggestion}`);
  return rows.join("\n");
}

/** The part of the line around the column, and the column in it. */
function excerpt(line: string, column: number): { readonly shown: string; readonly column: number } {
  if (line.length <= SHOWN_MAX) return { shown: line.trimEnd(), column };
  const start = Math.max(0, Math.min(column - 1 - SHOWN_MAX / 2, line.length - SHOWN_MAX));
  return { shown: line.slice(start, start + SHOWN_MAX), column: column - start };
}

/** A path as a person would write it. */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => {
      if (typeof part === "number") return `[${part}]`;
      const name = String(part);
      if (!/^[\w-]+$/.test(name)) return `[${JSON.stringify(name)}]`;
      return at === 0 ? name : `.${name}`;
    })
    .join("");
}
