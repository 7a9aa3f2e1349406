import { describe, expect, it } from "vitest";
import { growthOf } from "./memory.ts";

const look = (heapUsed: number, rss: number) => ({ heapUsed, external: 1, rss });

describe("growthOf()", () => {
  it("compares the medians of the last and the first third", () => {
    const looks = [look(10, 100), look(90, 100), look(11, 90), look(50, 1), look(50, 1), look(50, 1)];
    expect(growthOf([...looks, look(20, 100), look(21, 80), look(22, 70)])).toEqual({
      heapBytes: 10,
      rssBytes: -20,
    });
  });

  it("wants three looks at least", () => {
    expect(() => growthOf([look(1, 1), look(1, 1)])).toThrow("2 looks at the memory are too few");
  });
});
