import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pairedRatio, percentile, summarise } from "./statistics.ts";

describe("percentile()", () => {
  it("is the nearest rank", () => {
    expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2);
    expect(percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9)).toBe(9);
    expect(percentile([7], 0.9)).toBe(7);
    expect(() => percentile([], 0.5)).toThrow("no samples");
  });

  it("is one of the samples, and grows with the share", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (samples) => {
        const { p50, p90, min } = summarise(samples);
        expect(samples).toContain(p50);
        expect(samples).toContain(p90);
        expect(min <= p50 && p50 <= p90).toBe(true);
      }),
    );
  });
});

describe("pairedRatio()", () => {
  it("is the median of the ratios of samples that were taken together", () => {
    // Medians alone would say 10 / 10; in every moment ours was half of theirs.
    expect(pairedRatio([5, 10, 20], [10, 20, 40])).toBe(0.5);
    expect(pairedRatio([1, 9, 4], [2, 3, 4])).toBe(1);
  });

  it("says nothing where there is nothing, or theirs is 0", () => {
    expect(pairedRatio([], [])).toBeUndefined();
    expect(pairedRatio([1, 2], [1, 0])).toBeUndefined();
    expect(() => pairedRatio([1], [1, 2])).toThrow("cannot be paired");
  });
});
