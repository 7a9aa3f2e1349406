/**
 * The vSwitch has no address left for a quarter of an hour, then it has room again.
 *
 * @module
 */
import { type ExpectStatic } from "vitest";
import { addPod } from "../harness/pod.ts";
import { kindsOf, whileAsking } from "./ask-again.ts";
import { note, openStorm } from "./bed.ts";
import { callsSince } from "./calls.ts";
import { HEAP_GROWTH_MAX } from "./memory.ts";

const SCALE = 60;
const POOL = 3;
const CAUSE =
  /^11: no address for the pod: no vSwitch of the list can be used \(vsw-pods-h2\); cause: .*(InvalidVSwitchId\.IpNotEnough|QuotaExceeded\.PrivateIpAddress|vSwitch vsw-pods-h2 has no free address)/;

export async function exhausted(expect: ExpectStatic): Promise<void> {
  await using storm = await openStorm({
    name: `tw${process.pid}v`,
    scale: SCALE,
    eniConf: { min_pool_size: POOL, max_pool_size: POOL, cloud_timeout: "60s" },
  });
  await storm.says("ENI ready", 60_000);
  await storm.idle(POOL);
  const fromPool = await storm.pods("p", POOL);
  const waiting = await storm.pods("w", 2);
  const before = await storm.calls();
  await storm.fault("drain", "vsw-pods-h2");
  for (const pod of fromPool) await addPod(pod);
  for (const pod of fromPool) storm.talk(pod);
  let calls: Readonly<Record<string, number>> = {};
  const asked = await whileAsking(waiting, 10_000 / SCALE, async () => {
    for (let look = 0; look < 3; look++) {
      await storm.lookAtMemory();
      await storm.pass(5);
    }
    calls = callsSince(before, await storm.calls());
    await storm.fault("refill", "vsw-pods-h2");
  });
  const refusals = asked.flatMap((each) => each.refusals);
  note("vSwitch exhausted for 15 minutes", { refusals: refusals.length, calls, ...storm.growth() });
  expect(kindsOf(refusals).filter((text) => !CAUSE.test(text))).toEqual([]);
  expect(refusals.filter(({ details }) => !details.includes("add a vSwitch with free addresses"))).toEqual(
    [],
  );
  expect(kindsOf(refusals).join("\n")).toMatch(/IpNotEnough|QuotaExceeded/);
  // It is left alone for ten minutes after each refusal, however often pods are asked for.
  expect(
    (calls["AssignPrivateIpAddresses"] ?? 0) + (calls["CreateNetworkInterface"] ?? 0),
  ).toBeLessThanOrEqual(6);
  await storm.says("vSwitch vsw-pods-h2 has room again", 5000);
  expect(storm.growth().heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(await storm.end([...fromPool, ...waiting])).toEqual([]);
}
