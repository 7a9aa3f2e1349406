import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { numberOption, parseCommandLine, textOption, unknownWord } from "./options.ts";
import { wantsJson } from "./output.ts";
import { table } from "./table.ts";

const SPEC = { name: "NAME", o: "json", all: true } as const;

function faultOf(...args: readonly string[]): unknown {
  return parseCommandLine(SPEC, args);
}

function jsonOf(values: Readonly<Record<string, string>>): unknown {
  return wantsJson({ values, positionals: [], rest: undefined });
}

describe("parseCommandLine()", () => {
  it("gives options in both forms, positional words, and what stands after --", () => {
    expect(
      parseCommandLine(SPEC, ["a", "--name", "x", "-o", "json", "b", "--all", "--", "--name", "--"]),
    ).toEqual(
      ok({ values: { name: "x", o: "json", all: true }, positionals: ["a", "b"], rest: ["--name", "--"] }),
    );
    expect(parseCommandLine(SPEC, ["--name=-x", "-ojson"])).toEqual(
      ok({ values: { name: "-x", o: "json" }, positionals: [], rest: undefined }),
    );
  });

  it("says in a sentence what is wrong", () => {
    expect(faultOf("--nmae", "x")).toEqual(failed('unknown option "--nmae"; did you mean --name?'));
    expect(faultOf("--zzzzzz")).toEqual(failed('unknown option "--zzzzzz"; known: --name, -o, --all'));
    expect(faultOf("--toString")).toMatchObject({ ok: false });
    expect(faultOf("--name")).toEqual(failed("--name needs a value: --name NAME"));
    expect(faultOf("--name", "--all")).toEqual(failed("--name needs a value: --name NAME"));
    expect(faultOf("--all=yes")).toEqual(failed("--all takes no value"));
  });
});

describe("unknownWord()", () => {
  it("names the nearest, or all where none is near", () => {
    expect(unknownWord("verb", "statsu", ["up", "status"])).toBe(
      'unknown verb "statsu"; did you mean status?',
    );
    expect(unknownWord("node", "x", ["node-1"])).toBe('unknown node "x"; known: node-1');
    expect(unknownWord("node", "x", [])).toBe('unknown node "x"; known: ');
  });
});

describe("numberOption()", () => {
  const seed = { min: 0, max: 10, whole: true };
  const of = (text: string): unknown =>
    numberOption({ values: { seed: text }, positionals: [], rest: undefined }, "seed", seed, 1);

  it("takes a number of the range, or the fallback", () => {
    expect(of("7")).toEqual(ok(7));
    expect(numberOption({ values: {}, positionals: [], rest: undefined }, "seed", seed, 1)).toEqual(ok(1));
  });

  it("refuses the rest", () => {
    for (const text of ["11", "-1", "1.5", "0x1", "1e1", "", "seven"]) {
      expect(of(text), text).toEqual(failed(`--seed ${text}: give a whole number of 0 to 10`));
    }
  });
});

describe("textOption()", () => {
  it("gives the fallback where the option is absent", () => {
    expect(textOption({ values: {}, positionals: [], rest: undefined }, "name", "sim")).toBe("sim");
  });
});

describe("wantsJson()", () => {
  it("knows -o and --output, and refuses other formats", () => {
    expect([jsonOf({}), jsonOf({ o: "json" }), jsonOf({ output: "json" })]).toEqual([
      ok(false),
      ok(true),
      ok(true),
    ]);
    expect(jsonOf({ o: "yaml" })).toEqual(
      failed({ kind: "usage", message: 'unknown output "yaml"; known: json, table' }),
    );
  });
});

describe("table()", () => {
  it("aligns columns and leaves no blanks at the end", () => {
    expect(
      table(
        ["A", "LONG"],
        [
          ["first", "x"],
          ["y", ""],
        ],
      ),
    ).toBe("A      LONG\nfirst  x\ny\n");
  });
});
