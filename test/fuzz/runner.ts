/**
 * Runs cases of a target and collects what broke. A case is known by the seed and its number: the same pair makes the same
 * case again.
 *
 * @module
 */
import { randomOf, type Random } from "./random.ts";

/** One case, made but not yet run. */
export type Case = {
  /** Runs it; the name of what happened, for the count. Whatever it throws is a failure. */
  readonly run: () => string;
  /** The input, so that a person can see it: hexadecimal where it is bytes. */
  readonly show: () => string;
};

/** Something that is fed with what nobody promised. */
export type Target = {
  readonly name: string;
  readonly about: string;
  readonly prepare: (random: Random) => Case;
};

export type Failure = { readonly index: number; readonly reason: string };

export type Report = {
  readonly runs: number;
  /** How often each thing happened. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  readonly slowestIndex: number;
  readonly failures: readonly Failure[];
};

export type Range = {
  readonly seed: number;
  /** Number of the first case. */
  readonly first: number;
  readonly runs: number;
  /** Ends earlier at this time of `nowMs`. */
  readonly untilMs: number;
  readonly nowMs: () => number;
  /** Called before each case. */
  readonly onCase?: (index: number) => void;
};

/** After so many it stops: more would not tell more. */
const FAILURES_MAX = 5;
/** The slowest honest case (a flood of frames) takes tens of milliseconds; the rest is for a busy machine. */
const CASE_MS_MAX = 10_000;

export class Violation extends Error {}

/** For the invariants: throws `Violation` where `holds` is false. */
export function insist(holds: boolean, reason: () => string): asserts holds {
  if (!holds) throw new Violation(reason());
}

export function runTarget(target: Target, range: Range): Report {
  const outcomes: Record<string, number> = {};
  const failures: Failure[] = [];
  let [runs, slowestMs, slowestIndex] = [0, 0, range.first];
  const end = range.first + range.runs;
  let startedMs = range.nowMs();
  for (let index = range.first; index < end && failures.length < FAILURES_MAX; index += 1) {
    if (startedMs > range.untilMs) break;
    range.onCase?.(index);
    const outcome = runCase(target, range.seed, index);
    if (outcome.kind === "ran") outcomes[outcome.name] = (outcomes[outcome.name] ?? 0) + 1;
    else failures.push({ index, reason: outcome.reason });
    runs += 1;
    const endedMs = range.nowMs();
    const tookMs = endedMs - startedMs;
    if (tookMs > slowestMs) [slowestMs, slowestIndex] = [tookMs, index];
    if (tookMs > CASE_MS_MAX) failures.push({ index, reason: `it took ${Math.round(tookMs)} ms` });
    startedMs = endedMs;
  }
  return { runs, outcomes, slowestMs, slowestIndex, failures };
}

type Outcome =
  | { readonly kind: "ran"; readonly name: string }
  | { readonly kind: "failed"; readonly reason: string };

function runCase(target: Target, seed: number, index: number): Outcome {
  const made = target.prepare(randomOf(seed, index));
  try {
    return { kind: "ran", name: made.run() };
  } catch (error) {
    if (error instanceof Violation) return { kind: "failed", reason: error.message };
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: "failed", reason: `it threw ${stack}` };
  }
}
