/**
 * One run of the agent's process. It can end between any two effects: from then on nothing that the abandoned objects do
 * reaches the world, and nothing of the world reaches them.
 *
 * @module
 */
import { type Timers } from "../../daemon/agent/timers.ts";
import { type Scheduler } from "./scheduler.ts";

export type Life = {
  readonly number: number;
  readonly isAlive: () => boolean;
  /** To be asked before each effect; false: the process is dead, and the effect must not happen. */
  readonly spend: () => boolean;
  readonly end: () => void;
  /** Dies before the `effects`th effect from now. */
  readonly endAfter: (effects: number) => void;
  /** Timers that die with it. */
  readonly timers: Timers;
  /** What `promise` gives, or nothing any more. */
  readonly during: <Value>(promise: Promise<Value>) => Promise<Value>;
};

/** `onEnd` is called once. */
export function beginLife(number: number, scheduler: Scheduler, onEnd: () => void): Life {
  let alive = true;
  let left = Number.POSITIVE_INFINITY;
  const end = (): void => {
    if (!alive) return;
    alive = false;
    onEnd();
  };
  return {
    number,
    isAlive: () => alive,
    spend() {
      if (!alive) return false;
      left -= 1;
      if (left <= 0) end();
      return alive;
    },
    end,
    endAfter(effects) {
      left = effects;
    },
    timers: {
      elapsedMs: scheduler.elapsedMs,
      after: (ms, run) =>
        scheduler.after(ms, () => {
          if (alive) run();
        }),
      atTurnEnd: (run) =>
        scheduler.atTurnEnd(() => {
          if (alive) run();
        }),
    },
    async during(promise) {
      const value = await promise;
      return alive ? value : new Promise(() => undefined);
    },
  };
}
