/**
 * When memory is given back: once nobody has called for a while, and seldom while somebody does. A call leaves a connection
 * behind that the garbage collector frees; V8 lets much of it pile up before it looks, and a node may have no further
 * call for hours.
 *
 * @module
 */

import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

/** Nobody has called for so long. */
const IDLE_MS = 5000;
/** While there are calls. */
const BUSY_MS = 30_000;

export type IdleOptions = {
  /** Absent: those of the machine. */
  readonly timers?: Timers;
  /** `idle`: it may take some 50 ms. */
  readonly giveBack: (idle: boolean) => Promise<void>;
};

export type Idle = Disposable & {
  /** A call has come. */
  readonly called: () => void;
};

/** Gives back first when it has been idle since its start. */
export function watchIdle({ timers = SYSTEM_TIMERS, giveBack }: IdleOptions): Idle {
  const nowMs = timers.elapsedMs;
  let [calledMs, givenMs] = [nowMs(), nowMs()];
  let timer: Disposable | undefined;
  const wait = (ms: number): void => {
    timer = timers.after(ms, look);
  };
  const look = (): void => {
    timer = undefined;
    const now = nowMs();
    const idleInMs = calledMs + IDLE_MS - now;
    if (idleInMs <= 0) {
      void giveBack(true);
      return;
    }
    if (now - givenMs >= BUSY_MS) {
      givenMs = now;
      void giveBack(false);
    }
    wait(idleInMs);
  };
  wait(IDLE_MS);
  return {
    called() {
      calledMs = nowMs();
      if (timer !== undefined) return;
      givenMs = calledMs;
      wait(IDLE_MS);
    },
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  };
}
