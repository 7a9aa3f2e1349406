/**
 * Starting the process that serves, and hearing from it whether it does.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { routerNamespace } from "../fabric/shape.ts";
import { filesOf } from "./run-directory.ts";
import { reasonOf } from "./verb.ts";

/** What the serving process writes to its file descriptor 3 once it serves. Anything else is why it cannot. */
export const READY = "ready\n";
/** The file descriptor on which `up` waits for it. */
export const READY_FD = 3;

const READY_TIMEOUT_MS = 30_000;
const LOG_LINES = 10;

/**
 * Starts `terway-sim serve` in the namespace of the router, in a session of its own, and waits until it serves.
 *
 * @throws Error with the reason that the process gives, or with the end of its log. It is gone then.
 */
export async function startServing(name: string): Promise<void> {
  const program = process.argv[1];
  if (program === undefined) throw new Error("this program does not know its own path");
  const { log, directory } = filesOf(name);
  const logFile = await open(log, "a", 0o600);
  const command = [process.execPath, program, "serve", "--name", name];
  const child = spawn("ip", ["netns", "exec", routerNamespace(name), ...command], {
    detached: true,
    cwd: directory,
    stdio: ["ignore", logFile.fd, logFile.fd, "pipe"],
  });
  try {
    await once(child, "spawn");
    const answer = child.stdio[READY_FD];
    if (!(answer instanceof Readable)) throw new Error("no pipe to the serving process");
    const timer = setTimeout(() => child.kill("SIGKILL"), READY_TIMEOUT_MS);
    const said = await text(answer);
    clearTimeout(timer);
    if (said === READY) return child.unref();
    throw new Error(said.trim() || `the serving process ended; its last words: ${await lastWords(log)}`);
  } catch (cause) {
    child.kill("SIGKILL");
    throw new Error(`the simulated cloud does not start: ${reasonOf(cause)}`, { cause });
  } finally {
    await logFile.close();
  }
}

async function lastWords(log: string): Promise<string> {
  const lines = (await readFile(log, "utf8").catch(() => "")).trim().split("\n");
  return lines.slice(-LOG_LINES).join("\n") || "none";
}
