/**
 * `node test/matrix/main.ts [DATAPATH [STACK]] [-o json]`: tries these rows of the matrix and prints them. Needs root and
 * `make build`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { ROWS, tryRow } from "./rows.ts";
import { formatMatrix, type Row } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { output: { type: "string", short: "o" } },
});
const [datapath, stack] = positionals;
const chosen = ROWS.filter(
  (row) =>
    (datapath === undefined || row.datapath === datapath) && (stack === undefined || row.stack === stack),
);
const rows: Row[] = [];
const left: string[] = [];
for (const name of chosen) {
  const tried = await tryRow(name);
  rows.push(tried.row);
  left.push(...tried.left);
}
const text = [formatMatrix(rows), ...left.map((line) => `left: ${line}\n`)].join("");
process.stdout.write(values.output === "json" ? `${JSON.stringify({ rows, left })}\n` : text);
const hasFailed = rows.some(
  ({ result }) =>
    result.kind === "tried" && Object.values(result.cells).some(({ kind }) => kind === "failed"),
);
if (hasFailed || left.length > 0 || chosen.length === 0) process.exitCode = 1;
