/**
 * Writes docs/configuration.md from the tables of keys. With --check it writes nothing and fails where the file is not
 * what it would write.
 *
 *     node pkg-config/docs.ts [--check]
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { renderReference } from "../daemon/core/config/reference.ts";

const DOCUMENT = new URL("../docs/configuration.md", import.meta.url);
const EXAMPLE = new URL("../daemon/core/config/example/eni-config.yaml.txt", import.meta.url);

/** The document as it should be. */
export function wantedDocument(): string {
  return renderReference(readFileSync(EXAMPLE, "utf8"));
}

/** The first line where `current` is not `wanted`, as a sentence; `undefined` where they are the same. */
export function difference(current: string, wanted: string): string | undefined {
  if (current === wanted) return undefined;
  const [have, want] = [current.split("\n"), wanted.split("\n")];
  const at = want.findIndex((line, index) => have[index] !== line);
  const line = at === -1 ? want.length : at;
  return `line ${line + 1} is ${JSON.stringify(have[line] ?? "missing")}, it would be ${JSON.stringify(want[line] ?? "absent")}`;
}

function currentDocument(): string {
  try {
    return readFileSync(DOCUMENT, "utf8");
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
  const wanted = wantedDocument();
  if (!argv.includes("--check")) {
    writeFileSync(DOCUMENT, wanted);
    return 0;
  }
  const found = difference(currentDocument(), wanted);
  if (found === undefined) return 0;
  process.stderr.write(`docs/configuration.md is not up to date: ${found}\nrun: node pkg-config/docs.ts\n`);
  return 1;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
