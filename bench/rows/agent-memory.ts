/**
 * Memory of the agent: idle with a filled pool, and after many ADDs and DELs, in steps.
 *
 * @module
 */
import { readFile, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure } from "../figures.ts";
import { withLab } from "../lab.ts";
import { type Memory, parseRollup } from "../memory.ts";
import { CONTAINERS_PER_LANE, runPairs } from "../pairs.ts";
import { type Measure } from "../run.ts";
import { LARGE_NODE } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

/** So many containers are added and deleted at the same time. */
const LANES = 8;
const STEPS = 4;
/** An idle agent gives memory back after five seconds. */
const PAUSE_MS = 10_000;
const WARM = { idleMin: LANES + 4, idleMax: LANES + 8, cooldown: "0s" };

/** RSS and PSS of the agent's process before, and after each quarter of 20,000 ADD and DEL (1,000 in a quick run). */
export const measureAgentMemory: Measure = (run) =>
  withLab(
    run,
    WARM,
    async (lab) => {
      const pairs = run.quick ? 1000 : 20_000;
      await lab.start();
      const containers = await lab.containers(LANES * CONTAINERS_PER_LANE);
      await lab.settled();
      const pid = lab.agentPid();
      const idle = await memoryOf(pid);
      const after: Memory[] = [];
      for (let step = 1; step <= STEPS; step++) {
        run.progress(`ADD and DEL ${((step - 1) * pairs) / STEPS} of ${pairs}`);
        await runPairs(lab, pairs / STEPS, LANES, containers);
        after.push(await memoryOf(pid));
      }
      run.progress(`nothing for ${PAUSE_MS / 1000} s`);
      await sleep(PAUSE_MS, undefined, { signal: run.signal });
      const later = await memoryOf(pid);
      return [
        ...rows("agent, idle", idle, { upstream: UPSTREAM.start.rssMb }),
        ...after.flatMap((memory, step) => {
          const target = step === STEPS - 1 ? { target: TARGET.agentRssMb } : {};
          return rows(`agent, after ${((step + 1) * pairs) / STEPS} ADD and DEL`, memory, target);
        }),
        growth(after),
        ...rows(`agent, ${PAUSE_MS / 1000} s later, idle`, later, {}),
      ];
    },
    LARGE_NODE,
  );

async function memoryOf(pid: number): Promise<Memory> {
  const executable = await readlink(`/proc/${pid}/exe`);
  // A build in the meantime puts another file in its place.
  if (!/\/node(?: \(deleted\))?$/.test(executable))
    throw new Error(`process ${pid} is ${executable}, not the agent`);
  return parseRollup(await readFile(`/proc/${pid}/smaps_rollup`, "utf8"));
}

function rows(
  row: string,
  memory: Memory,
  beside: { readonly upstream?: number; readonly target?: number },
): Figure[] {
  const figure = { kind: "figure", row, unit: "MB" } as const;
  return [
    { ...figure, what: "RSS", samples: [memory.rssMb], ...beside },
    { ...figure, what: "PSS", samples: [memory.pssMb] },
  ];
}

/** Flat is what does not grow in the second half. */
function growth(after: readonly Memory[]): Figure {
  const [half, end] = [after[STEPS / 2 - 1], after.at(-1)];
  return {
    kind: "figure",
    row: "agent, growth in the second half",
    what: "RSS",
    unit: "MB",
    samples: [(end?.rssMb ?? Number.NaN) - (half?.rssMb ?? Number.NaN)],
    target: TARGET.agentGrowthMb,
  };
}
