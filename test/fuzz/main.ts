/**
 * `npm run fuzz -- [--target NAME] [--runs N] [--seed S] [--first I] [--seconds T] [--stall-seconds T]`
 *
 * Runs every target, or one, on cases `I` to `I + N - 1` of seed S, each in a thread of its own so that a case that never
 * ends is noticed. Exit status: 0 nothing found, 1 something found, 2 a wrong argument.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { randomOf } from "./random.ts";
import { runTarget, type Failure, type Report, type Target } from "./runner.ts";
import { TARGETS, targetOf } from "./targets.ts";

/** Of a failing case: more would not be read. The command shows it again. */
const SHOWN_MAX = 20_000;
const PROGRESS_EVERY_MS = 5_000;

type Job = {
  readonly target: string;
  readonly seed: number;
  readonly first: number;
  readonly runs: number;
  readonly seconds: number;
  readonly stallMs: number;
};

if (isMainThread) process.exitCode = await main();
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- we gave it ourselves, in watch()
else work(workerData as { readonly job: Job; readonly place: Float64Array });

async function main(): Promise<number> {
  let jobs: readonly Job[];
  try {
    jobs = readArguments();
  } catch (error) {
    process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  let found = 0;
  for (const job of jobs) found += await watch(job);
  return found === 0 ? 0 : 1;
}

function readArguments(): readonly Job[] {
  const { values } = parseArgs({
    options: {
      target: { type: "string" },
      runs: { type: "string", default: "100000" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      first: { type: "string", default: "0" },
      seconds: { type: "string", default: "86400" },
      "stall-seconds": { type: "string", default: "30" },
    },
  });
  const number = (name: "runs" | "seed" | "first" | "seconds" | "stall-seconds"): number => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number`);
    return value;
  };
  const names = values.target === undefined ? TARGETS.map(({ name }) => name) : [values.target];
  return names.map((target) => {
    if (targetOf(target) === undefined) {
      throw new Error(
        `there is no target ${target}; there are ${TARGETS.map(({ name }) => name).join(", ")}`,
      );
    }
    return {
      target,
      seed: number("seed"),
      first: number("first"),
      runs: number("runs"),
      seconds: number("seconds"),
      stallMs: number("stall-seconds") * 1_000,
    };
  });
}

/** Runs a job in a thread and tells how it goes; the number of failures. */
async function watch(job: Job): Promise<number> {
  const place = new Float64Array(new SharedArrayBuffer(8));
  const startedMs = performance.now();
  const worker = new Worker(new URL(import.meta.url), { workerData: { job, place } });
  const report = await new Promise<Report | "stalled">((resolve, reject) => {
    let [seen, seenMs, toldMs] = [-1, startedMs, startedMs];
    const timer = setInterval(() => {
      const nowMs = performance.now();
      const at = place[0] ?? 0;
      if (at !== seen) [seen, seenMs] = [at, nowMs];
      if (nowMs - seenMs > job.stallMs) resolve("stalled");
      if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = nowMs;
      print(`${job.target}: at case ${at}, ${rate(at - job.first, nowMs - startedMs)}`);
    }, 100);
    worker.once("message", (told: Report) => resolve(told));
    worker.once("error", reject);
    worker.once("exit", () => clearInterval(timer));
  });
  await worker.terminate();
  if (report === "stalled") {
    tell(job, { index: place[0] ?? 0, reason: `it did not end within ${job.stallMs} ms` });
    return 1;
  }
  const outcomes = Object.entries(report.outcomes).sort(([, a], [, b]) => b - a);
  const counts = outcomes.map(([name, count]) => `${name} ${count}`).join(", ");
  const slowest = `slowest case ${report.slowestIndex} with ${report.slowestMs.toFixed(1)} ms`;
  print(
    `${job.target}: seed ${job.seed}: ${report.runs} runs, ${report.failures.length} failures, ${rate(report.runs, performance.now() - startedMs)}; ${slowest}; ${counts}`,
  );
  for (const failure of report.failures) tell(job, failure);
  return report.failures.length;
}

/** A failure with its input and the command that shows it again. */
function tell({ target, seed }: Job, { index, reason }: Failure): void {
  const input = known(target).prepare(randomOf(seed, index)).show();
  const shown =
    input.length > SHOWN_MAX ? `${input.slice(0, SHOWN_MAX)}… (${input.length} characters)` : input;
  print(`FAILED ${target}, seed ${seed}, case ${index}: ${reason}`);
  print(`  input: ${shown}`);
  print(`  again: npm run fuzz -- --target ${target} --seed ${seed} --first ${index} --runs 1`);
}

function work({ job, place }: { readonly job: Job; readonly place: Float64Array }): void {
  const report = runTarget(known(job.target), {
    seed: job.seed,
    first: job.first,
    runs: job.runs,
    untilMs: performance.now() + job.seconds * 1_000,
    nowMs: () => performance.now(),
    onCase: (index) => {
      place[0] = index;
    },
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(report);
}

function known(name: string): Target {
  const target = targetOf(name);
  if (target === undefined) throw new Error(`no target ${name}`);
  return target;
}

function rate(runs: number, tookMs: number): string {
  return `${Math.round(tookMs / 1_000)} s, ${Math.round(runs / (tookMs / 1_000))} a second`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
