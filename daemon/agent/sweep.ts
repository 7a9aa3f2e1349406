/**
 * The sweep now and then: what pods left behind whose end nobody told the agent of.
 *
 * @module
 */
import { type Result } from "../../proto/result.ts";
import { type Log } from "./log.ts";
import { type Timers } from "./timers.ts";

/** After the start, when the calls that waited for the agent are over. */
const FIRST_MS = 1000;
const SWEEP_MS = 60_000;

export type SweepOptions = {
  readonly sweep: () => Promise<Result<void>>;
  readonly timers: Timers;
  readonly log: Log;
};

/** One at a time, the first a second after this call, a minute between two. */
export function openSweep({ sweep, timers, log }: SweepOptions): Disposable {
  let closed = false;
  let timer: Disposable | undefined;
  const later = (ms: number): void => {
    if (!closed) timer = timers.after(ms, () => void pass());
  };
  const pass = async (): Promise<void> => {
    const swept = await sweep();
    if (!swept.ok) log.warn({ fault: swept.fault }, "the node could not be swept; it is tried again");
    later(SWEEP_MS);
  };
  later(FIRST_MS);
  return {
    [Symbol.dispose]() {
      closed = true;
      timer?.[Symbol.dispose]();
    },
  };
}
