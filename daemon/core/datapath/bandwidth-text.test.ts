import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBandwidth, encodeBandwidth } from "./bandwidth-text.ts";

const rate = fc.record({
  bitsPerSecond: fc.integer({ min: 1000, max: 1e15 }),
  burstBytes: fc.integer({ min: 0, max: 1e15 }),
});

describe("encodeBandwidth()", () => {
  it("says nothing of no limit", () => {
    expect([encodeBandwidth(undefined), encodeBandwidth({})]).toEqual([undefined, undefined]);
  });

  it("is read back as it was", () => {
    const limits = fc.record({ ingress: rate, egress: rate }, { requiredKeys: [] });
    fc.assert(
      fc.property(limits, (bandwidth) => {
        const text = encodeBandwidth(bandwidth);
        expect(text === undefined ? {} : decodeBandwidth(text)).toEqual(bandwidth);
      }),
    );
  });
});

describe("decodeBandwidth()", () => {
  it("takes nothing else for limits", () => {
    for (const text of ["", "ingress", "ingress 1", "up 1 1", "ingress -1 0", "ingress 1 1,egress 1 1"])
      expect(decodeBandwidth(text)).toBeUndefined();
  });
});
