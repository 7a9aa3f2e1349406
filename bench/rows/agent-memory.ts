/**
 * Memory of the agent: idle with a filled pool, and after many ADDs and DELs.
 *
 * @module
 */
import { readFile, readlink } from "node:fs/promises";
import { type Container } from "../contender.ts";
import { type Figure } from "../figures.ts";
import { type Lab, withLab } from "../lab.ts";
import { type Memory, parseRollup } from "../memory.ts";
import { type Measure } from "../run.ts";
import { UPSTREAM } from "../upstream.ts";

const WARM = { idleMin: 5, idleMax: 10, cooldown: "0s" };
/** So many containers are added and deleted at the same time. */
const LANES = 4;

/** RSS and PSS of the agent's process before and after 1,000 pairs of ADD and DEL (100 in a quick run). */
export const measureAgentMemory: Measure = (run) =>
  withLab(run, WARM, async (lab) => {
    const pairs = run.quick ? 100 : 1000;
    await lab.start();
    await lab.settled();
    const idle = await memoryOf(lab.agentPid());
    let left = pairs;
    const lane = async (container: Container): Promise<void> => {
      while (left > 0) {
        run.signal.throwIfAborted();
        left -= 1;
        if (left % 100 === 0) run.progress(`${left} pairs of ADD and DEL left`);
        await lab.ours.exec("ADD", container);
        await lab.ours.exec("DEL", container);
      }
    };
    await allLanes(lab, lane);
    const after = await memoryOf(lab.agentPid());
    return [...rows("idle", idle, UPSTREAM.start.rssMb), ...rows(`after ${pairs} ADD and DEL`, after)];
  });

/** Every lane ends before this does, so that nothing is executed while the lab is taken down. */
async function allLanes(lab: Lab, lane: (container: Container) => Promise<void>): Promise<void> {
  const ended = await Promise.allSettled((await lab.containers(LANES)).map(lane));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}

async function memoryOf(pid: number): Promise<Memory> {
  const executable = await readlink(`/proc/${pid}/exe`);
  if (!executable.endsWith("/node")) throw new Error(`process ${pid} is ${executable}, not the agent`);
  return parseRollup(await readFile(`/proc/${pid}/smaps_rollup`, "utf8"));
}

function rows(row: string, memory: Memory, upstreamRss?: number): Figure[] {
  const figure = { kind: "figure", row, unit: "MB" } as const;
  return [
    {
      ...figure,
      what: "RSS",
      samples: [memory.rssMb],
      ...(upstreamRss !== undefined && { upstream: upstreamRss }),
    },
    { ...figure, what: "PSS", samples: [memory.pssMb] },
  ];
}
