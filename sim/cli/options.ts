/**
 * Command lines: options and positional arguments by `node:util`, with messages that name the nearest known word. Pure.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { closest, distance } from "fastest-levenshtein";
import { failed, ok, type Result } from "../../proto/result.ts";

/** Option -> what follows it: a word for it in messages, or nothing (`true`). */
export type OptionSpec = Readonly<Record<string, string | true>>;

/** A command line that is well formed; what its values mean is still to be checked. */
export type CommandLine = {
  readonly values: Readonly<Record<string, string | true>>;
  readonly positionals: readonly string[];
  /** What stands after `--`; `undefined` where there is no `--`. */
  readonly rest: readonly string[] | undefined;
};

/** Parses the words after the verb. A fault is one sentence. */
export function parseCommandLine(spec: OptionSpec, args: readonly string[]): Result<CommandLine, string> {
  const end = args.indexOf("--");
  const { tokens } = parseArgs({
    args: end === -1 ? [...args] : args.slice(0, end),
    options: Object.fromEntries(
      Object.entries(spec).map(([name, value]) => [
        name,
        { type: value === true ? "boolean" : "string" } as const,
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Record<string, string | true> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const wanted = Object.hasOwn(spec, token.name) ? spec[token.name] : undefined;
    if (wanted === undefined)
      return failed(unknownWord("option", token.rawName, Object.keys(spec).map(dashed)));
    if (wanted === true) {
      if (token.value !== undefined) return failed(`${token.rawName} takes no value`);
      values[token.name] = true;
    } else if (token.value === undefined || (!token.inlineValue && token.value.startsWith("-"))) {
      return failed(`${token.rawName} needs a value: ${token.rawName} ${wanted}`);
    } else {
      values[token.name] = token.value;
    }
  }
  return ok({ values, positionals, rest: end === -1 ? undefined : args.slice(end + 1) });
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** `unknown verb "statsu"; did you mean status?`, or all known words where none is near. */
export function unknownWord(what: string, given: string, known: readonly string[]): string {
  const near = known.length === 0 ? undefined : closest(given, known);
  return near !== undefined && distance(given, near) <= Math.max(2, given.length / 3)
    ? `unknown ${what} ${JSON.stringify(given)}; did you mean ${near}?`
    : `unknown ${what} ${JSON.stringify(given)}; known: ${known.join(", ")}`;
}

/** The value of a text option, or `fallback`. */
export function textOption<Fallback>(line: CommandLine, name: string, fallback: Fallback): string | Fallback {
  const value = line.values[name];
  return typeof value === "string" ? value : fallback;
}

/** A number of `min` to `max`; whole where `whole`. The fault says what is wanted. */
export function numberOption<Fallback>(
  line: CommandLine,
  name: string,
  range: { readonly min: number; readonly max: number; readonly whole: boolean },
  fallback: Fallback,
): Result<number | Fallback, string> {
  const text = textOption(line, name, undefined);
  if (text === undefined) return ok(fallback);
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max && (!range.whole || Number.isInteger(value))) return ok(value);
  const kind = range.whole ? "a whole number" : "a number";
  return failed(`--${name} ${text}: give ${kind} of ${range.min} to ${range.max}`);
}
