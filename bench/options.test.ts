import { describe, expect, it } from "vitest";
import { failed, ok } from "../proto/result.ts";
import { parseOptions } from "./options.ts";

const GROUPS = { warm: ["one", "many"], agent: ["start"] };

describe("parseOptions()", () => {
  it("runs everything where nothing is named", () => {
    expect(parseOptions([], GROUPS)).toEqual(ok({ rows: ["one", "many", "start"], quick: false }));
  });

  it("takes groups and rows, each row once, in the order of the table", () => {
    expect(parseOptions(["start", "many", "warm", "--quick", "--json", "out.json"], GROUPS)).toEqual(
      ok({ rows: ["one", "many", "start"], quick: true, json: "out.json" }),
    );
  });

  it("names what it does not know, and what there is", () => {
    expect(parseOptions(["one", "cold"], GROUPS)).toEqual(
      failed("no row cold; groups are warm, agent, rows one, many, start"),
    );
    expect(parseOptions(["--fast"], GROUPS).ok).toBe(false);
  });
});
