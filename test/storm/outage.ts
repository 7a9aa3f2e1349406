/**
 * An hour without the cloud: half of it nothing comes back, half of it connections are reset. Pods that the pool has addresses
 * for start, the others hear why not, and all is well without a person when the cloud is back.
 *
 * @module
 */
import { type ExpectStatic } from "vitest";
import { addPod } from "../harness/pod.ts";
import { must } from "../harness/process.ts";
import { whileAsking, kindsOf } from "./ask-again.ts";
import { note, openStorm, type Storm, STORM_MINUTES } from "./bed.ts";
import { callsSince } from "./calls.ts";
import { HEAP_GROWTH_MAX } from "./memory.ts";

const SCALE = Math.max(1, 60 / STORM_MINUTES);
const POOL = 4;
const NO_ANSWER =
  /^11: getting an address for the pod took longer than … ms; cause: \w+ for \S+: no answer from the cloud: .+$/;

/** What leaves the node for the API's address is lost. */
async function cut({ one }: Storm): Promise<void> {
  const { hostname } = new URL(one.simulator.apiUrl);
  const chain = `chain out { type filter hook output priority 0; ip daddr ${hostname} drop; }`;
  await must("ip", ["netns", "exec", one.node.namespace, "nft", `table ip storm { ${chain}; }`]);
}

async function mend({ one }: Storm): Promise<void> {
  await must("ip", ["netns", "exec", one.node.namespace, "nft", "delete table ip storm"]);
}

/** Minutes pass, with looks at the memory in between. */
async function endure(storm: Storm, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute += 5) {
    await storm.lookAtMemory();
    await storm.pass(5);
  }
}

export async function outage(expect: ExpectStatic): Promise<void> {
  await using storm = await openStorm({
    name: `tw${process.pid}h`,
    scale: SCALE,
    eniConf: {
      min_pool_size: POOL,
      max_pool_size: POOL,
      address_cooldown: "30s",
      // Less than the plugin's, which is not prolonged by a busy machine.
      cloud_timeout: "30s",
      add_timeout: "45s",
    },
  });
  await storm.says("ENI ready", 60_000);
  const [running, ...fromPool] = await storm.pods("p", POOL + 1);
  const waiting = await storm.pods("w", 2);
  if (running === undefined) throw new Error("no pods");
  await addPod(running);
  storm.talk(running);
  await storm.idle(POOL);

  await cut(storm);
  await endure(storm, 10);
  for (const pod of fromPool) await addPod(pod);
  await storm.says("cloud call failed", 30_000);
  const before = await storm.calls();
  const asked = await whileAsking(waiting, 10_000 / SCALE, async () => {
    await endure(storm, 20);
    await storm.fault("add", "reset", "times=1000000");
    await mend(storm);
    await endure(storm, 30);
    await storm.fault("clear");
  });
  const calls = callsSince(before, await storm.calls());
  const kinds = kindsOf(asked.flatMap(({ refusals }) => refusals));
  note("outage of an hour", {
    scale: SCALE,
    refusals: asked.map(({ refusals }) => refusals.length),
    calls,
    ...storm.growth(),
  });
  expect(asked.map(({ refusals }) => refusals.length > 0)).toEqual([true, true]);
  expect(kinds.filter((text) => !NO_ANSWER.test(text))).toEqual([]);
  expect(kinds.join("\n")).toMatch(/no connection within/);
  expect(kinds.join("\n")).toMatch(/ECONNRESET/);
  await storm.says("the cloud answers again", 5000);
  expect(storm.growth().heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(await storm.end([running, ...fromPool, ...waiting])).toEqual([]);
}
