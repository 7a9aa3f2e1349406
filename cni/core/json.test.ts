import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nodeUtf8 } from "../node-host.ts";
import { parseJson as parseBytes } from "./json.ts";

function parseJson(text: string): ReturnType<typeof parseBytes> {
  return parseBytes(nodeUtf8.encode(text), nodeUtf8);
}

function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

describe("parseJson()", () => {
  it("finds the place and the reason", () => {
    const table: readonly (readonly [string, number, number, string])[] = [
      ["", 1, 1, "expected a value, found the end of the text"],
      ["\ufeff{}", 1, 1, "expected a value, found a byte order mark"],
      ["{", 1, 2, "expected a key in double quotes, found the end of the text"],
      ["{}\n}", 2, 1, '"}" after the end'],
      ['{"a":1,}', 1, 7, "a comma before '}'"],
      ["[1,\n 2,\n]", 2, 3, "a comma before ']'"],
      ['{"a" 1}', 1, 6, "expected ':' after the key, found \"1\""],
      ["{a:1}", 1, 2, 'expected a key in double quotes, found "a"'],
      ["{'a':1}", 1, 2, 'expected a key in double quotes, found "\'"'],
      ['{"a":1 "b":2}', 1, 8, "expected ',' or '}', found \"\\\"\""],
      ["[1 2]", 1, 4, "expected ',' or ']', found \"2\""],
      ['{"a":[1}', 1, 8, "expected ',' or ']', found \"}\""],
      [
        '{\n  // no\n  "a":1}',
        2,
        3,
        "expected a key in double quotes, found a comment, which JSON does not have",
      ],
      ['{"a":"b\nc"}', 1, 8, "a line break or control character inside a string"],
      ['{"a":"b', 1, 6, "a string that is not closed"],
      ['["\\x"]', 1, 3, "a backslash that is no JSON escape"],
      ['["\\u12g4"]', 1, 3, "a backslash that is no JSON escape"],
      ['{"ü😀":tru}', 1, 7, 'expected a value, found "t"'],
      ["[01]", 1, 2, "a number that is not written as JSON has it"],
      ["[1.]", 1, 2, "a number that is not written as JSON has it"],
      ["[-]", 1, 2, "a number that is not written as JSON has it"],
      ["[1e+]", 1, 2, "a number that is not written as JSON has it"],
      ["[undefined]", 1, 2, 'expected a value, found "u"'],
      ['{"a":}', 1, 6, 'expected a value, found "}"'],
      ["[,1]", 1, 2, 'expected a value, found ","'],
    ];
    for (const [text, line, column, reason] of table) {
      const parsed = parseJson(text);
      expect(parsed, text).toEqual({ ok: false, fault: { line, column, reason } });
    }
  });

  it("gives the value of what is JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, undefined, 2);
        expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text) });
      }),
    );
  });

  it("finds a place in every text that is not JSON", () => {
    const noise = fc.constantFrom(
      "",
      ",",
      '"',
      "{",
      "}",
      "[",
      "]",
      ":",
      "0",
      "-",
      "e",
      ".",
      "\\",
      "\n",
      "nul",
      "/*",
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.nat(3), noise, (json, at, removed, inserted) => {
        const start = at % (json.length + 1);
        const text = json.slice(0, start) + inserted + json.slice(start + removed);
        const parsed = parseJson(text);
        if (parsed.ok) return;
        expect(parsed.fault.reason).not.toContain("nested");
        const lines = text.split("\n");
        expect(parsed.fault.line).toBeLessThanOrEqual(lines.length);
        expect(parsed.fault.column).toBeLessThanOrEqual((lines[parsed.fault.line - 1]?.length ?? 0) + 1);
      }),
      { numRuns: 2000 },
    );
  });

  it("takes 128 objects and lists inside each other, and no more", () => {
    expect(parseJson(nested(128)).ok).toBe(true);
    const fault = { line: 1, column: 129, reason: "nested more than 128 deep" };
    for (const text of [nested(129), nested(1_000_000), `${"[".repeat(500_000)}x`, '{"a":'.repeat(129)]) {
      const column = text.startsWith("{") ? 128 * 5 + 1 : 129;
      expect(parseJson(text)).toEqual({ ok: false, fault: { ...fault, column } });
    }
  });

  it("does not count brackets in texts, nor those that are closed", () => {
    const text = JSON.stringify({
      a: "[{".repeat(1_000),
      b: '\\"[',
      c: Array.from({ length: 1_000 }, () => [{}]),
    });
    expect(parseJson(text)).toEqual({ ok: true, value: JSON.parse(text) });
  });

  it("tells of an earlier mistake rather than of the depth", () => {
    expect(parseJson(`{"a" ${"[".repeat(1_000)}`)).toMatchObject({ fault: { line: 1, column: 6 } });
  });

  it("finds the byte that is not UTF-8", () => {
    for (const [bytes, line, column] of [
      [[0xff], 1, 1],
      [[0x7b, 0x0a, 0x22, 0xc3, 0xbc, 0xc3, 0x22], 2, 3],
      [[0x22, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0x80], 1, 3],
      [[0x22, 0xe2, 0x82], 1, 2],
    ] as const) {
      const reason = "a byte that is not UTF-8";
      expect(parseBytes(Uint8Array.from(bytes), nodeUtf8)).toEqual({
        ok: false,
        fault: { line, column, reason },
      });
    }
  });

  it("takes a replacement character that was written as one", () => {
    expect(parseJson('"\ufffd"')).toEqual({ ok: true, value: "\ufffd" });
  });
});
