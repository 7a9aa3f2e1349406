/**
 * 2,000 ADD and DEL a minute within the pool: all succeed, the cloud is not called for any of them, no running pod loses a
 * packet, and the agent's memory stays flat. STORM_MINUTES makes it longer.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { type RecentCall } from "../../sim/model/calls.ts";
import { addPod } from "../harness/pod.ts";
import { until } from "../harness/process.ts";
import { note, openStorm, type Storm, STORM_MINUTES } from "./bed.ts";
import { churn } from "./churn.ts";

const PODS_A_MINUTE = 1000;
/** 1,000 pods in any case. */
const MINUTES = Math.max(1, STORM_MINUTES);
/** 14 ENIs for pods with 30 addresses each. */
const TYPE = "ecs.g7.32xlarge";
const ADDRESSES = 420;
const LOOKS = 12;
/** Bytes by which the memory of the last third may be above that of the first; single looks differ by half of it. */
const [HEAP_GROWTH_MAX, RSS_GROWTH_MAX] = [6_000_000, 25_000_000];
const QUICK = { minMs: 1, maxMs: 20 };

/**
 * What the agent asks churn or not: for ENIs without an owner, by tags, once an hour, the first time after some minutes; and the
 * metadata service, which is on the node's own host.
 */
function isPeriodic({ action, parameters }: RecentCall): boolean {
  if (action.startsWith("Metadata")) return true;
  return (
    action === "DescribeNetworkInterfaces" && Object.keys(parameters).some((key) => key.startsWith("Tag."))
  );
}

/** Waits until the pool has all addresses and no call was made for three seconds. */
async function poolFull(storm: Storm): Promise<void> {
  await until(
    "the pool is full",
    async () => {
      const enis = (await storm.one.simulator.enis()).filter(({ isPrimary }) => !isPrimary);
      return (
        enis.filter(({ status }) => status === "InUse").flatMap(({ addresses }) => addresses).length ===
        ADDRESSES
      );
    },
    90_000,
    500,
  );
  let quiet = 0;
  let last = "";
  await until(
    "no call is made any more",
    async () => {
      const totals = JSON.stringify((await storm.calls()).totals);
      quiet = totals === last ? quiet + 1 : 0;
      last = totals;
      return quiet >= 6;
    },
    60_000,
    500,
  );
}

it("2,000 ADD and DEL a minute", { timeout: MINUTES * 120_000 + 240_000 }, async () => {
  await using storm = await openStorm({
    name: `tw${process.pid}c`,
    scale: 1,
    instanceType: TYPE,
    eniConf: { min_pool_size: ADDRESSES, max_pool_size: ADDRESSES, address_cooldown: "5s" },
    topology: {
      latencies: {
        create: QUICK,
        attach: QUICK,
        attachLink: QUICK,
        attachInUse: QUICK,
        detachDone: QUICK,
        deleteDone: QUICK,
      },
    },
  });
  await poolFull(storm);
  // From here on it has more idle addresses than it must have.
  await storm.restart({ min_pool_size: 50 });
  await poolFull(storm);
  const [running, ...places] = await storm.pods("p", 121);
  if (running === undefined) throw new Error("no pods");
  await addPod(running);
  storm.talk(running);
  const pods = MINUTES * PODS_A_MINUTE;
  const beforeMs = (await storm.calls()).recent.at(-1)?.atMs ?? 0;
  const figures = await churn({
    places,
    pods,
    everyMs: 60_000 / PODS_A_MINUTE,
    livesMs: 2000,
    look: { every: Math.ceil(pods / LOOKS), run: storm.lookAtMemory },
  });
  // What the churn would cause late: a refill, a release.
  await sleep(2000);
  const calls = (await storm.calls()).recent.filter(({ atMs }) => atMs > beforeMs);
  const growth = storm.growth();
  note("2,000 ADD and DEL a minute", { ...figures, ...growth });
  expect(calls.filter((call) => !isPeriodic(call)).map(({ action }) => action)).toEqual([]);
  expect(growth.heapBytes).toBeLessThan(HEAP_GROWTH_MAX);
  expect(growth.rssBytes).toBeLessThan(RSS_GROWTH_MAX);
  expect(await storm.end([running])).toEqual([]);
});
