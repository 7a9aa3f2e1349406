/**
 * The end of a run: exit status and what is written. Standard output carries the result or the error object and nothing
 * else; standard error has one line about a failure, for whoever runs the plugin by hand.
 * Source: CNI SPEC.md 1.1.0, section 5 "Result types", "Error".
 *
 * @module
 */
import { cniCode, describeFault, remedyFor, type Fault } from "../../proto/fault.ts";
import { type JsonObject } from "./config.ts";
import { type CniVersion, type Command } from "./version.ts";
import { oneLine, quote, shorten } from "./words.ts";

/** What the host writes, and with which status it ends. */
export type Done = {
  readonly kind: "done";
  readonly exit: 0 | 1;
  readonly stdout: string;
  readonly stderr: string;
};

/**
 * A DEL that the agent could not be told of: the host is to keep it on disk, and then has its `Done`.
 *
 * The host opens `directory` (making it and its parents with mode 0700 where it is missing), and refuses one that is a
 * symbolic link, not a directory, not owned by the effective user, or writable for group or others. It refuses where
 * the directory has `filesMax` entries or more and none of them is `name`. Then it writes `.NAME.PID` with mode 0600
 * (over one that a process killed earlier has left), syncs it, renames it to `name` and syncs the directory; where one
 * of these fails, it removes the temporary file.
 */
export type Spool = {
  readonly kind: "spool";
  /** Absolute, without a slash at its end. */
  readonly directory: string;
  /** Has no slash, and leaves room for the temporary name in NAME_MAX of <linux/limits.h>. */
  readonly name: string;
  readonly text: string;
  readonly filesMax: number;
  /** The file is on disk. */
  readonly kept: () => Done;
  /** It is not. */
  readonly failed: (reason: SpoolFailure) => Done;
};

/** The name of an errno ("ENOSPC"), or one of: NOT_OWNED, WRITABLE_BY_OTHERS, FULL. */
export type SpoolFailure = string;

/** How a conversation with the agent ends. */
export type End = Done | Spool;

/** What the caller is told about a failure. */
export type CniError = { readonly code: number; readonly msg: string; readonly details: string };

/** Exit status 0, with `result` on standard output if the command has one, and `note` on standard error. */
export function succeed(result?: JsonObject, note = ""): Done {
  return { kind: "done", exit: 0, stdout: result === undefined ? "" : line(result), stderr: note };
}

/** Exit status 1, with the error object. `command` is the one that was asked for, if it is known. */
export function fail(error: CniError, cniVersion: CniVersion, command?: Command): Done {
  const [msg, details] = [shorten(error.msg), shorten(error.details)];
  const stdout = line({ cniVersion, code: error.code, msg, details });
  return { kind: "done", exit: 1, stdout, stderr: remark(`${msg}; ${details}`, command) };
}

/** One line for standard error. */
export function remark(text: string, command?: Command): string {
  return `terway: ${command === undefined ? "" : `${command}: `}${oneLine(text)}\n`;
}

/** `fault` in the words of CNI. */
export function errorOf(fault: Fault, command?: Command): CniError {
  const remedy = remedyFor(fault);
  const details =
    fault.kind === "unsupported-version" && command !== undefined
      ? `${command} with cniVersion ${quote(fault.given)}: ${remedy}`
      : remedy;
  return { code: cniCode(fault), msg: describeFault(fault), details };
}

function line(object: JsonObject): string {
  return `${JSON.stringify(object)}\n`;
}
