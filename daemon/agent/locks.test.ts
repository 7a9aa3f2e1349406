import { describe, expect, it } from "vitest";
import { openLocks } from "./locks.ts";

describe("openLocks()", () => {
  it("gives a key to one at a time, others keys to others", () => {
    const locks = openLocks();
    const a = locks.tryLock("a");
    expect([locks.isLocked("a"), locks.isLocked("b")]).toEqual([true, false]);
    expect(locks.tryLock("a")).toBeUndefined();
    expect(locks.tryLock("b")).toBeDefined();
    a?.[Symbol.dispose]();
    expect(locks.tryLock("a")).toBeDefined();
  });

  it("gives it to those who wait one after the other, and up where that takes too long", async () => {
    const locks = openLocks();
    const first = locks.tryLock("a");
    const order: string[] = [];
    const waiting = ["b", "c"].map(async (who) => {
      using lock = await locks.lock("a", 5000);
      order.push(lock === undefined ? `${who} not` : who);
      await Promise.resolve();
    });
    expect(await locks.lock("a", 5)).toBeUndefined();
    first?.[Symbol.dispose]();
    await Promise.all(waiting);
    expect(order).toEqual(["b", "c"]);
    expect(locks.isLocked("a")).toBe(false);
  });
});
