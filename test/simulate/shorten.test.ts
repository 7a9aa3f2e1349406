import { describe, expect, it } from "vitest";
import { shorten } from "./shorten.ts";

function needs(...needed: readonly number[]): (kept: readonly number[]) => Promise<boolean> {
  return (kept) => Promise.resolve(needed.every((item) => kept.includes(item)));
}

describe("shorten()", () => {
  it("leaves exactly what the failure needs", async () => {
    const items = Array.from({ length: 100 }, (_, index) => index);
    expect(await shorten(items, needs(3, 50, 97), 1_000)).toEqual([3, 50, 97]);
  });

  it("gives the shortest so far where it may not try on", async () => {
    const items = Array.from({ length: 64 }, (_, index) => index);
    expect(await shorten(items, needs(0), 3)).toEqual(items.slice(0, 32));
  });
});
