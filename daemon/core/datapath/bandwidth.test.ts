import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketText, isSameBucket, tokenBucket } from "./bandwidth.ts";

describe("tokenBucket()", () => {
  it("has the burst of 10 ms where none is asked for, and a queue of 25 ms and a large packet", () => {
    expect(tokenBucket({ bitsPerSecond: 100_000_000, burstBytes: 0 }, 1500)).toEqual({
      bytesPerSecond: 12_500_000,
      burstBytes: 125_000,
      limitBytes: 392_500,
      bufferTicks: 156_250,
    });
  });

  it("has room for two packets and a queue for ten, however low the rate", () => {
    expect(tokenBucket({ bitsPerSecond: 1000, burstBytes: 1 }, 1500)).toEqual({
      bytesPerSecond: 125,
      burstBytes: 3028,
      limitBytes: 15_140,
      bufferTicks: 378_500_000,
    });
  });

  it("keeps the burst that was asked for, and the queue short all the same", () => {
    expect(tokenBucket({ bitsPerSecond: 10_000_000, burstBytes: 12_500_000 }, 1500)).toEqual({
      bytesPerSecond: 1_250_000,
      burstBytes: 12_500_000,
      limitBytes: 111_250,
      bufferTicks: 156_250_000,
    });
  });

  it("gives numbers that the kernel can hold, for every limit that can be asked for", () => {
    const rate = fc.record({
      bitsPerSecond: fc.integer({ min: 1000, max: 1e15 }),
      burstBytes: fc.integer({ min: 0, max: 1e15 }),
    });
    fc.assert(
      fc.property(rate, fc.integer({ min: 576, max: 9000 }), (asked, mtu) => {
        const { bytesPerSecond, burstBytes, limitBytes, bufferTicks } = tokenBucket(asked, mtu);
        for (const value of [burstBytes, limitBytes, bufferTicks]) {
          expect(Number.isInteger(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThan(2 ** 32);
        }
        // What the kernel does not cut fits the queue.
        expect(limitBytes).toBeGreaterThanOrEqual(Math.min(burstBytes, 65_536));
        // The largest packet fits.
        expect(burstBytes).toBeGreaterThanOrEqual(mtu + 14);
        expect(bytesPerSecond).toBe(Math.floor(asked.bitsPerSecond / 8));
      }),
    );
  });
});

describe("isSameBucket()", () => {
  const wanted = tokenBucket({ bitsPerSecond: 10_000_000, burstBytes: 12_500_000 }, 1500);

  it("minds the rate, the queue and the burst", () => {
    expect(isSameBucket(wanted, wanted)).toBe(true);
    expect(isSameBucket(wanted, { ...wanted, bytesPerSecond: 1_250_001 })).toBe(false);
    expect(isSameBucket(wanted, { ...wanted, limitBytes: 1 })).toBe(false);
    expect(isSameBucket(wanted, { ...wanted, bufferTicks: wanted.bufferTicks * 2 })).toBe(false);
  });

  it("does not mind the last digit of the kernel's own arithmetic", () => {
    expect(isSameBucket(wanted, { ...wanted, bufferTicks: wanted.bufferTicks - 1 })).toBe(true);
    expect(isSameBucket(wanted, { ...wanted, bufferTicks: wanted.bufferTicks - 3 })).toBe(false);
  });
});

describe("bucketText()", () => {
  it("reads like tc(8)", () => {
    expect(bucketText(tokenBucket({ bitsPerSecond: 10_000_000, burstBytes: 0 }, 1400))).toBe(
      "rate 10000000bit burst 12500b limit 43750b",
    );
  });
});
