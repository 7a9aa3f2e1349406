import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Idle, watchIdle } from "./idle.ts";

let idle: Idle;
let given: { readonly idle: boolean; readonly atMs: number }[];
let startMs: number;

beforeEach(() => {
  vi.useFakeTimers();
  startMs = performance.now();
  given = [];
  const giveBack = async (isIdle: boolean): Promise<void> => {
    given.push({ idle: isIdle, atMs: performance.now() - startMs });
  };
  idle = watchIdle({ giveBack });
});

afterEach(() => {
  idle[Symbol.dispose]();
  vi.useRealTimers();
});

/** A call every second, `count` of them. */
function call(count: number): void {
  for (let nth = 0; nth < count; nth++) {
    idle.called();
    vi.advanceTimersByTime(1000);
  }
}

describe("watchIdle()", () => {
  it("gives back once after the start, and once after calls have ended", () => {
    vi.advanceTimersByTime(600_000);
    expect(given).toEqual([{ idle: true, atMs: 5000 }]);
    call(3);
    vi.advanceTimersByTime(600_000);
    expect(given).toEqual([
      { idle: true, atMs: 5000 },
      { idle: true, atMs: 607_000 },
    ]);
  });

  it("gives back every half a minute while there are calls", () => {
    call(70);
    expect(given.map(({ idle: isIdle }) => isIdle)).toEqual([false, false]);
    expect(given[0]?.atMs).toBeGreaterThanOrEqual(30_000);
    vi.advanceTimersByTime(600_000);
    expect(given[2]).toEqual({ idle: true, atMs: 74_000 });
    expect(given).toHaveLength(3);
  });

  it("does nothing after disposal", () => {
    idle[Symbol.dispose]();
    vi.advanceTimersByTime(600_000);
    expect(given).toEqual([]);
  });
});
