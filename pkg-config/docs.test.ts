import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ENI_KEYS } from "../daemon/core/config/eni-keys.ts";
import { key } from "../daemon/core/config/key-table.ts";
import { count } from "../daemon/core/config/kinds.ts";
import { renderReference } from "../daemon/core/config/reference.ts";
import { TERWAY_KEYS } from "../daemon/core/config/terway-keys.ts";
import { NETWORK_KEYS, NODE_KEYS, TOP_KEYS, VXLAN_KEYS } from "../daemon/core/hybrid/keys.ts";
import { difference, wantedDocument, wantedHybridDocument } from "./docs.ts";

const current = readFileSync(new URL("../docs/configuration.md", import.meta.url), "utf8");
const example = readFileSync(
  new URL("../daemon/core/config/example/eni-config.yaml.txt", import.meta.url),
  "utf8",
);
const program = fileURLToPath(new URL("docs.ts", import.meta.url));

describe("docs/configuration.md", () => {
  it("is what the tables of keys give", () => {
    expect(difference(current, wantedDocument())).toBeUndefined();
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--check"], {
      encoding: "utf8",
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it("has each key once as a row, and each section", () => {
    for (const table of [ENI_KEYS, TERWAY_KEYS]) {
      for (const name of [...Object.keys(table.schema.shape), ...Object.keys(table.unsupported)]) {
        expect(
          current.split("\n").filter((line) => line.startsWith(`| \`${name}\``)),
          name,
        ).toHaveLength(1);
      }
    }
    expect(current.match(/^## .*$/gm)).toEqual([
      "## Example",
      "## eni_conf",
      "## 10-terway.conf",
      "## Credentials",
    ]);
  });
});

describe("docs/hybrid-configuration.md", () => {
  const hybrid = readFileSync(new URL("../docs/hybrid-configuration.md", import.meta.url), "utf8");

  it("is what the tables of keys give, with each key as a row", () => {
    expect(difference(hybrid, wantedHybridDocument())).toBeUndefined();
    for (const table of [TOP_KEYS, NETWORK_KEYS, VXLAN_KEYS, NODE_KEYS])
      for (const name of Object.keys(table.schema.shape)) expect(hybrid).toContain(`\n| \`${name}\` |`);
  });
});

describe("difference()", () => {
  it("finds a range, a default and a key that changed in the table", () => {
    const changed = (field: z.ZodType) =>
      difference(
        current,
        renderReference(example, [
          { ...ENI_KEYS, schema: z.object({ ...ENI_KEYS.schema.shape, max_eni: field }) },
          TERWAY_KEYS,
        ]),
      );
    const words = {
      meaning: "Most ENIs for pods on a node, beside the primary one. 0: what the instance type allows.",
      unit: "ENIs",
    };
    expect(changed(key(count(0, 64).default(0), words))).toBeUndefined();
    expect(changed(key(count(0, 65).default(0), words))).toMatch(/max_eni.*0 to 64.*max_eni.*0 to 65/);
    expect(changed(key(count(0, 64).default(1), words))).toMatch(/max_eni.*`0`.*max_eni.*`1`/);
    expect(difference(current, `${current}more\n`)).toMatch(/it would be "more"/);
    expect(difference(`${current}more\n`, current)).toMatch(/is "more"/);
  });
});

describe("docs.ts", () => {
  it("refuses an option that it does not know and writes nothing", () => {
    const { status, stderr } = spawnSync(process.execPath, [program, "--chek"], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 2, stderr: "docs: --chek: the only option is --check\n" });
    expect(readFileSync(new URL("../docs/configuration.md", import.meta.url), "utf8")).toBe(current);
  });
});
