import { assert, asyncProperty, integer, property, scheduler as anyOrder, uniqueArray } from "fast-check";
import { describe, expect, it } from "vitest";
import { campaign, HISTORY_LENGTH, type Totals } from "./campaign.ts";
import { type Batch, batchesOf, openThread, type Played, type Player, playAll } from "./crew.ts";

const broken: Player = async () => {
  throw new Error("it ended");
};

const nobody = (): void => undefined;

/** Seeds of a batch. */
function seedsOf({ seed, operations }: Batch): readonly number[] {
  return Array.from({ length: Math.ceil(operations / HISTORY_LENGTH) }, (_, nth) => seed + nth);
}

/** What playing a batch gives where these seeds break a promise. */
function outcome(batch: Batch, bad: ReadonlySet<number>): Played {
  const seeds = seedsOf(batch);
  const failed = seeds.find((seed) => bad.has(seed));
  const histories = failed === undefined ? seeds.length : seeds.indexOf(failed) + 1;
  return { totals: { histories, operations: batch.operations, events: 0, virtualMs: 0 }, failed };
}

describe("batchesOf()", () => {
  it("has each seed once, in their order, and as many operations as were asked for", () => {
    assert(
      property(integer({ min: 0, max: 1e9 }), integer({ min: 1, max: 50_000 }), (seed, operations) => {
        const batches = [...batchesOf(seed, operations)];
        const seeds = batches.flatMap(seedsOf);
        expect(seeds).toEqual(seedsOf({ seed, operations }));
        expect(batches.reduce((total, batch) => total + batch.operations, 0)).toBe(operations);
      }),
    );
  });
});

describe("playAll()", () => {
  it("finds the smallest seed that breaks a promise, whichever thread is the slower one", async () => {
    await assert(
      asyncProperty(
        anyOrder(),
        uniqueArray(integer({ min: 1, max: 200 }), { maxLength: 5 }),
        integer({ min: 1, max: 4 }),
        async (scheduler, bad, threads) => {
          const played = new Set<number>();
          const play: Player = async (batch) => {
            for (const seed of seedsOf(batch)) played.add(seed);
            return scheduler.schedule(Promise.resolve(outcome(batch, new Set(bad))));
          };
          const all = playAll(
            1,
            200 * HISTORY_LENGTH,
            Array.from({ length: threads }, () => play),
            nobody,
          );
          const { failed } = await scheduler.waitFor(all);
          expect(failed).toBe(bad.length === 0 ? undefined : Math.min(...bad));
          expect(
            seedsOf({ seed: 1, operations: (failed ?? 200) * HISTORY_LENGTH }).filter(
              (seed) => !played.has(seed),
            ),
          ).toEqual([]);
        },
      ),
    );
  });

  it("rejects where a thread fails", async () => {
    await expect(playAll(1, 1, [broken], nobody)).rejects.toThrow("it ended");
  });
});

describe("openThread()", () => {
  it("plays the same histories as the main thread does", async () => {
    let alone: Totals | undefined;
    await campaign({ seed: 7, operations: 700, onHistory: (totals) => (alone = totals) });
    await using first = openThread();
    await using second = openThread();
    const parts = await Promise.all([
      first.play({ seed: 7, operations: 400 }),
      second.play({ seed: 9, operations: 300 }),
    ]);
    const events = parts.reduce((sum, { totals }) => sum + totals.events, 0);
    expect(parts.map(({ failed }) => failed)).toEqual([undefined, undefined]);
    expect(parts.map(({ totals }) => totals.histories)).toEqual([2, 2]);
    expect(events).toBe(alone?.events);
  }, 120_000);
});
