/**
 * Many ADDs and DELs over the agent's socket, several at a time: load for the agent alone.
 *
 * @module
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Container } from "./contender.ts";
import { openDirectCalls } from "./direct-calls.ts";
import { type Lab } from "./lab.ts";

/** A link is deleted a while after DEL was answered: at 250 pairs a second, eight lanes come back after half a second. */
export const CONTAINERS_PER_LANE = 16;

/** After the last DEL; `DELETION_BOUNDS` of the agent. */
const LINKS_GONE_MS = 1000;

/** So many calls of each kind, and what the runtime of the agent compiles is compiled. */
const WARM_UP_PAIRS = 400;
const WARM_UP_LANES = 4;

/**
 * Makes an agent that has just started one that has been up for a while. Returns when the kernel has deleted what was made.
 */
export async function warmUpAgent(lab: Lab): Promise<void> {
  lab.run.progress(`the agent warms up: ${WARM_UP_PAIRS} ADD and DEL`);
  const containers = await lab.containers(WARM_UP_LANES * CONTAINERS_PER_LANE);
  await runPairs(lab, WARM_UP_PAIRS, WARM_UP_LANES, containers);
  await sleep(LINKS_GONE_MS, undefined, { signal: lab.run.signal });
}

/** How long it all took, and each call, in milliseconds. */
export type PairTimes = {
  readonly wallMs: number;
  readonly ADD: readonly number[];
  readonly DEL: readonly number[];
};

/** `containers`: taken in turn, so that none is used again before the kernel has deleted its former link. */
export async function runPairs(
  lab: Lab,
  pairs: number,
  lanes: number,
  containers: readonly Container[],
): Promise<PairTimes> {
  const calls = openDirectCalls(join(lab.directory, "run/agent.sock"));
  const startedMs = performance.now();
  const took = { ADD: [] as number[], DEL: [] as number[] };
  let left = pairs;
  const free = [...containers];
  const lane = async (): Promise<void> => {
    for (let container = free.shift(); left > 0 && container !== undefined; container = free.shift()) {
      lab.run.signal.throwIfAborted();
      left -= 1;
      took.ADD.push(await calls.exec("ADD", container));
      took.DEL.push(await calls.exec("DEL", container));
      free.push(container);
    }
  };
  // Every lane ends before this does, so that nothing is called while the lab is taken down.
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  return { wallMs: performance.now() - startedMs, ...took };
}
