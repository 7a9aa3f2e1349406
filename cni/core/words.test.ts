import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { oneLine, quote, shorten, shortName } from "./words.ts";

describe("quote()", () => {
  it("repeats what is short, and of a long text the beginning", () => {
    expect(quote('a "b"\n')).toBe('"a \\"b\\"\\n"');
    expect(quote("x".repeat(200))).toBe(`"${"x".repeat(200)}"`);
    expect(quote("x".repeat(1_000_000))).toBe(`"${"x".repeat(200)}"… (1000000 characters)`);
  });

  it("does not cut a character in two", () => {
    expect(quote(`${"x".repeat(199)}😀😀`)).toBe(`"${"x".repeat(199)}"… (203 characters)`);
  });
});

describe("shortName() and shorten()", () => {
  it("bound any text and leave a short one alone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 6_000 }), (text) => {
        expect(shortName(text).length).toBeLessThan(240);
        expect(shorten(text).length).toBeLessThanOrEqual(4_001);
        if (text.length <= 200) expect([shortName(text), shorten(text)]).toEqual([text, text]);
      }),
    );
    expect(shorten("y".repeat(4_001))).toBe(`${"y".repeat(4_000)}…`);
  });
});

describe("oneLine()", () => {
  it("leaves no control character and nothing else out", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(oneLine(text)).toBe(text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, " "));
      }),
    );
    expect(oneLine("a\r\nb\u2028c\u0085d\u001b[31m")).toBe("a  b c d [31m");
  });
});
