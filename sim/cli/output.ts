/**
 * The option `-o json` of the verbs that show something. Pure.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type CommandLine, type OptionSpec, textOption } from "./options.ts";
import { usageFailure, type VerbFailure } from "./verb.ts";

/** `-o json`, `--output json`. */
export const OUTPUT_OPTION: OptionSpec = { o: "json", output: "json" };

/** True where JSON is wanted; tables (`-o table`) are the default. */
export function wantsJson(line: CommandLine): Result<boolean, VerbFailure> {
  const format = textOption(line, "o", textOption(line, "output", "table"));
  if (format === "json" || format === "table") return ok(format === "json");
  return usageFailure(`unknown output ${JSON.stringify(format)}; known: json, table`);
}

/** Indented, with a newline at the end. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
