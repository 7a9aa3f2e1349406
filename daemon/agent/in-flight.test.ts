import { describe, expect, it, vi } from "vitest";
import { ok, type Result } from "../../proto/result.ts";
import { type AgentApi } from "../rpc/server.ts";
import { countCalls } from "./in-flight.ts";
import { unused } from "./pods-lab.ts";
import { SYSTEM_TIMERS } from "./timers.ts";

/** An agent that answers STATUS when it is told to. */
function slowAgent() {
  const answers: (() => void)[] = [];
  const status = (): Promise<Result<void>> =>
    new Promise((resolve) => answers.push(() => resolve(ok(undefined))));
  const api: AgentApi = { add: unused, del: unused, check: unused, gc: unused, status };
  return { answers, calls: countCalls(() => api, SYSTEM_TIMERS) };
}

describe("countCalls()", () => {
  it("waits until the last call has its answer, failed ones too", async () => {
    const { answers, calls } = slowAgent();
    expect(await calls.ended(0)).toBe(0);
    const asked = [calls.api.status(), calls.api.status()];
    const gc = calls.api.gc({ network: "n", valid: [] });
    await expect(gc).rejects.toThrow();
    const ended = calls.ended(60_000);
    answers[0]?.();
    await asked[0];
    expect(await Promise.race([ended, Promise.resolve("waits")])).toBe("waits");
    answers[1]?.();
    expect(await asked[1]).toEqual(ok(undefined));
    expect(await ended).toBe(0);
  });

  it("says how many are left when the time is up", async () => {
    vi.useFakeTimers();
    const { answers, calls } = slowAgent();
    const asked = [calls.api.status(), calls.api.status()];
    const ended = calls.ended(4000);
    await vi.advanceTimersByTimeAsync(4000);
    expect(await ended).toBe(2);
    for (const answer of answers) answer();
    await Promise.all(asked);
    vi.useRealTimers();
  });
});
