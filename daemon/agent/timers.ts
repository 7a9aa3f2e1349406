/**
 * Timers as an argument: those of the machine, or those of a test.
 *
 * @module
 */

export type Timers = {
  /** Milliseconds that never go back; for durations. */
  readonly elapsedMs: () => number;
  /** Runs `run` once, after `ms`, unless it is disposed of before. Does not keep the process alive. */
  readonly after: (ms: number, run: () => void) => Disposable;
  /** Runs `run` once, after everything that is ready to run now. */
  readonly atTurnEnd: (run: () => void) => void;
};

export const SYSTEM_TIMERS: Timers = {
  elapsedMs: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
  atTurnEnd(run) {
    setImmediate(run);
  },
};

/** Resolves after `ms`. */
export function sleep({ after }: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => {
    after(ms, resolve);
  });
}
