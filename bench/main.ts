/**
 * `make bench`: ours beside peers in the same run, a container runtime with either, the agent's start and memory, and what
 * it asks the cloud.
 *
 *     node bench/main.ts [GROUP or ROW…] [--json FILE] [--quick]
 *
 * Exit status 0 says that everything could be measured, not that the figures are good.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { differences, hostSnapshot } from "../test/harness/snapshot.ts";
import { type Row } from "./figures.ts";
import { thisMachine } from "./machine.ts";
import { type Groups, parseOptions } from "./options.ts";
import { HYBRID_LAB_NAMES } from "./paths/hybrid-nodes.ts";
import { LAB_NAMES } from "./paths/pod-nodes.ts";
import { renderFindings } from "./render.ts";
import { measureAddDatapaths } from "./rows/add-datapaths.ts";
import { measureAgentMemory } from "./rows/agent-memory.ts";
import { measureAgentStart } from "./rows/agent-start.ts";
import { measureChurn } from "./rows/churn.ts";
import { measureColdStart } from "./rows/cold-start.ts";
import { measureEmptyPool } from "./rows/empty-pool.ts";
import { measureExec } from "./rows/exec.ts";
import { measureIdle } from "./rows/idle.ts";
import { measureIpvlan } from "./rows/ipvlan.ts";
import { measureNoIdle } from "./rows/no-idle.ts";
import { measureOneByOne } from "./rows/one-by-one.ts";
import { measurePeers } from "./rows/peers.ts";
import { measurePhases } from "./rows/phases.ts";
import { measurePodPath } from "./rows/pod-path.ts";
import { measureRestart } from "./rows/restart.ts";
import { measureRestartMany } from "./rows/restart-many.ts";
import { measureSandboxRows } from "./rows/sandboxes.ts";
import { measureTogether } from "./rows/together.ts";
import { measureVxlan } from "./rows/vxlan.ts";
import { measureWarmAtOnce } from "./rows/warm-at-once.ts";
import { measureWarmPool } from "./rows/warm-pool.ts";
import { type BenchRun, type Measure } from "./run.ts";

/** Group -> row -> how it is measured; in the order of the tables. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, Measure>>>> = {
  plugin: { exec: measureExec, phases: measurePhases },
  warm: { "warm-pool": measureWarmPool, "warm-at-once": measureWarmAtOnce },
  runtime: { sandboxes: measureSandboxRows },
  agent: { "agent-start": measureAgentStart, "agent-memory": measureAgentMemory },
  datapath: {
    "add-datapaths": measureAddDatapaths,
    "pod-path": measurePodPath,
    ipvlan: measureIpvlan,
    vxlan: measureVxlan,
    peers: measurePeers,
  },
  calls: {
    "cold-start": measureColdStart,
    "empty-pool": measureEmptyPool,
    "no-idle": measureNoIdle,
    "one-by-one": measureOneByOne,
    together: measureTogether,
    churn: measureChurn,
    idle: measureIdle,
    restart: measureRestart,
    "restart-many": measureRestartMany,
  },
};

const MEASURES = new Map(Object.values(GROUPS).flatMap((rows) => Object.entries(rows)));
const NAMES: Groups = Object.fromEntries(
  Object.entries(GROUPS).map(([group, rows]) => [group, Object.keys(rows)]),
);

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv, NAMES);
  if (!options.ok) {
    say(`bench: ${options.fault}`);
    return 2;
  }
  if (process.getuid?.() !== 0) {
    say("The benchmark makes network namespaces: run it as root (sudo make bench).");
    return 1;
  }
  const { quick, json } = options.value;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      say("stopping, and removing what was made…");
      stop.abort();
    });
  }
  const startedAt = new Date().toISOString();
  const loadBefore = loadavg()[0] ?? Number.NaN;
  const before = await hostSnapshot();
  const run = { name: `twb${process.pid}`, quick, signal: stop.signal };
  const { rows, failures } = await measureAll(run, options.value.rows);
  const load = { before: loadBefore, after: loadavg()[0] ?? Number.NaN };
  const findings = { startedAt, quick, machine: thisMachine(), load, rows };
  process.stdout.write(`\n${renderFindings(findings)}\n`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(findings, undefined, 2)}\n`);
  const problems = [
    ...failures,
    ...leftBehind(differences(before, await hostSnapshot()), [run.name, LAB_NAMES, HYBRID_LAB_NAMES]),
  ];
  for (const problem of problems) say(`FAILED  ${problem}`);
  if (stop.signal.aborted) return 130;
  return problems.length === 0 ? 0 : 1;
}

async function measureAll(
  run: Omit<BenchRun, "progress">,
  names: readonly string[],
): Promise<{ readonly rows: readonly Row[]; readonly failures: readonly string[] }> {
  const rows: Row[] = [];
  const failures: string[] = [];
  const startedMs = performance.now();
  for (const name of names) {
    if (run.signal.aborted) break;
    const progress = (text: string): void => {
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
      say(`[${seconds.padStart(4)} s] ${name}: ${text}`);
    };
    progress("begins");
    try {
      rows.push(...((await MEASURES.get(name)?.({ ...run, progress })) ?? []));
    } catch (cause) {
      if (!run.signal.aborted) failures.push(`${name}: ${String(cause)}`);
    }
  }
  return { rows, failures };
}

/** What has a name of ours is ours; other changes of the machine meanwhile are only told. */
function leftBehind(changes: readonly string[], names: readonly string[]): string[] {
  const isOurs = (line: string): boolean => names.some((name) => line.includes(name));
  for (const change of changes.filter((line) => !isOurs(line))) {
    say(`note: changed on this machine meanwhile, not named ${names.join(" or ")}: ${change}`);
  }
  return changes.filter(isOurs).map((line) => `left behind: ${line}`);
}

process.exitCode = await main(process.argv.slice(2));
