/**
 * The plugin's process under Node: environment, standard streams and the agent's socket for `core/`. It imports no more
 * than it needs, because every pod waits for its start.
 *
 * @module
 */
import { readSync, statSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { begin, crashed, type Begin } from "./core/command.ts";
import { type Done, type End } from "./core/done.ts";
import { STDIN_BYTES_MAX, STDIN_TOO_LONG, type Input, type StdinRead, type Utf8 } from "./core/input.ts";
import { carryOutSpool } from "./node-host-spool.ts";

const CHUNK_BYTES = 65_536;
/** For a stream that somebody made non-blocking: how often to ask again, and for how long. */
const RETRY_PAUSE_MS = 2;
const RETRIES_MAX = 5_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8 by the platform. */
export const nodeUtf8: Utf8 = {
  encode: (text) => encoder.encode(text),
  decode: (bytes) => decoder.decode(bytes),
};

/** What the core may see of this process. */
export const nodeInput: Input = {
  env: process.env,
  readStdin,
  isOwnNetns,
  utf8: nodeUtf8,
};

/** One run from `input` to its end; never rejects. */
export async function runPlugin(input: Input): Promise<Done> {
  try {
    const start = begin(input);
    if (start.kind === "done") return start;
    const end = await converse(start);
    return end.kind === "done" ? end : carryOutSpool(end);
  } catch (error) {
    return crashed(error instanceof Error ? error.message : String(error));
  }
}

/** Talks to the agent until the call has an end, at most `deadlineMs`. */
export async function converse(start: Extract<Begin, { kind: "call" }>): Promise<End> {
  const { socketPath, deadlineMs, call } = start;
  try {
    const { uid } = statSync(socketPath);
    if (uid !== 0 && uid !== process.geteuid?.()) return call.notTrusted(uid);
  } catch (error) {
    return call.failed(errnoOf(error));
  }
  return await new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const timer = setTimeout(() => finish(call.timedOut()), deadlineMs);
    const finish = (end: End): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(end);
    };
    socket.on("data", (chunk: Uint8Array) => {
      try {
        const step = call.feed(chunk);
        if (step.kind !== "more") finish(step);
        else if (step.send.length > 0) socket.write(step.send);
      } catch (bug) {
        clearTimeout(timer);
        socket.destroy();
        reject(bug);
      }
    });
    socket.on("end", () => finish(call.ended()));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(call.failed(error.code ?? error.message)));
    socket.write(call.opening);
  });
}

/** Writes what the run has to say and returns its exit status. A reader that went away changes nothing. */
export function report(done: Done): number {
  writeAll(1, done.stdout);
  writeAll(2, done.stderr);
  return done.exit;
}

/** Stops after the first byte beyond the bound, so that a stream without end costs no memory and no time. */
function readStdin(): StdinRead {
  const chunks: Uint8Array[] = [];
  let left = STDIN_BYTES_MAX + 1;
  let retries = 0;
  while (left > 0) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, left));
    try {
      const count = readSync(0, chunk);
      if (count === 0) return { kind: "read", bytes: Buffer.concat(chunks) };
      chunks.push(chunk.subarray(0, count));
      left -= count;
    } catch (error) {
      const code = errnoOf(error);
      if (code !== "EAGAIN" || retries === RETRIES_MAX) return { kind: "failed", reason: code };
      retries += 1;
      pause();
    }
  }
  return { kind: "failed", reason: STDIN_TOO_LONG };
}

function writeAll(fd: number, text: string): void {
  let rest = encoder.encode(text);
  for (let retries = 0; rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN" || retries === RETRIES_MAX) return;
      retries += 1;
      pause();
    }
  }
}

/** The same device and inode are the same namespace: namespaces(7). A path that cannot be looked at is the agent's to judge. */
function isOwnNetns(path: string): boolean {
  try {
    const [own, other] = [statSync("/proc/self/ns/net"), statSync(path)];
    return own.dev === other.dev && own.ino === other.ino;
  } catch {
    return false;
  }
}

function errnoOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : String(error);
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_PAUSE_MS);
}
