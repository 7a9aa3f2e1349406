/**
 * Where lines of the log go: a descriptor that may be slow, full or broken. Writing never stops the agent: what cannot be
 * written waits, up to a bound; what is more than that, or has nobody who reads it, is lost and counted.
 *
 * @module
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";

export type LogSink = {
  /** Takes a line with its end. */
  readonly write: (line: string) => void;
  /** Writes what waits, as far as that goes without waiting. */
  readonly flush: () => void;
  /** The same, with some patience for a reader that is slow: nothing comes after it. */
  readonly end: () => void;
};

export type SinkOptions = {
  /** As `fs.writeSync`: returns how many bytes were taken, and throws where none were. */
  readonly writeBytes: (bytes: Uint8Array) => number;
  /** Calls `run` later; several calls may come to one. */
  readonly later: (run: () => void, inMs: number) => void;
  /** Waits, with the whole thread. */
  readonly pause: (ms: number) => void;
  /** Bytes that may wait. */
  readonly waitingMax: number;
};

/** A full pipe is tried again after this. */
const RETRY_MS = 100;
/** How often `end` tries, with `END_PAUSE_MS` between. */
const [END_TRIES, END_PAUSE_MS] = [50, 10];
/** As much as a pipe takes at once (pipe(7)). */
const CHUNK_BYTES = 65_536;

/** Lines of one turn of the event loop are written together, at its end. */
export function openSink({ writeBytes, later, pause, waitingMax }: SinkOptions): LogSink {
  const encoder = new TextEncoder();
  let lines: string[] = [];
  let waitingBytes = 0;
  /** What is being written: a line may go out in parts. */
  let begun = new Uint8Array(0);
  /** Lines that were lost: before those that wait, and after them. */
  let [unread, tooMuch] = [0, 0];
  let isScheduled = false;

  const schedule = (inMs: number): void => {
    if (isScheduled) return;
    isScheduled = true;
    later(() => {
      isScheduled = false;
      flush();
    }, inMs);
  };

  /** False: it is tried again later. */
  function drain(): boolean {
    while (begun.length > 0 || lines.length > 0) {
      if (begun.length === 0) begun = next();
      try {
        begun = begun.subarray(writeBytes(begun.subarray(0, CHUNK_BYTES)));
      } catch (error) {
        if (isFull(error)) return false;
        // Nobody reads it (EPIPE), or nobody can write it (EIO, ENOSPC): the next line may fare better.
        unread += linesIn(begun);
        begun = new Uint8Array(0);
      }
    }
    return true;
  }

  /** All that waits. What did not find room any more is spoken of at its place. */
  function next(): Uint8Array<ArrayBuffer> {
    const text = [lossLine(unread), ...lines, lossLine(tooMuch)].join("");
    [lines, waitingBytes, unread, tooMuch] = [[], 0, 0, 0];
    return encoder.encode(text);
  }

  function flush(): void {
    if (!drain()) schedule(RETRY_MS);
  }

  return {
    write(line) {
      if (waitingBytes + line.length > waitingMax) {
        tooMuch += 1;
        return;
      }
      lines.push(line);
      waitingBytes += line.length;
      schedule(0);
    },
    flush,
    end() {
      for (let tries = 1; !drain() && tries <= END_TRIES; tries++) pause(END_PAUSE_MS);
    },
  };
}

const NEWLINE = 10;

function linesIn(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => count + Number(byte === NEWLINE), 0);
}

function lossLine(lost: number): string {
  if (lost === 0) return "";
  return `${JSON.stringify({ level: "warn", lost, msg: "lines of the log were lost: nobody took them" })}\n`;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EAGAIN" || error.code === "EBUSY");
}

/** Bytes that may wait for a reader: some 4,000 lines. */
const WAITING_MAX = 1024 * 1024;

/** Standard error. */
export function openErrorSink(): LogSink {
  const fd = unblocked(2);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  return openSink({
    writeBytes: (bytes) => writeSync(fd, bytes),
    later(run, inMs) {
      if (inMs === 0) setImmediate(run);
      else setTimeout(run, inMs).unref();
    },
    pause: (ms) => void Atomics.wait(sleeper, 0, 0, ms),
    waitingMax: WAITING_MAX,
  });
}

/** A pipe is opened anew, so that writing to it does not wait (O_NONBLOCK) and others who have it do not notice. */
function unblocked(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND);
  } catch {
    return fd;
  }
}
