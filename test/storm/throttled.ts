/**
 * An account whose API lets almost nothing pass: pods that the pool has addresses for start, the others wait or hear of the
 * throttle, all start in the end, and the agent slows down instead of knocking.
 *
 * @module
 */
import { type ExpectStatic } from "vitest";
import { addPod } from "../harness/pod.ts";
import { kindsOf, whileAsking } from "./ask-again.ts";
import { note, openStorm } from "./bed.ts";
import { HEAP_GROWTH_MAX } from "./memory.ts";

const SCALE = 20;
const POOL = 3;
const WAITING = 16;
/** Calls of an action a minute that the whole account may make. */
const QUOTA = 2;
const THROTTLED =
  /^11: getting an address for the pod took longer than … ms; cause: \w+ for \S+(: Throttling\.User: .+| is not answered yet: .*throttling.*)$/;

export async function throttled(expect: ExpectStatic): Promise<void> {
  await using storm = await openStorm({
    name: `tw${process.pid}q`,
    scale: SCALE,
    eniConf: { min_pool_size: POOL, max_pool_size: POOL, cloud_timeout: "30s", add_timeout: "20s" },
    topology: {
      quotas: {
        CreateNetworkInterface: QUOTA,
        AttachNetworkInterface: QUOTA,
        AssignPrivateIpAddresses: QUOTA,
        DescribeNetworkInterfaces: QUOTA,
      },
    },
  });
  storm.one.simulator.breaks("rate-exceeded");
  await storm.says("ENI ready", 60_000);
  const fromPool = await storm.pods("p", POOL);
  const waiting = await storm.pods("w", WAITING);
  const startMs = await storm.simulatedMs();
  for (const pod of fromPool) await addPod(pod);
  for (const pod of fromPool) storm.talk(pod);
  await storm.lookAtMemory();
  // The pool is a node's reserve for such times: most of the pods find it empty.
  const first = await whileAsking(waiting.slice(0, WAITING / 2), 10_000 / SCALE, () => storm.pass(2));
  await storm.lookAtMemory();
  const second = await whileAsking(waiting.slice(WAITING / 2), 10_000 / SCALE, () => storm.pass(2));
  await storm.lookAtMemory();
  const minutes = ((await storm.simulatedMs()) - startMs) / 60_000;
  const { totals } = await storm.calls();
  const refused = Object.fromEntries(
    Object.entries(totals).flatMap(([action, counts]) =>
      counts.throttled === 0 ? [] : [[action, counts.throttled]],
    ),
  );
  const refusals = [...first, ...second].flatMap((each) => each.refusals);
  note("throttled hard", {
    minutes: Math.round(minutes),
    refusals: refusals.length,
    throttled: refused,
    ...storm.growth(),
  });
  expect(kindsOf(refusals).filter((text) => !THROTTLED.test(text))).toEqual([]);
  expect(Object.keys(refused)).not.toEqual([]);
  // A rate that is halved each time is down from 60 to 2 a minute after five, and stays there as long as it has to.
  for (const [action, count] of Object.entries(refused))
    expect(count, action).toBeLessThanOrEqual(6 + 3 * minutes);
  await storm.says("the cloud answers again", 5000);
  expect(storm.growth().heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(await storm.end([...fromPool, ...waiting])).toEqual([]);
}
