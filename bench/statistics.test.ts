import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { percentile, summarise } from "./statistics.ts";

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
