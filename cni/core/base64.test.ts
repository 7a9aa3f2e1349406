import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBase64 } from "./base64.ts";

describe("decodeBase64()", () => {
  it("reads what others write, with padding and without", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        expect(decodeBase64(text)).toEqual(bytes);
        expect(decodeBase64(text.replaceAll("=", ""))).toEqual(bytes);
      }),
    );
  });

  it("refuses everything else", () => {
    for (const text of ["A", "AA=", "AAA==", "A===", "====", "=", "AA A", "AA-_", "AAAA=", "AAAAA"]) {
      expect(decodeBase64(text), text).toBeUndefined();
    }
  });
});
