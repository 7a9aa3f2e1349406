/**
 * Runs commands and waits for things, for tests, the demo and the benchmark.
 *
 * @module
 */
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export type Ran = {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
};

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly timeoutMs?: number;
};

/** Runs to the end; never throws for a status that is not 0. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const child = execFile(
      file,
      [...args],
      {
        env: options.env ?? process.env,
        timeout: options.timeoutMs ?? 120_000,
        maxBuffer: 64 * 1024 * 1024,
        encoding: "utf8",
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ status: code, stdout, stderr, tookMs: performance.now() - startedMs });
      },
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.stdin ?? "");
  });
}

/** Runs and insists on status 0; the error shows the command and what it printed. */
export async function must(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const ran = await run(file, args, options);
  if (ran.status !== 0) {
    throw new Error(`${file} ${args.join(" ")}: status ${ran.status}\n${ran.stdout}${ran.stderr}`);
  }
  return ran.stdout;
}

/** Asks until it is so. The error names what was awaited. */
export async function until<Value>(
  what: string,
  ask: () => Promise<Value | undefined | false>,
  timeoutMs: number,
  everyMs = 50,
): Promise<Value> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(everyMs);
  }
}

/** Waits for all, and then fails as the first did that failed: nothing goes on behind the back of who cleans up. */
export async function allEnded<Value>(running: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(running);
  return Promise.all(running);
}

/** A program in the background; its output is kept. */
export type Background = {
  readonly pid: number;
  readonly output: () => string;
  /** Resolves with the exit status, or the signal's name. */
  readonly ended: Promise<number | string>;
  readonly kill: (signal: NodeJS.Signals) => void;
};

export type BackgroundOptions = {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Output goes to this file, so that the program can outlive us. */
  readonly logPath?: string;
};

export function background(
  file: string,
  args: readonly string[],
  options: BackgroundOptions = {},
): Background {
  const { logPath } = options;
  const log = logPath === undefined ? undefined : openSync(logPath, "a");
  const child = spawn(file, [...args], {
    env: options.env ?? process.env,
    stdio: ["ignore", log ?? "pipe", log ?? "pipe"],
    detached: log !== undefined,
  });
  if (log !== undefined) closeSync(log);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8");
    stream?.on("data", (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code ?? signal ?? "?"));
  });
  return {
    pid: child.pid ?? -1,
    output: () => (logPath === undefined ? output : readFileSync(logPath, "utf8")),
    ended,
    kill: (signal) => {
      child.kill(signal);
    },
  };
}
