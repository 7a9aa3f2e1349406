/**
 * Writes docs/configuration.md and docs/hybrid-configuration.md from the tables of keys. With --check it writes nothing and
 * fails where a file is not what it would write.
 *
 *     node pkg-config/docs.ts [--check]
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { renderReference } from "../daemon/core/config/reference.ts";
import { renderHybridReference } from "../daemon/core/hybrid/reference.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

const DOCUMENTS: Readonly<Record<string, () => string>> = {
  "docs/configuration.md": wantedDocument,
  "docs/hybrid-configuration.md": wantedHybridDocument,
};

/** The document as it should be. */
export function wantedDocument(): string {
  return renderReference(read("daemon/core/config/example/eni-config.yaml.txt"));
}

/** The same of the hybrid network's file. */
export function wantedHybridDocument(): string {
  return renderHybridReference(read("daemon/core/hybrid/example.jsonc.txt"));
}

/** The first line where `current` is not `wanted`, as a sentence; `undefined` where they are the same. */
export function difference(current: string, wanted: string): string | undefined {
  if (current === wanted) return undefined;
  const [have, want] = [current.split("\n"), wanted.split("\n")];
  const at = want.findIndex((line, index) => have[index] !== line);
  const line = at === -1 ? want.length : at;
  return `line ${line + 1} is ${JSON.stringify(have[line] ?? "missing")}, it would be ${JSON.stringify(want[line] ?? "absent")}`;
}

function current(path: string): string {
  try {
    return read(path);
  } catch {
    return "";
  }
}

function main(argv: readonly string[]): number {
  const unknown = argv.filter((argument) => argument !== "--check");
  if (unknown.length > 0) {
    process.stderr.write(`docs: ${unknown.join(" ")}: the only option is --check\n`);
    return 2;
  }
  let status = 0;
  for (const [path, wanted] of Object.entries(DOCUMENTS)) {
    if (!argv.includes("--check")) {
      writeFileSync(new URL(`../${path}`, import.meta.url), wanted());
      continue;
    }
    const found = difference(current(path), wanted());
    if (found === undefined) continue;
    process.stderr.write(`${path} is not up to date: ${found}\nrun: node pkg-config/docs.ts\n`);
    status = 1;
  }
  return status;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
