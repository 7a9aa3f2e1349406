/**
 * One call at a time for an attachment.
 *
 * @module
 */

import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

/** Disposal gives it back. */
export type Lock = Disposable;

export type Locks = {
  readonly isLocked: (key: string) => boolean;
  /** `undefined` where somebody holds it. */
  readonly tryLock: (key: string) => Lock | undefined;
  /** Waits for the one who holds it, `waitMs` at most; `undefined` where it was not to be had. */
  readonly lock: (key: string, waitMs: number) => Promise<Lock | undefined>;
};

/** `timers` absent: those of the machine. */
export function openLocks(timers: Timers = SYSTEM_TIMERS): Locks {
  const held = new Map<string, Promise<void>>();
  const tryLock = (key: string): Lock | undefined => {
    if (held.has(key)) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    held.set(key, promise);
    return {
      [Symbol.dispose]() {
        held.delete(key);
        resolve();
      },
    };
  };
  return {
    isLocked: (key) => held.has(key),
    tryLock,
    async lock(key, waitMs) {
      const free = tryLock(key);
      if (free !== undefined) return free;
      const { promise: late, resolve } = Promise.withResolvers<void>();
      let isLate = false;
      using _timer = timers.after(waitMs, () => {
        isLate = true;
        resolve();
      });
      for (;;) {
        const lock = tryLock(key);
        if (lock !== undefined || isLate) return lock;
        await Promise.race([held.get(key), late]);
      }
    },
  };
}
