import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Priority } from "../core/cloud.ts";
import { type BudgetOptions, type CallOutcome, openBudget, type Slot } from "./budget.ts";

/** Time that stands until it is moved; sleepers wake in order. */
function virtualClock(): {
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  advance: (ms: number) => Promise<void>;
} {
  let nowMs = 0;
  const sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  return {
    now: () => nowMs,
    sleep: (ms) => new Promise((wake) => sleepers.push({ atMs: nowMs + ms, wake })),
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        sleepers.sort((a, b) => a.atMs - b.atMs);
        const [first] = sleepers;
        if (first === undefined || first.atMs > endMs) break;
        sleepers.shift();
        nowMs = first.atMs;
        first.wake();
        await settle();
      }
      nowMs = endMs;
    },
  };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

const PASSED: CallOutcome = { kind: "passed" };
const ACTION = "AssignPrivateIpAddresses";

type Options = Partial<Omit<BudgetOptions, "now" | "sleep">>;

/** Names of calls in the order in which they got their turn; each is over at once unless `hold` is set. */
function setUp(options: Options) {
  const clock = virtualClock();
  const budget = openBudget({ ...options, now: clock.now, sleep: clock.sleep });
  const order: string[] = [];
  const slots: Slot[] = [];
  const call = (name: string, priority: Priority, hold = false): void => {
    void (async () => {
      const turn = await budget.acquire(ACTION, priority);
      order.push(turn.ok ? name : `${name}: ${turn.fault}`);
      if (!turn.ok) return;
      if (hold) slots.push(turn.value);
      else turn.value.done(PASSED);
    })();
  };
  return { ...clock, budget, order, slots, call };
}

