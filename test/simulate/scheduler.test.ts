import { describe, expect, it } from "vitest";
import { openScheduler } from "./scheduler.ts";

const nothing = (): void => undefined;

describe("openScheduler()", () => {
  it("lets no time pass but that between events, and each promise go on before the next event", async () => {
    const scheduler = openScheduler(1);
    const order: string[] = [];
    scheduler.after(5_000, () => order.push(`late at ${scheduler.nowMs()}`));
    scheduler.after(10, () => {
      order.push("early");
      void (async () => {
        for (const step of [1, 2, 3]) {
          await Promise.resolve();
          order.push(`step ${step}`);
        }
      })();
    });
    const stopped = scheduler.after(20, () => order.push("stopped"));
    stopped[Symbol.dispose]();
    await scheduler.run(5_000, nothing);
    expect(order).toEqual(["early", "step 1", "step 2", "step 3", "late at 5000"]);
    expect([scheduler.nowMs(), scheduler.events()]).toEqual([5_000, 2]);
  });

  it("has events of the same moment come in any order, the same one for the same seed", async () => {
    const orders = await Promise.all(
      [1, 1, 2, 3, 4, 5].map(async (seed) => {
        const scheduler = openScheduler(seed);
        const order: number[] = [];
        for (const event of [0, 1, 2, 3]) scheduler.after(7, () => order.push(event));
        await scheduler.run(10, nothing);
        return order.join("");
      }),
    );
    expect(orders[0]).toBe(orders[1]);
    expect(new Set(orders).size).toBeGreaterThan(2);
  });
});
