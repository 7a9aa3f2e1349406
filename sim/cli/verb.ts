/**
 * What a verb of `terway-sim` is.
 *
 * @module
 */
import { failed, type Result } from "../../proto/result.ts";
import { type CommandLine, type OptionSpec } from "./options.ts";

/** Why a verb did not do its work: one sentence or more for people. */
export type VerbFailure =
  /** The command line is wrong: exit status 2. */
  | { readonly kind: "usage"; readonly message: string }
  /** Anything else: exit status 1. */
  | { readonly kind: "failed"; readonly message: string };

/** A verb of `terway-sim`. */
export type Verb = {
  readonly name: string;
  /** What follows the verb on a command line. */
  readonly usage: string;
  readonly summary: string;
  readonly options: OptionSpec;
  /** Does the work and gives what to print. */
  readonly run: (line: CommandLine) => Promise<Result<string, VerbFailure>>;
};

/** The outcome of a command line that is wrong. */
export function usageFailure(message: string): Result<never, VerbFailure> {
  return failed({ kind: "usage", message });
}

/** The outcome of a verb that could not do its work. */
export function verbFailure(message: string): Result<never, VerbFailure> {
  return failed({ kind: "failed", message });
}

/** The words of whatever was thrown. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
