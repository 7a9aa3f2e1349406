/**
 * What is said to `spawn/spawn.c`, and what it says. Pure.
 *
 * @module
 */
import * as z from "zod";

/** What to execute. No text may have a tab or an end of line in it. */
export type Program = {
  /** Path of the network namespace that it runs in. */
  readonly netns: string;
  /** File that it reads as standard input. */
  readonly stdinPath: string;
  /** The program's path first. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
};

/** Times are of CLOCK_MONOTONIC, as `process.hrtime()` has it. */
export type Spawned = {
  readonly startedUs: number;
  readonly endedUs: number;
  /** Exit status, or 128 and the signal's number. */
  readonly status: number;
  /** The most memory that it or a child of it had resident (getrusage(2), `ru_maxrss`). */
  readonly peakKb: number;
};

const SPAWNED = z.object({
  startedUs: z.number(),
  endedUs: z.number(),
  status: z.number(),
  peakKb: z.number(),
});

/** One line, without its end. Throws for a text that would break it. */
export function formatProgram({ netns, stdinPath, argv, env }: Program): string {
  const fields = [
    netns,
    stdinPath,
    ...argv,
    "--",
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ];
  const broken = fields.find((field) => /[\t\n\0]/.test(field));
  if (broken !== undefined || argv.includes("--")) throw new Error(`cannot be a field: ${broken ?? "--"}`);
  return fields.join("\t");
}

/** Throws where a line is something else. */
export function parseSpawned(stdout: string): readonly Spawned[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => SPAWNED.parse(JSON.parse(line)));
}

/** Of each, in milliseconds. */
export function tookMs(spawned: readonly Spawned[]): readonly number[] {
  return spawned.map(({ startedUs, endedUs }) => (endedUs - startedUs) / 1000);
}

/** From the start of the first until the end of each, in milliseconds, in the order of their ends. */
export function endedAfterMs(spawned: readonly Spawned[]): readonly number[] {
  const firstUs = Math.min(...spawned.map(({ startedUs }) => startedUs));
  return spawned.map(({ endedUs }) => (endedUs - firstUs) / 1000).toSorted((a, b) => a - b);
}
