import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readJsonObject } from "./json-text.ts";

function refusal(text: string): string | undefined {
  const reading = readJsonObject(text);
  if (reading.ok) return undefined;
  return reading.problems
    .map(({ line, column, message, suggestion }) => `${line}:${column} ${message} -> ${suggestion ?? "-"}`)
    .join("\n");
}

const WRONG: readonly (readonly [text: string, refusal: string])[] = [
  ["", "1:1 the file is empty; a JSON object is wanted -> start with { … }"],
  ["[1]", "1:1 the file holds a list; a JSON object is wanted -> start with { and end with }"],
  ["7", "1:1 the file holds a number; a JSON object is wanted -> start with { and end with }"],
  ['{"a":1,}', "1:7 not JSON: a comma with nothing after it -> remove the comma"],
  ['{\n  "a": [1,\n  ]}', "2:10 not JSON: a comma with nothing after it -> remove the comma"],
  [
    "{'a':1}",
    "1:2 not JSON: a key in double quotes is missing, at `'a'` -> put strings into straight double quotes: \"…\"",
  ],
  ["{a:1}", '1:2 not JSON: a key in double quotes is missing, at `a` -> write "a"'],
  ['{"a":True}', "1:6 not JSON: this is not a JSON value, at `True` -> write true"],
  ['{"a":None}', "1:6 not JSON: this is not a JSON value, at `None` -> write null"],
  [
    '{"a":“x”}',
    '1:6 not JSON: this is not a JSON value, at U+201C -> put strings into straight double quotes: "…"',
  ],
  ['{\u00a0"a":1}', "1:2 not JSON: this is not a JSON value, at U+00A0 -> replace it by a plain blank"],
  [
    "\ufeff{}",
    "1:1 not JSON: this is not a JSON value, at U+FEFF -> save the file without a byte order mark",
  ],
  ['{"a" 1}', "1:6 not JSON: a colon is missing between key and value, at `1` -> -"],
  ['{"a":1\n "b":2}', "2:2 not JSON: a comma is missing -> -"],
  ['{"a":}', "1:6 not JSON: a value is missing, at `}` -> -"],
  ['{"a":01}', "1:7 not JSON: a number begins with 0, at `1` -> -"],
  ['{"a":1', "1:7 not JSON: a closing } is missing at the end of the file -> -"],
  ['{"a":1} x', "1:9 not JSON: there is text after the end of the object, at `x` -> -"],
  ['{"a":"x\n}', '1:6 not JSON: a string is not closed on its line -> close it with "'],
  [
    '{"a":"\\x"}',
    "1:6 not JSON: a backslash is followed by a character that JSON does not know -> write \\\\ for a backslash",
  ],
  ['{"a":"\t"}', "1:6 not JSON: a string holds a control character -> -"],
  ["{\n// x\n}", "2:1 not JSON: comments are not allowed, at `/` -> remove the comment"],
  ["{\n# x\n}", "2:1 not JSON: this is not a JSON value, at `#` -> remove the comment"],
  ["[".repeat(100_000), "1:33 objects and lists are nested more than 32 deep -> -"],
  [" ".repeat(1_048_577), "1:1 the file has 1048577 characters; 1048576 at most are read -> -"],
  ['{"access_secret": abcdef}', "1:19 not JSON: this is not a JSON value, at `******` -> -"],
];

describe("readJsonObject()", () => {
  it("says where a text is no JSON object, and how to mend it", () => {
    for (const [text, wanted] of WRONG) expect(refusal(text), text.slice(0, 40)).toBe(wanted);
  });

  it("finds each part by its path", () => {
    const reading = readJsonObject('{"a": {"b": [10, 20]}}');
    if (!reading.ok) throw new Error("is JSON");
    const { document } = reading;
    expect(document.valueSpan(["a", "b", 1])).toMatchObject({ offset: 17, length: 2 });
    expect(document.keySpan(["a", "b"])).toMatchObject({ offset: 7, length: 3 });
    expect(document.valueSpan(["a", "x", "y"])).toMatchObject({ offset: 6, length: 15 });
    expect(document.valueSpan(["x"])).toEqual({ offset: 0, length: 1 });
  });

  it("notes keys that stand twice and fields that were not filled, in keys too", () => {
    const reading = readJsonObject('{"a": 1, "a": {{ .X }}, "l": ["{{y}}"], "{{.Z}}": 0}');
    if (!reading.ok) throw new Error("is JSON once the fields are filled");
    expect(reading.document.repeated.map(({ path }) => path)).toEqual([["a"]]);
    expect(reading.document.placeholders.map(({ path, field, span }) => [path, field, span])).toEqual([
      [["a"], "{{ .X }}", { offset: 14, length: 8 }],
      [["l", 0], "{{y}}", { offset: 31, length: 5 }],
      [["{{.Z}}"], "{{.Z}}", { offset: 41, length: 6 }],
    ]);
  });

  it("keeps a key named __proto__ as a key", () => {
    const reading = readJsonObject('{"__proto__": {"x": 1}}');
    expect(reading.ok && Object.keys(reading.document.value)).toEqual(["__proto__"]);
  });

  it("accepts exactly the objects that JSON.parse accepts, with the same value", () => {
    const text = fc
      .tuple(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }),
        fc.nat(),
        fc.constantFrom(
          "",
          ",",
          "}",
          "[",
          '"',
          "0",
          "-",
          "\\",
          "\n",
          "\t",
          "\u00a0",
          "\u2028",
          "e",
          "//",
          "'",
        ),
        fc.nat(2),
      )
      .map(([value, at, inserted, removed]) => {
        const whole = JSON.stringify(value);
        const cut = at % (whole.length + 1);
        return whole.slice(0, cut) + inserted + whole.slice(cut + removed);
      });
    fc.assert(
      fc.property(text, (given) => {
        const reading = readJsonObject(given);
        expect(reading.ok ? reading.document.value : undefined).toEqual(objectOf(given));
      }),
      { numRuns: 3000 },
    );
  });
});

function objectOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
