/**
 * Writes what runs of the benchmark found into a document, between its marks.
 *
 *     node bench/document/main.ts docs/performance.md FINDINGS.json…
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Findings } from "../figures.ts";
import { withFigures } from "../markdown.ts";

const [document, ...paths] = process.argv.slice(2);
if (document === undefined || paths.length === 0) {
  process.stderr.write("usage: node bench/document/main.ts DOCUMENT FINDINGS.json...\n");
  process.exitCode = 2;
} else {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `bench/main.ts --json` wrote it
  const runs = paths.map((path) => JSON.parse(readFileSync(path, "utf8")) as Findings);
  writeFileSync(document, withFigures(readFileSync(document, "utf8"), runs));
}
