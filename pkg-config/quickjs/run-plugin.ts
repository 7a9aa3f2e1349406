/**
 * Runs of the plugin's programs, for the tests that compare them.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";

/** What one run is given. The environment is this and nothing else. */
export type Given = {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string | Uint8Array;
};

/** What one run has answered. The texts have one character for each byte, so that no difference is lost. */
export type Answer = { readonly exit: number | null; readonly stdout: string; readonly stderr: string };

/** Runs `command` and waits for its end. */
export async function runProgram([file, ...args]: readonly string[], { env, stdin }: Given): Promise<Answer> {
  if (file === undefined) throw new Error("no program");
  const child = spawn(file, args, { env, stdio: "pipe" });
  // A program that refuses to read on closes its end.
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  const [stdout, stderr] = await Promise.all([
    buffer(child.stdout),
    buffer(child.stderr),
    once(child, "close"),
  ]);
  return { exit: child.exitCode, stdout: stdout.toString("latin1"), stderr: stderr.toString("latin1") };
}
