/**
 * The sweep now and then: what pods left behind whose end nobody told the agent of.
 *
 * @module
 */
import { type Result } from "../../proto/result.ts";
import { type Log } from "./log.ts";
import { type Timers } from "./timers.ts";

const SWEEP_MS = 60_000;

export type SweepOptions = {
  readonly sweep: () => Promise<Result<void>>;
  readonly timers: Timers;
  readonly log: Log;
};

/** One at a time, a minute between two; the first one is the caller's. */
export function openSweep({ sweep, timers, log }: SweepOptions): Disposable {
  let closed = false;
  let timer: Disposable | undefined;
  const later = (): void => {
    if (!closed) timer = timers.after(SWEEP_MS, () => void pass());
  };
  const pass = async (): Promise<void> => {
    const swept = await sweep();
    if (!swept.ok) log.warn({ fault: swept.fault }, "the node could not be swept; it is tried again");
    later();
  };
  later();
  return {
    [Symbol.dispose]() {
      closed = true;
      timer?.[Symbol.dispose]();
    },
  };
}