describe("openBudget()", () => {
  it("lets a burst pass, then one call for each token", async () => {
    const { call, order, advance, budget } = setUp({ burst: 4, defaultPerMinute: 60 });
    for (const name of ["a", "b", "c", "d", "e", "f"]) call(name, "pod");
    await advance(0);
    expect(order).toEqual(["a", "b", "c", "d"]);
    await advance(999);
    expect(order).toHaveLength(4);
    await advance(2);
    expect(order).toHaveLength(5);
    await advance(1000);
    expect(order).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(budget.stats()).toEqual({
      [ACTION]: { calls: 6, throttled: 0, waitedMs: 3000, waiting: 0, ratePerMinute: 60 },
    });
  });

  it("serves a waiting pod before warm-up before release before describe", async () => {
    const { call, order, advance } = setUp({ burst: 1, defaultPerMinute: 60 });
    call("first", "pod");
    await advance(0);
    call("describe", "describe");
    call("release", "release");
    call("warm-up", "warm-up");
    call("pod", "pod");
    await advance(4100);
    expect(order).toEqual(["first", "pod", "warm-up", "release", "describe"]);
  });

  it("keeps turns for a pod that the others may not take", async () => {
    const { call, order, advance } = setUp({ burst: 5, defaultPerMinute: 60 });
    for (const name of ["1", "2", "3", "4"]) call(name, "warm-up");
    await advance(0);
    expect(order).toEqual(["1", "2", "3"]);
    call("pod", "pod");
    await advance(0);
    expect(order).toEqual(["1", "2", "3", "pod"]);
  });

  it("keeps a place among the calls under way for a pod", async () => {
    const { call, order, slots, advance } = setUp({ concurrency: 3 });
    call("1", "describe", true);
    call("2", "describe", true);
    call("pod 1", "pod", true);
    call("pod 2", "pod", true);
    call("pod 3", "pod", true);
    await advance(0);
    expect(order).toEqual(["1", "pod 1", "pod 2"]);
    slots[0]?.done(PASSED);
    await advance(0);
    expect(order).toEqual(["1", "pod 1", "pod 2", "pod 3"]);
  });

  it("serves a call that waited long, once in that time, though pods keep coming", async () => {
    const { call, order, advance } = setUp({ burst: 1, defaultPerMinute: 60, agedMs: 5000 });
    call("low 1", "describe");
    call("low 2", "describe");
    for (let pod = 0; pod < 14; pod += 1) call(`pod ${pod}`, "pod");
    await advance(14_000);
    expect(order.indexOf("low 2")).toBeGreaterThan(0);
    expect(order.slice(0, 12)).toEqual([
      "low 1",
      "pod 0",
      "pod 1",
      "pod 2",
      "pod 3",
      "low 2",
      "pod 4",
      "pod 5",
      "pod 6",
      "pod 7",
      "pod 8",
      "pod 9",
    ]);
  });

  it("halves the rate after a throttle and gives it back bit by bit", async () => {
    const { budget, advance } = setUp({ defaultPerMinute: 60, burst: 10 });
    const outcomes: CallOutcome[] = [{ kind: "throttled" }, PASSED, { kind: "other" }];
    const rates: (number | undefined)[] = [];
    for (const outcome of outcomes) {
      const turn = budget.acquire(ACTION, "pod");
      await advance(2100);
      const got = await turn;
      if (got.ok) got.value.done(outcome);
      rates.push(budget.stats()[ACTION]?.ratePerMinute);
    }
    expect(rates).toEqual([30, 33, 33]);
    expect(budget.stats()[ACTION]?.throttled).toBe(1);
  });

  it("never gets slower than two a minute, and comes back to the full rate", async () => {
    const { budget, advance } = setUp({ defaultPerMinute: 60 });
    const turn = async (outcome: CallOutcome): Promise<number | undefined> => {
      const waiting = budget.acquire(ACTION, "pod");
      await advance(31_000);
      const got = await waiting;
      if (got.ok) got.value.done(outcome);
      return budget.stats()[ACTION]?.ratePerMinute;
    };
    for (let again = 0; again < 10; again += 1) await turn({ kind: "throttled" });
    expect(await turn({ kind: "other" })).toBe(2);
    for (let again = 0; again < 30; again += 1) await turn(PASSED);
    expect(await turn({ kind: "other" })).toBe(60);
  });

  it("heeds the cloud's own wish", async () => {
    const { budget, call, order, advance } = setUp({});
    const first = await budget.acquire(ACTION, "pod");
    if (first.ok) first.value.done({ kind: "throttled", retryAfterMs: 12_000 });
    call("next", "pod");
    await advance(11_999);
    expect(order).toEqual([]);
    await advance(2);
    expect(order).toEqual(["next"]);
  });

  it("does not let one action wait for another's tokens", async () => {
    const { budget, call, order, advance } = setUp({ burst: 1 });
    call("a", "pod");
    call("b", "pod");
    const other = await budget.acquire("CreateNetworkInterface", "describe");
    expect([other.ok, order]).toEqual([true, ["a"]]);
    await advance(0);
  });

  it("takes the rate of an action from the settings", async () => {
    const { budget } = setUp({ ratesPerMinute: { DescribeVSwitches: 12 } });
    await budget.acquire("DescribeVSwitches", "describe");
    expect(budget.stats().DescribeVSwitches?.ratePerMinute).toBe(12);
  });

  it("answers who waited too long, and who comes when too many wait", async () => {
    const { call, order, advance } = setUp({
      burst: 1,
      defaultPerMinute: 2,
      maxWaitMs: 10_000,
      maxWaiting: 1,
    });
    call("a", "pod");
    await advance(0);
    call("b", "pod");
    call("c", "pod");
    await advance(10_001);
    expect(order).toEqual([
      "a",
      "c: 1 calls wait for their turn already",
      `b: the node's rate budget for ${ACTION} (2 a minute) gave no turn within 10000 ms`,
    ]);
  });

  it("refuses to take a turn back twice", async () => {
    const { budget } = setUp({});
    const turn = await budget.acquire(ACTION, "pod");
    if (turn.ok) turn.value.done(PASSED);
    expect(() => turn.ok && turn.value.done(PASSED)).toThrow("given back twice");
  });

  it("answers every call, and never makes more than rate and concurrency allow", async () => {
    const priorities = fc.constantFrom<Priority>("pod", "warm-up", "release", "describe");
    const calls = fc.array(fc.tuple(priorities, fc.nat(3000), fc.boolean()), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(calls, async (plan) => {
        const { now, sleep, advance } = virtualClock();
        const budget = openBudget({ burst: 3, defaultPerMinute: 60, concurrency: 4, now, sleep });
        let running = 0;
        let most = 0;
        let answered = 0;
        const startsMs: number[] = [];
        const one = async (priority: Priority, tookMs: number, throttled: boolean): Promise<void> => {
          const turn = await budget.acquire(ACTION, priority);
          answered += 1;
          if (!turn.ok) return;
          startsMs.push(now());
          running += 1;
          most = Math.max(most, running);
          await sleep(tookMs);
          running -= 1;
          turn.value.done(throttled ? { kind: "throttled" } : PASSED);
        };
        for (const [priority, tookMs, throttled] of plan) {
          void one(priority, tookMs, throttled);
          await advance(100);
        }
        await advance(120_000);
        expect([answered, running]).toEqual([plan.length, 0]);
        expect(most).toBeLessThanOrEqual(4);
        for (const fromMs of startsMs) {
          const inWindow = startsMs.filter((ms) => ms >= fromMs && ms < fromMs + 10_000);
          expect(inWindow.length).toBeLessThanOrEqual(3 + 10);
        }
      }),
      { numRuns: 60 },
    );
  });
});
