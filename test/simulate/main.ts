/**
 * `npm run simulate -- --seed N --operations M`: random histories of a node, until a promise is broken or M operations were
 * played, on all processors. A failing history is printed shortened, a line for each operation, and kept as a file for `--replay FILE`.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { campaign, type Finding, HISTORY_LENGTH, type Totals } from "./campaign.ts";
import { openThread, playAll } from "./crew.ts";
import { KNOWN_GAPS } from "./gaps.ts";
import { formatOperation, type History } from "./operations.ts";
import { play } from "./simulation.ts";

const PROGRESS_MS = 5000;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: "1" },
      operations: { type: "string", default: "100000" },
      threads: { type: "string", default: String(availableParallelism()) },
      replay: { type: "string" },
    },
  });
  if (values.replay !== undefined) return replay(values.replay);
  const [seed, operations, threads] = [
    Number(values.seed),
    Number(values.operations),
    Number(values.threads),
  ];
  if (![seed, operations, threads].every(Number.isSafeInteger) || operations < 1 || threads < 1) {
    say("--seed, --operations and --threads are whole numbers, such as --seed 1 --operations 100000");
    return 2;
  }
  for (const { name, lacks } of KNOWN_GAPS) say(`off, known gap: ${name} (${lacks})`);
  const startedMs = performance.now();
  let saidMs = startedMs;
  let totals: Totals = { histories: 0, operations: 0, events: 0, virtualMs: 0 };
  const line = (): string => {
    const seconds = (performance.now() - startedMs) / 1000;
    const days = (totals.virtualMs / 86_400_000).toFixed(1);
    return `${totals.operations} operations, ${totals.events} events, ${days} days of virtual time in ${seconds.toFixed(0)} s: ${Math.round(totals.operations / seconds)} operations/s`;
  };
  await using stack = new AsyncDisposableStack();
  const players = Array.from({ length: threads }, () => stack.use(openThread()).play);
  const { failed } = await playAll(seed, operations, players, (now) => {
    totals = now;
    if (performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    say(line());
  });
  const last = failed ?? seed + totals.histories - 1;
  say(`${line()}; seeds ${seed} to ${last}, ${HISTORY_LENGTH} operations each`);
  if (failed === undefined) {
    say("no broken promise");
    return 0;
  }
  const left = operations - (failed - seed) * HISTORY_LENGTH;
  const finding = await campaign({ seed: failed, operations: Math.min(HISTORY_LENGTH, left) });
  if (finding === undefined)
    say(`seed ${failed} broke a promise in a thread, and none when it was played again`);
  else report(finding);
  return 1;
}

function report({ history, offence }: Finding): void {
  const file = join(tmpdir(), `simulate-${history.seed}.json`);
  writeFileSync(file, `${JSON.stringify(history)}\n`);
  say(`seed ${history.seed}, after ${Math.round(offence.atMs)} ms: ${offence.text}`);
  say(JSON.stringify(history.setting));
  for (const operation of history.operations) say(formatOperation(operation));
  say(`again: npm run simulate -- --replay ${file}`);
  say(`the whole history: npm run simulate -- --seed ${history.seed} --operations ${HISTORY_LENGTH}`);
}

async function replay(file: string): Promise<number> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `report`
  const history = JSON.parse(readFileSync(file, "utf8")) as History;
  const { offences } = await play(history);
  for (const operation of history.operations) say(formatOperation(operation));
  for (const { atMs, text } of offences) say(`after ${Math.round(atMs)} ms: ${text}`);
  return offences.length === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main(process.argv.slice(2));
