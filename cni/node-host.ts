/**
 * The plugin's process under Node: environment, standard streams and the agent's socket for `core/`. It imports no more
 * than it needs, because every pod waits for its start.
 *
 * @module
 */
import { readSync, statSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { begin, crashed, type Begin } from "./core/command.ts";
import { type Done } from "./core/done.ts";
import { type Input, type StdinRead, type Utf8 } from "./core/input.ts";

/** A configuration has some hundred bytes; the agent takes messages of up to 4 MB. */
const STDIN_BYTES_MAX = 1_048_576;
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
    return start.kind === "done" ? start : await converse(start);
  } catch (error) {
    return crashed(error instanceof Error ? error.message : String(error));
  }
}

/** Talks to the agent until the call has an end, at most `deadlineMs`. */
export function converse(start: Extract<Begin, { kind: "call" }>): Promise<Done> {
  const { socketPath, deadlineMs, call } = start;
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const timer = setTimeout(() => finish(call.timedOut()), deadlineMs);
    const finish = (done: Done): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(done);
    };
    socket.on("data", (chunk: Uint8Array) => {
      try {
        const step = call.feed(chunk);
        if (step.kind === "done") finish(step);
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

function readStdin(): StdinRead {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let retries = 0;
  for (;;) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    try {
      const count = readSync(0, chunk);
      if (count === 0) return { kind: "read", bytes: Buffer.concat(chunks) };
      chunks.push(chunk.subarray(0, count));
      length += count;
      if (length > STDIN_BYTES_MAX) return { kind: "failed", reason: `more than ${STDIN_BYTES_MAX} bytes` };
    } catch (error) {
      const code = errnoOf(error);
      if (code !== "EAGAIN" || retries === RETRIES_MAX) return { kind: "failed", reason: code };
      retries += 1;
      pause();
    }
  }
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
