/**
 * Packets of an on-premises network as lines, while they pass. The sniffer sits in the router's namespace, at the other
 * end of the nodes' cables, where nothing that a node does can hide a packet.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NETNS_DIRECTORY } from "../fabric/shape.ts";
import { IDLE_LINE, type SniffWanted } from "./sniffer/wanted.ts";

const SNIFFER = join(import.meta.dirname, "sniffer/main.ts");
const LINES_KEPT = 2000;
const START_MS = 10_000;
const SETTLE_MS = 10_000;

/** A capture that is running. */
export type Capture = AsyncDisposable & {
  /** What was seen so far, oldest first; the newest 2000. */
  lines(): readonly string[];
  /** Settles with the first line that matches, of the past or to come. Rejects after `timeoutMs` with what was seen. */
  until(pattern: RegExp, timeoutMs?: number): Promise<string>;
  /**
   * Settles when all packets of the past are among the lines: to be called before it is said that there was none. Rejects
   * where there was no pause of 50 ms for 10 s.
   */
  settled(): Promise<void>;
};

/** Settles when packets are being captured. @throws Error with the words of the process where it cannot. */
export async function openCapture(namespace: string, wanted: SniffWanted): Promise<Capture> {
  const child = spawn(
    "nsenter",
    [`--net=${NETNS_DIRECTORY}/${namespace}`, process.execPath, SNIFFER, JSON.stringify(wanted)],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const log = createLog();
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = `${said}${text}`.slice(0, 2000);
  });
  child.once("error", (cause) => {
    said = cause.message;
  });
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => {
      log.end(`the capture has ended: ${said.trim()}`);
      resolve();
    });
  });
  createInterface({ input: child.stdout }).on("line", (line) => log.add(line));
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await closed;
  };
  try {
    await log.until(({ idle, kept }) => idle > 0 || kept.length > 0 || undefined, START_MS, "a capture");
  } catch (cause) {
    await close();
    throw cause;
  }
  return {
    lines: () => [...log.kept],
    until: (pattern, timeoutMs = 5000) =>
      log.until(({ kept }) => kept.find((line) => pattern.test(line)), timeoutMs, `a line like ${pattern}`),
    settled: async () => {
      // The first idle line may have been on its way already.
      const enough = log.idle() + 2;
      await log.until(({ idle }) => idle >= enough || undefined, SETTLE_MS, "an idle capture");
    },
    [Symbol.asyncDispose]: close,
  };
}

type Seen = { readonly kept: readonly string[]; readonly idle: number };

type Log = {
  readonly kept: readonly string[];
  idle(): number;
  add(line: string): void;
  /** Nothing comes any more. */
  end(reason: string): void;
  /** Settles with what `look` finds, now or after a later line. */
  until<Value>(look: (seen: Seen) => Value | undefined, timeoutMs: number, what: string): Promise<Value>;
};

/** The lines of a sniffer, and who waits for them. */
function createLog(): Log {
  const kept: string[] = [];
  const waiting = new Set<() => void>();
  let idle = 0;
  let endReason: string | undefined;
  const wake = (): void => {
    for (const look of waiting) look();
  };
  return {
    kept,
    idle: () => idle,
    add: (line) => {
      if (line === IDLE_LINE) idle++;
      else kept.push(line);
      if (kept.length > LINES_KEPT) kept.shift();
      wake();
    },
    end: (reason) => {
      endReason = reason;
      wake();
    },
    until: (look, timeoutMs, what) =>
      new Promise((resolve, reject) => {
        const stop = (): void => {
          clearTimeout(timer);
          waiting.delete(check);
        };
        const giveUp = (reason: string): void => {
          stop();
          reject(new Error(`${what}: ${reason}; seen:\n${kept.slice(-20).join("\n")}`));
        };
        const check = (): void => {
          const value = look({ kept, idle });
          if (value !== undefined) {
            stop();
            resolve(value);
          } else if (endReason !== undefined) giveUp(endReason);
        };
        const timer = setTimeout(() => giveUp(`not within ${timeoutMs} ms`), timeoutMs);
        waiting.add(check);
        check();
      }),
  };
}
