/** What files and manual show to people is right. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ok } from "../../proto/result.ts";
import { defaultTopology, parseTopology } from "../model/topology-file.ts";
import { DUAL_STACK_TOPOLOGY_FILE } from "../model/topology-default.ts";
import { orderOf } from "./fault.ts";

const EXAMPLES = join(import.meta.dirname, "../examples");
const README = readFileSync(join(import.meta.dirname, "../README.md"), "utf8");

describe("sim/examples", () => {
  it("are correct topology files", () => {
    for (const file of readdirSync(EXAMPLES)) {
      expect(parseTopology(readFileSync(join(EXAMPLES, file), "utf8")), file).toMatchObject({ ok: true });
    }
  });

  it("explain the built-in topology as it is", () => {
    expect(parseTopology(readFileSync(join(EXAMPLES, "two-zones.jsonc"), "utf8"))).toEqual(
      ok(defaultTopology()),
    );
  });

  it("explain the built-in topology with IPv6 as it is", () => {
    expect(parseTopology(readFileSync(join(EXAMPLES, "dual-stack.jsonc"), "utf8"))).toEqual(
      parseTopology(JSON.stringify(DUAL_STACK_TOPOLOGY_FILE)),
    );
  });
});

describe("sim/README.md", () => {
  it("shows a correct topology", () => {
    const [, topology = ""] = /```jsonc\n([^`]+)```/.exec(README) ?? [];
    expect(parseTopology(topology)).toMatchObject({ ok: true });
  });

  it("shows faults that there are", () => {
    const orders = [...README.matchAll(/^ {4}terway-sim fault add (\S+(?: \S+)*)/gm)].map(
      ([, words = ""]) => words,
    );
    expect(orders).toHaveLength(5);
    for (const words of orders) expect(orderOf(words.split(" "), []), words).toMatchObject({ ok: true });
  });
});
