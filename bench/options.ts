/**
 * The command line of the benchmark. Pure.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { failed, ok, type Result } from "../proto/result.ts";

export type BenchOptions = {
  /** Names of rows, in the order of the table; each once. */
  readonly rows: readonly string[];
  /** Where to write everything as JSON. */
  readonly json?: string;
  /** Fewer samples and shorter waits: for a look, not for a comparison. */
  readonly quick: boolean;
};

/** Name of a group -> names of its rows. */
export type Groups = Readonly<Record<string, readonly string[]>>;

/** Reads the arguments; the fault is a sentence. No name means all rows. */
export function parseOptions(argv: readonly string[], groups: Groups): Result<BenchOptions, string> {
  const all = Object.values(groups).flat();
  const parsed = parseWords(argv);
  if (!parsed.ok) return parsed;
  const { positionals, values } = parsed.value;
  const unknown = positionals.filter((name) => groups[name] === undefined && !all.includes(name));
  if (unknown.length > 0) {
    return failed(
      `no row ${unknown.join(", ")}; groups are ${Object.keys(groups).join(", ")}, rows ${all.join(", ")}`,
    );
  }
  const wanted = new Set(positionals.flatMap((name) => groups[name] ?? [name]));
  const rows = positionals.length === 0 ? all : all.filter((name) => wanted.has(name));
  return ok({ rows, quick: values.quick ?? false, ...(values.json !== undefined && { json: values.json }) });
}

type Words = {
  readonly positionals: readonly string[];
  readonly values: { readonly json?: string | undefined; readonly quick?: boolean | undefined };
};

function parseWords(argv: readonly string[]): Result<Words, string> {
  try {
    return ok(
      parseArgs({
        args: [...argv],
        allowPositionals: true,
        options: { json: { type: "string" }, quick: { type: "boolean" } },
      }),
    );
  } catch (cause) {
    return failed(cause instanceof Error ? cause.message : String(cause));
  }
}
