/** The layer rules of .dependency-cruiser.mjs bite: each is fed an import that it forbids. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cruise } from "dependency-cruiser";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import rules from "../.dependency-cruiser.mjs";

const ROOT = dirname(import.meta.dirname);
/** Rule -> [importing file, what it imports, file to create for it]. */
const FORBIDDEN: Readonly<Record<string, readonly [string, string, string?]>> = {
  "pure-stays-pure": ["daemon/core/a.ts", "node:fs"],
  "sim-model-is-pure": ["sim/model/a.ts", "../http/b.ts", "sim/http/b.ts"],
  "proto-is-the-bottom": ["proto/a.ts", "../daemon/core/b.ts", "daemon/core/b.ts"],
  "cni-is-thin": ["cni/a.ts", "../daemon/rpc/b.ts", "daemon/rpc/b.ts"],
  "agent-does-not-know-the-simulator": ["daemon/a.ts", "../sim/model/b.ts", "sim/model/b.ts"],
  "simulator-does-not-know-the-agent": ["sim/a.ts", "../daemon/core/b.ts", "daemon/core/b.ts"],
  "edges-do-not-meet": ["daemon/cloud/a.ts", "../store/b.ts", "daemon/store/b.ts"],
  "nobody-imports-main": ["daemon/a.ts", "./main.ts", "daemon/main.ts"],
  "no-tests-in-programs": ["daemon/a.ts", "../test/b.ts", "test/b.ts"],
  "no-cycles": ["daemon/a.ts", "./b.ts", "daemon/b.ts"],
  "declared-only": ["daemon/a.ts", "vite"],
};

let tree = "";
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "terway-layers-"));
  symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
  writeFileSync(join(tree, "package.json"), '{ "type": "module" }');
});
afterEach(() => {
  rmSync(tree, { recursive: true, force: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), text);
}

async function violated(): Promise<string[]> {
  const options = {
    ...rules.options,
    ruleSet: { forbidden: rules.forbidden },
    validate: true,
    baseDir: tree,
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion, typescript/no-unsafe-argument -- the rules are a plain object
  const { output } = await cruise(["."], options as never);
  if (typeof output === "string") throw new Error(output);
  expect(output.summary.totalCruised).toBeGreaterThan(0);
  return output.summary.violations.map(({ rule }) => rule.name);
}

describe(".dependency-cruiser.mjs", () => {
  it("has a forbidden import here for each of its rules", () => {
    expect(Object.keys(FORBIDDEN).sort()).toEqual(rules.forbidden.map(({ name }) => name).sort());
  });

  it("finds each forbidden import", async () => {
    for (const [rule, [from, to, target]] of Object.entries(FORBIDDEN)) {
      write(from, `import { b } from "${to}";\nexport const a = b;\n`);
      const back = rule === "no-cycles" ? `import { a } from "./a.ts";\nexport const c = a;\n` : "";
      if (target !== undefined) write(target, `${back}export const b = 1;\n`);
      expect(await violated(), rule).toContain(rule);
      rmSync(join(tree, from));
      if (target !== undefined) rmSync(join(tree, target));
    }
  });

  it("allows what the architecture allows", async () => {
    write("proto/b.ts", "export const b = 1;\n");
    write("daemon/core/a.ts", 'import { b } from "../../proto/b.ts";\nexport const a = b;\n');
    expect(await violated()).toEqual([]);
  });
});
