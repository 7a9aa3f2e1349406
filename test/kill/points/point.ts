/**
 * Counts what the agent does to the world outside of it, in both of its threads, and kills the process right after the
 * one that it was told. Part of the agent that `test/kill/build.ts` makes; no program of the product has it.
 *
 * TERWAY_KILL_DIR holds `plan`, read at the start and at each SIGUSR2, and `trace`, a line for each effect.
 *
 * @module
 */
import { openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";
import { parsePlan, type Plan } from "../plan.ts";

const KEY = "terway-kill";
const DIRECTORY = process.env["TERWAY_KILL_DIR"] ?? "";
/** Cells of the memory that both threads share. */
const [COUNT, AT] = [0, 1];
/** In AT: the plan has a name. */
const BY_NAME = -1;

const cells = new Int32Array(sharedMemory());
const trace = openSync(join(DIRECTORY, "trace"), "a");

/** An effect is done: other programs, the kernel or the disk can tell. */
export function point(effect: string): void {
  const number = Atomics.add(cells, COUNT, 1) + 1;
  writeSync(trace, `${number} ${effect}\n`);
  const at = Atomics.load(cells, AT);
  // SIGKILL reaches all threads before kill(2) returns.
  if (number === at || (at === BY_NAME && effect === readPlan().killAt)) process.kill(process.pid, "SIGKILL");
}

function readPlan(): Plan {
  return parsePlan(readFileSync(join(DIRECTORY, "plan"), "utf8"));
}

function sharedMemory(): SharedArrayBuffer {
  const given = getEnvironmentData(KEY);
  if (given instanceof SharedArrayBuffer) return given;
  const made = new SharedArrayBuffer(8);
  setEnvironmentData(KEY, made);
  return made;
}

function arm(): void {
  const { run, killAt } = readPlan();
  Atomics.store(cells, COUNT, 0);
  Atomics.store(cells, AT, typeof killAt === "number" ? killAt : BY_NAME);
  writeSync(trace, `armed ${run}\n`);
}

if (isMainThread) {
  arm();
  process.on("SIGUSR2", arm);
}
