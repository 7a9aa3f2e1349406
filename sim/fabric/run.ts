/**
 * Running the programs that the data plane is made with: `ip`, `nft`, `nsenter`, `sh`.
 *
 * @module
 */
import { spawn } from "node:child_process";

/** What a program left behind. */
export type Ran = {
  /** Exit status; 128 + N where signal N ended it; 127 where it could not be started. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs `command` with `input` on its stdin, to its end. Never rejects. */
export type Run = (command: readonly [string, ...string[]], input: string) => Promise<Ran>;

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/** `Run` with child processes. A program that takes longer than 10 seconds is killed (status 137). */
export const runProgram: Run = ([program, ...args], input) =>
  new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "pipe", timeout: TIMEOUT_MS, killSignal: "SIGKILL" });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8");
      child[stream].on("data", (chunk: string) => {
        if (out[stream].length + chunk.length <= MAX_OUTPUT_BYTES) out[stream] += chunk;
      });
    }
    child.once("error", (cause) => resolve({ status: 127, stdout: "", stderr: cause.message }));
    child.once("close", (code, signal) =>
      resolve({ status: code ?? (signal === "SIGKILL" ? 137 : 143), ...out }),
    );
    // A program that ends before it has read all (a syntax error) breaks the pipe; its status says why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });

/** A failure of one line of an `ip -batch` run. */
export type BatchFailure = {
  /** Counts from 0. */
  readonly line: number;
  readonly message: string;
};

/**
 * Reads what `ip -force -batch -` writes to stderr: messages, then `Command failed -:LINE`. A failure that ends the
 * batch early has no such line, and is given as a failure of line -1.
 */
export function batchFailures(stderr: string): readonly BatchFailure[] {
  const failures: BatchFailure[] = [];
  let messages: string[] = [];
  for (const text of stderr.split("\n").filter((line) => line !== "")) {
    const line = /^Command failed -:(\d+)$/.exec(text)?.[1];
    if (line === undefined) {
      messages.push(text);
    } else {
      failures.push({ line: Number(line) - 1, message: messages.join("; ") });
      messages = [];
    }
  }
  return messages.length === 0 ? failures : [...failures, { line: -1, message: messages.join("; ") }];
}
