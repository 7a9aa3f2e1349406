import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ok } from "../../proto/result.ts";
import { defaultTopology, parseTopology } from "../model/topology-file.ts";

const EXAMPLES = join(import.meta.dirname, "../examples");

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
});
