/**
 * A campaign on several threads: the same seeds as on one, dealt out in batches, and the same finding, the smallest seed that
 * breaks a promise.
 *
 * @module
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { HISTORY_LENGTH, type Totals } from "./campaign.ts";

/** Histories with these seeds: as many as make up the operations. */
export type Batch = { readonly seed: number; readonly operations: number };

/** `failed`: the first seed of the batch that broke a promise; those after it were not played. */
export type Played = { readonly totals: Totals; readonly failed: number | undefined };

/** Plays one batch. Rejects where it could not. */
export type Player = (batch: Batch) => Promise<Played>;

export type Thread = AsyncDisposable & { readonly play: Player };

/** Half a second of work. */
const BATCH_HISTORIES = 25;

const NOTHING: Totals = { histories: 0, operations: 0, events: 0, virtualMs: 0 };

/** The batches of a campaign, in the order of their seeds. */
export function* batchesOf(seed: number, operations: number): Generator<Batch, void> {
  const batchOperations = BATCH_HISTORIES * HISTORY_LENGTH;
  for (let at = 0; at < operations; at += batchOperations)
    yield { seed: seed + at / HISTORY_LENGTH, operations: Math.min(batchOperations, operations - at) };
}

/**
 * Each player takes the next batch until there is none, or one has failed. Batches are dealt in the order of their seeds, and
 * those under way are played to their end: so every seed below the one that is found has passed.
 */
export async function playAll(
  seed: number,
  operations: number,
  players: readonly Player[],
  onBatch: (totals: Totals) => void,
): Promise<Played> {
  const batches = batchesOf(seed, operations);
  let played: Played = { totals: NOTHING, failed: undefined };
  const work = async (play: Player): Promise<void> => {
    while (played.failed === undefined) {
      const { value: batch } = batches.next();
      if (batch === undefined) return;
      const { totals, failed } = await play(batch);
      played = { totals: sum(played.totals, totals), failed: smaller(played.failed, failed) };
      onBatch(played.totals);
    }
  };
  await Promise.all(players.map(work));
  return played;
}

/** A thread of `thread.ts`. One batch at a time. */
export function openThread(): Thread {
  const worker = new Worker(new URL("./thread.ts", import.meta.url));
  return {
    async play(batch) {
      const answer = once(worker, "message");
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(batch);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what thread.ts posts
      const [played] = (await answer) as [Played];
      return played;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

function sum(a: Totals, b: Totals): Totals {
  return {
    histories: a.histories + b.histories,
    operations: a.operations + b.operations,
    events: a.events + b.events,
    virtualMs: a.virtualMs + b.virtualMs,
  };
}

function smaller(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
