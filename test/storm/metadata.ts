/**
 * The metadata service, which gives the keys of the instance's role, is down while the agent is started anew; later it is stale
 * for minutes.
 *
 * @module
 */
import { type ExpectStatic } from "vitest";
import { addPod, delPod } from "../harness/pod.ts";
import { kindsOf, whileAsking } from "./ask-again.ts";
import { note, openStorm } from "./bed.ts";
import { HEAP_GROWTH_MAX } from "./memory.ts";

const SCALE = 20;
const POOL = 3;
const NO_KEY = /^11: getting an address for the pod took longer than … ms; cause: .*metadata service.*503/;

export async function metadata(expect: ExpectStatic): Promise<void> {
  await using storm = await openStorm({
    name: `tw${process.pid}m`,
    scale: SCALE,
    ramRole: true,
    eniConf: { min_pool_size: POOL, max_pool_size: POOL, cloud_timeout: "30s", add_timeout: "30s" },
  });
  await storm.says("ENI ready", 60_000);
  await storm.idle(POOL);
  const fromPool = await storm.pods("p", POOL);
  const waiting = await storm.pods("w", 2);
  const late = await storm.pods("s", POOL + 2);
  await storm.fault("add", "metadataError", "status=503");
  await storm.restart();
  for (const pod of fromPool) await addPod(pod);
  for (const pod of fromPool) storm.talk(pod);
  await storm.lookAtMemory();
  const asked = await whileAsking(waiting, 10_000 / SCALE, async () => {
    await storm.pass(4);
    await storm.fault("clear");
  });
  const refusals = asked.flatMap((each) => each.refusals);
  await storm.lookAtMemory();
  await storm.says("the cloud answers again", 5000);

  // What it shows is not believed in any case.
  await storm.fault("add", "metadataStale");
  for (const pod of late) await addPod(pod);
  await storm.pass(2);
  for (const pod of late) await delPod(pod);
  await storm.pass(3);
  await storm.fault("clear");
  await storm.lookAtMemory();
  note("metadata service down and stale", { refusals: refusals.length, ...storm.growth() });
  expect(refusals.length).toBeGreaterThan(0);
  expect(kindsOf(refusals).filter((text) => !NO_KEY.test(text))).toEqual([]);
  expect(storm.growth().heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(await storm.end([...fromPool, ...waiting])).toEqual([]);
}
