import { describe, expect, it } from "vitest";
import { campaign } from "./campaign.ts";
import { KNOWN_GAPS } from "./gaps.ts";
import { drawHistory } from "./operations.ts";
import { play } from "./simulation.ts";

describe("play()", () => {
  it("does the same for the same history", async () => {
    for (const seed of [11, 12, 13]) {
      const history = drawHistory(seed, 120, KNOWN_GAPS);
      const [first, second] = [await play(history), await play(history)];
      expect(second).toEqual(first);
      expect(first.events).toBeGreaterThan(300);
    }
  });
});

describe("campaign()", () => {
  it("finds no broken promise of the agent as it is", async () => {
    expect(await campaign({ seed: 1, operations: 3_000 })).toBeUndefined();
  }, 120_000);
});
