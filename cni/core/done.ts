/**
 * The end of a run: exit status and what is written. Standard output carries the result or the error object and nothing
 * else.
 * Source: CNI SPEC.md 1.1.0, section 5 "Result types", "Error".
 *
 * @module
 */
import { cniCode, describeFault, remedyFor, type Fault } from "../../proto/fault.ts";
import { type JsonObject } from "./config.ts";
import { type CniVersion, type Command } from "./version.ts";

/** What the host writes, and with which status it ends. */
export type Done = {
  readonly kind: "done";
  readonly exit: 0 | 1;
  readonly stdout: string;
  readonly stderr: string;
};

/** What the caller is told about a failure. */
export type CniError = { readonly code: number; readonly msg: string; readonly details: string };

/** Exit status 0, with `result` on standard output if the command has one. */
export function succeed(result?: JsonObject): Done {
  return { kind: "done", exit: 0, stdout: result === undefined ? "" : line(result), stderr: "" };
}

/** Exit status 1, with the error object. */
export function fail(error: CniError, cniVersion: CniVersion): Done {
  return { kind: "done", exit: 1, stdout: line({ cniVersion, ...error }), stderr: "" };
}

/** `fault` in the words of CNI. `command` is the one that was asked for, if it is known. */
export function errorOf(fault: Fault, command?: Command): CniError {
  const remedy = remedyFor(fault);
  const details =
    fault.kind === "unsupported-version" && command !== undefined
      ? `${command} with cniVersion ${JSON.stringify(fault.given)}: ${remedy}`
      : remedy;
  return { code: cniCode(fault), msg: describeFault(fault), details };
}

function line(object: JsonObject): string {
  return `${JSON.stringify(object)}\n`;
}
