/**
 * Time and chance of a simulation. Nothing waits: the clock jumps to the next event. Of events that are due at the same
 * moment the seed says which comes first, and every delay is drawn from it, so a run is repeated by its seed.
 *
 * Promises stay real: after each event all of them are let run until nothing is left to do, before the next one.
 *
 * @module
 */
import { type Timers } from "../../daemon/agent/timers.ts";
import { type Random, seededRandom } from "../../sim/model/random.ts";

export type Scheduler = Timers & {
  /** Milliseconds since the begin of the simulation. */
  readonly nowMs: () => number;
  readonly random: Random;
  /** Begins another sequence of chance: what is drawn from here on depends on `seed`, not on what was drawn before. */
  readonly reseed: (seed: number) => void;
  /** Resolves after a time that is drawn. */
  readonly take: (minMs: number, maxMs: number) => Promise<void>;
  /** Lets everything happen that is due within `forMs`; `afterEach` is called after each event. */
  readonly run: (forMs: number, afterEach: () => void) => Promise<void>;
  /** Events so far. */
  readonly events: () => number;
};

type Entry = { readonly atMs: number; readonly turn: number; run: (() => void) | undefined };

/** More events than this within one `run` are an endless loop. */
const EVENTS_MAX = 2_000_000;

export function openScheduler(seed: number): Scheduler {
  let random = seededRandom(seed);
  const heap: Entry[] = [];
  let nowMs = 0;
  let events = 0;
  const after = (ms: number, run: () => void): Disposable => {
    const entry: Entry = { atMs: nowMs + Math.max(0, ms), turn: random.unit(), run };
    push(heap, entry);
    return {
      [Symbol.dispose]() {
        entry.run = undefined;
      },
    };
  };
  return {
    nowMs: () => nowMs,
    elapsedMs: () => nowMs,
    random: {
      unit: () => random.unit(),
      between: (min, max) => random.between(min, max),
      pick: (items) => random.pick(items),
      text: (length, alphabet) => random.text(length, alphabet),
    },
    reseed(next) {
      random = seededRandom(next);
    },
    after,
    atTurnEnd: (run) => void after(0, run),
    take: (minMs, maxMs) =>
      new Promise((resolve) => {
        after(minMs + random.unit() * (maxMs - minMs), resolve);
      }),
    async run(forMs, afterEach) {
      const endMs = nowMs + forMs;
      for (let steps = 0; ;) {
        const next = heap[0];
        if (next === undefined || next.atMs > endMs) break;
        pop(heap);
        if (next.run === undefined) continue;
        steps += 1;
        if (steps > EVENTS_MAX) throw new Error("the simulation does not come to rest");
        events += 1;
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        await settled();
        afterEach();
      }
      nowMs = endMs;
    },
    events: () => events,
  };
}

/** All promises that can go on have gone on: they come before the next turn of Node's loop. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.turn < b.turn);
}

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up];
    if (parent === undefined || !isBefore(entry, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    const isRight = left !== undefined && right !== undefined && isBefore(right, left);
    const child = isRight ? right : left;
    if (child === undefined || !isBefore(child, last)) break;
    heap[at] = child;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
}
