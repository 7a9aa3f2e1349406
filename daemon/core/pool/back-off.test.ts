import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accountPauseMs, backOffMs, lookPauseMs } from "./back-off.ts";
import { nextRandom } from "./prng.ts";

describe("backOffMs()", () => {
  it("doubles from 200 ms to 5 s, the upper half at random", () => {
    expect([1, 2, 3, 4, 5, 6, 99].map((tries) => backOffMs(tries, 0))).toEqual([
      100, 200, 400, 800, 1_600, 2_500, 2_500,
    ]);
    expect([1, 5, 6, 99].map((tries) => backOffMs(tries, 0.999_999))).toEqual([200, 3_200, 5_000, 5_000]);
  });

  it("is never shorter than what the cloud asks for", () => {
    expect(backOffMs(1, 0.5, 7_000)).toBe(7_000);
    expect(backOffMs(9, 0, 100)).toBe(2_500);
  });
});

describe("lookPauseMs()", () => {
  it("grows by half from 2 s to 10 s, the upper half at random", () => {
    expect([1, 2, 3, 9].map((tries) => lookPauseMs(tries, 0))).toEqual([1_000, 1_500, 2_250, 5_000]);
    expect([1, 2, 3, 9].map((tries) => lookPauseMs(tries, 0.999_999))).toEqual([2_000, 3_000, 4_500, 10_000]);
  });
});

describe("accountPauseMs()", () => {
  it("doubles from one minute to ten", () => {
    expect([1, 2, 3, 4, 5, 99].map(accountPauseMs)).toEqual([
      60_000, 120_000, 240_000, 480_000, 600_000, 600_000,
    ]);
  });
});

describe("nextRandom()", () => {
  it("gives numbers of [0, 1), spread evenly, and a state of 32 bits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (seed) => {
        let state = seed;
        const counts = [0, 0, 0, 0];
        for (let draws = 0; draws < 400; draws += 1) {
          const next = nextRandom(state);
          ({ state } = next);
          expect(next.value >= 0 && next.value < 1 && state === state >>> 0).toBe(true);
          counts[Math.floor(next.value * 4)] = (counts[Math.floor(next.value * 4)] ?? 0) + 1;
        }
        for (const count of counts) expect(count).toBeGreaterThan(40);
      }),
    );
  });
});
