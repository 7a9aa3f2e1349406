/**
 * What the agent itself costs: ADD and DEL over its socket as the plugin calls it (one HTTP/2 connection for each call),
 * without the exec of a plugin, with real network namespaces.
 *
 *     node bench/agent-cost/main.ts [--pairs 2000] [--lanes 8] [--steps 4] [--starts 5]
 *
 * Prints, after each step, the memory of the agent, CPU time of all its threads for each call, and latencies; in the end the
 * same of single calls after a pause.
 *
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Container } from "../contender.ts";
import { type Lab, withLab } from "../lab.ts";
import { memoryParts } from "../memory.ts";
import { CONTAINERS_PER_LANE, runPairs } from "../pairs.ts";
import { percentile } from "../statistics.ts";

/** An idle agent gives memory back after five seconds. */
const PAUSE_MS = 10_000;

/** CPU time of the process's threads by their names, in milliseconds (proc(5), /proc/PID/task/TID/schedstat). */
async function threadCpuMs(pid: number): Promise<ReadonlyMap<string, number>> {
  const byName = new Map<string, number>();
  for (const tid of await readdir(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${tid}`;
    const [name, stat] = await Promise.all([
      readFile(`${path}/comm`, "utf8"),
      readFile(`${path}/schedstat`, "utf8"),
    ]);
    const key = tid === String(pid) ? "main" : name.trim();
    byName.set(key, (byName.get(key) ?? 0) + Number(stat.split(" ")[0]) / 1e6);
  }
  return byName;
}

async function memoryText(pid: number): Promise<string> {
  const parts = memoryParts(await readFile(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Object.entries(parts)
    .map(([name, megabytes]) => `${name} ${megabytes.toFixed(1)}`)
    .join(" ");
}

async function measurePairs(
  lab: Lab,
  pairs: number,
  lanes: number,
  containers: readonly Container[],
): Promise<string> {
  const pid = lab.agentPid();
  const before = await threadCpuMs(pid);
  const took = await runPairs(lab, pairs, lanes, containers);
  const after = await threadCpuMs(pid);
  const cpu = [...after].map(([name, ms]) => [name, (ms - (before.get(name) ?? 0)) / pairs] as const);
  const all = cpu.reduce((sum, [, ms]) => sum + ms, 0);
  const named = cpu.filter(([, ms]) => ms >= 0.01).map(([name, ms]) => `${name} ${ms.toFixed(2)}`);
  const latency = (verb: "ADD" | "DEL"): string =>
    `${verb} p50 ${percentile(took[verb], 0.5).toFixed(2)} p99 ${percentile(took[verb], 0.99).toFixed(2)}`;
  return `${pairs} pairs in ${(took.wallMs / 1000).toFixed(1)} s; CPU ms/pair ${all.toFixed(2)} (${named.join(", ")}); ms ${latency("ADD")}, ${latency("DEL")}`;
}

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      pairs: { type: "string", default: "2000" },
      lanes: { type: "string", default: "8" },
      steps: { type: "string", default: "4" },
      starts: { type: "string", default: "5" },
    },
  });
  const [pairs, lanes, steps, starts] = [values.pairs, values.lanes, values.steps, values.starts].map(Number);
  if (pairs === undefined || lanes === undefined || steps === undefined || starts === undefined)
    throw new Error("four options give four numbers");
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  const run = { name: `twc${process.pid}`, quick: false, signal: stop.signal, progress: () => undefined };
  const pool = { idleMin: lanes + 4, idleMax: lanes + 8, cooldown: "0s" };
  await withLab(run, pool, async (lab) => {
    await measureStarts(lab, starts);
    await lab.settled();
    const containers = await lab.containers(lanes * CONTAINERS_PER_LANE);
    const pid = lab.agentPid();
    say(`idle: MB ${await memoryText(pid)}`);
    for (let step = 1; step <= steps; step++) {
      say(await measurePairs(lab, Math.round(pairs / steps), lanes, containers));
      say(`  after ${Math.round((step * pairs) / steps)}: MB ${await memoryText(pid)}`);
    }
    for (const pauseMs of [500, PAUSE_MS]) {
      await sleep(pauseMs, undefined, { signal: stop.signal });
      say(`after a pause of ${pauseMs / 1000} s: MB ${await memoryText(pid)}`);
      say(`  the first calls: ${await measurePairs(lab, 1, 1, containers)}`);
      say(`  the second ones: ${await measurePairs(lab, 1, 1, containers)}`);
    }
  });
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function measureStarts(lab: Lab, starts: number): Promise<void> {
  const times = { cold: [] as number[], again: [] as number[] };
  for (let round = 0; round < starts; round++) {
    await lab.emptyStore();
    times.cold.push(await lab.start());
    await lab.settled();
    await lab.stop();
    for (let again = 0; again < 3; again++) {
      times.again.push(await lab.start());
      await lab.stop();
    }
  }
  await lab.start();
  for (const [name, samples] of Object.entries(times)) {
    if (samples.length > 0)
      say(
        `start, ${name}: ms p50 ${percentile(samples, 0.5).toFixed(0)} min ${percentile(samples, 0).toFixed(0)} n ${samples.length}`,
      );
  }
}

await main(process.argv.slice(2));
