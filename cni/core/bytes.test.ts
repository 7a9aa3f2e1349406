import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, findBadUtf8 } from "./bytes.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

function isUtf8(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe("findBadUtf8()", () => {
  it("agrees with the platform, and names the end of the longest good beginning", () => {
    const noise = fc.uint8Array({ maxLength: 8 });
    const text = fc.string({ unit: "binary", maxLength: 8 }).map((given) => new TextEncoder().encode(given));
    fc.assert(
      fc.property(fc.array(fc.oneof(text, noise), { maxLength: 4 }), (parts) => {
        const bytes = concatBytes(parts);
        const at = findBadUtf8(bytes);
        expect(at === undefined).toBe(isUtf8(bytes));
        if (at === undefined) return;
        expect(isUtf8(bytes.subarray(0, at))).toBe(true);
        // No more bytes make a good text of it.
        for (let end = at + 1; end <= bytes.length; end += 1)
          expect(isUtf8(bytes.subarray(0, end))).toBe(false);
      }),
      { numRuns: 3_000 },
    );
  });

  it("knows the borders of RFC 3629", () => {
    for (const [bytes, at] of [
      [[0xc1, 0x80], 0],
      [[0xc2, 0x80], undefined],
      [[0xe0, 0x9f, 0xbf], 0],
      [[0xe0, 0xa0, 0x80], undefined],
      [[0xed, 0x9f, 0xbf], undefined],
      [[0xed, 0xa0, 0x80], 0],
      [[0xf0, 0x8f, 0xbf, 0xbf], 0],
      [[0xf0, 0x90, 0x80, 0x80], undefined],
      [[0xf4, 0x8f, 0xbf, 0xbf], undefined],
      [[0xf4, 0x90, 0x80, 0x80], 0],
      [[0xf5, 0x80, 0x80, 0x80], 0],
      [[0x61, 0x80], 1],
    ] as const) {
      expect(findBadUtf8(Uint8Array.from(bytes)), bytes.join()).toBe(at);
    }
  });
});
