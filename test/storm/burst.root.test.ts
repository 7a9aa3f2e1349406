/**
 * 250 pods at once on a node whose pool has addresses for some of them: all start, none is refused, and the cloud is asked
 * within the budget.
 *
 * @module
 */
import { expect, it } from "vitest";
import { addPod, delPod, type Pod } from "../harness/pod.ts";
import { allEnded } from "../harness/process.ts";
import { QUICK_RELEASE } from "../e2e/topology.ts";
import { ask } from "./ask-again.ts";
import { note, openStorm } from "./bed.ts";
import { callsSince } from "./calls.ts";
import { HEAP_GROWTH_MAX } from "./memory.ts";

const PODS = 250;
const POOL = 30;
/** As many as a runtime has at the same time in the end. */
const DELS_AT_ONCE = 25;

async function deleteAll(pods: readonly Pod[]): Promise<void> {
  const left = [...pods];
  const work = async (): Promise<void> => {
    for (let pod = left.pop(); pod !== undefined; pod = left.pop()) await delPod(pod);
  };
  await allEnded(Array.from({ length: DELS_AT_ONCE }, work));
}

it("250 pods in a burst", { timeout: 300_000 }, async () => {
  await using storm = await openStorm({
    name: `tw${process.pid}b`,
    scale: 1,
    instanceType: "ecs.g7.32xlarge",
    eniConf: { min_pool_size: POOL, max_pool_size: POOL },
    topology: { latencies: QUICK_RELEASE },
  });
  await storm.says("ENI ready", 60_000);
  const [running, ...burst] = await storm.pods("p", PODS + 1);
  if (running === undefined) throw new Error("no pods");
  await addPod(running);
  storm.talk(running);
  await storm.lookAtMemory();
  const before = await storm.calls();
  const startMs = performance.now();
  const asked = await allEnded(burst.map(ask));
  const allMs = Math.round(performance.now() - startMs);
  await storm.lookAtMemory();
  const calls = callsSince(before, await storm.calls());
  expect(asked.flatMap(({ refusal }) => refusal ?? [])).toEqual([]);
  await deleteAll(burst);
  await storm.lookAtMemory();
  const growth = storm.growth();
  note("250 pods in a burst", { pods: PODS, allMs, calls, ...growth });
  expect(growth.heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(await storm.end([running])).toEqual([]);
});
