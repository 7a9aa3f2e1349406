/**
 * Calls under way: an agent that is told to stop lets them end first.
 *
 * @module
 */
import { type AgentApi } from "../rpc/server.ts";
import { type Timers } from "./timers.ts";

export type InFlight = {
  /** Answers as `current` does at the time of each call. */
  readonly api: AgentApi;
  /** Resolves when none is under way, after `waitMs` at the latest; with how many are. */
  readonly ended: (waitMs: number) => Promise<number>;
};

export function countCalls(current: () => AgentApi, timers: Timers): InFlight {
  let running = 0;
  let onIdle: (() => void) | undefined;
  const counted = async <Value>(call: Promise<Value>): Promise<Value> => {
    running += 1;
    try {
      return await call;
    } finally {
      running -= 1;
      if (running === 0) onIdle?.();
    }
  };
  return {
    api: {
      add: (call) => counted(current().add(call)),
      del: (call) => counted(current().del(call)),
      check: (call) => counted(current().check(call)),
      gc: (call) => counted(current().gc(call)),
      status: () => counted(current().status()),
    },
    async ended(waitMs) {
      if (running === 0) return 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      onIdle = resolve;
      using _timer = timers.after(waitMs, resolve);
      await promise;
      onIdle = undefined;
      return running;
    },
  };
}
