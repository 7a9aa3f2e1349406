/**
 * `node test/matrix/main.ts [DATAPATH [STACK]]`: tries these rows of the matrix, prints them; `-o json` as data. Needs root
 * and `make build`.
 *
 * @module
 */
import { ROWS, tryRow } from "./rows.ts";
import { formatMatrix, type Row } from "./table.ts";

const words = process.argv.slice(2);
const isJson = words.join(" ").endsWith("-o json");
const [datapath, stack] = words.filter((word) => word !== "-o" && word !== "json");
const chosen = ROWS.filter(
  (row) =>
    (datapath === undefined || row.datapath === datapath) && (stack === undefined || row.stack === stack),
);
const rows: Row[] = [];
const left: string[] = [];
for (const name of chosen) {
  const tried = await tryRow(name);
  rows.push(tried.row);
  left.push(...tried.left.map((line) => `${name.datapath} ${name.stack} left: ${line}`));
}
process.stdout.write(
  isJson ? `${JSON.stringify({ rows, left })}\n` : `${formatMatrix(rows)}${left.join("\n")}\n`,
);
const hasFailed = rows.some(
  ({ result }) =>
    result.kind === "tried" && Object.values(result.cells).some(({ kind }) => kind === "failed"),
);
if (hasFailed || left.length > 0 || chosen.length === 0) process.exitCode = 1;
