/**
 * Which simulator a verb is about: several can be up at a time.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type CommandLine, type OptionSpec, textOption } from "./options.ts";
import { readRecord, simulatorNames, type SimulatorRecord } from "./run-directory.ts";
import { usageFailure, type VerbFailure, verbFailure } from "./verb.ts";

const DEFAULT_NAME = "sim";

/** The option of every verb. */
export const NAME_OPTION: OptionSpec = { name: "NAME" };

/** The name that the command line gives, or the default one. It becomes a part of names of namespaces and of paths. */
export function nameOf(line: CommandLine): Result<string, VerbFailure> {
  const name = textOption(line, "name", DEFAULT_NAME);
  if (/^[a-z][a-z0-9-]{0,31}$/.test(name)) return ok(name);
  return usageFailure(`--name ${name}: give up to 32 lower-case letters, digits and "-", a letter first`);
}

/** The simulator that the command line means; a failure where it is not up. */
export async function simulatorOf(line: CommandLine): Promise<Result<SimulatorRecord, VerbFailure>> {
  const name = nameOf(line);
  if (!name.ok) return name;
  const record = await readRecord(name.value);
  if (record !== undefined) return ok(record);
  const names = await simulatorNames();
  return verbFailure(
    names.length === 0
      ? `no simulator named ${name.value} is up; start one with: terway-sim up`
      : `no simulator named ${name.value} is up; up are: ${names.join(", ")} (choose with --name)`,
  );
}
