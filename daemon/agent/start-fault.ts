/**
 * Why the agent cannot start, and waiting for what passes by itself or when a person acts.
 *
 * @module
 */
import { describeFault, type Fault, remedyFor } from "../../proto/fault.ts";
import { failed, type Result } from "../../proto/result.ts";
import { type CloudFailure } from "../core/cloud.ts";
import { type Log } from "./log.ts";
import { type Timers } from "./timers.ts";

/** `text`: one sentence with the remedy. `passing`: what it is where trying again may help. */
export type StartFault = { readonly text: string; readonly passing?: Fault };

/** A fault as a sentence with what to do. */
export function sentence(fault: Fault): string {
  return `${describeFault(fault)}\n  ${remedyFor(fault)}`;
}

/** Of a fault that passes. */
export function passing(fault: Fault): StartFault {
  return { text: sentence(fault), passing: fault };
}

/** No answer, throttling, a conflict: they pass. What a person has to correct does not. */
export function cloudStartFault({ class: how, fault }: CloudFailure): StartFault {
  return how === "again" ? passing(fault) : { text: sentence(fault) };
}

export type Attempts<Value> = {
  readonly attempt: () => Promise<Result<Value, StartFault>>;
  /** For the log: "the database cannot be opened". */
  readonly what: string;
  /** Told of why it has to wait, once for each reason. */
  readonly onWait: (fault: Fault) => void;
  /** False: what would have to be waited for ends it, too. */
  readonly isPatient: boolean;
  /** Between two attempts: the first pause, which doubles up to the longest. Milliseconds. */
  readonly pausesMs: readonly [first: number, longest: number];
  readonly timers: Timers;
  readonly stop: AbortSignal;
  readonly log: Log;
};

/**
 * Tries until it succeeds. What passes is waited for, so that meanwhile every call hears of the cause; what does not is a fault
 * at once.
 */
export async function patiently<Value>(attempts: Attempts<Value>): Promise<Result<Value, StartFault>> {
  const { attempt, what, onWait, isPatient, timers, stop, log } = attempts;
  const [firstMs, longestMs] = attempts.pausesMs;
  let said = "";
  for (let tries = 0; !stop.aborted; tries += 1) {
    const outcome = await attempt();
    if (outcome.ok) return outcome;
    const { passing: fault, text } = outcome.fault;
    if (!isPatient || fault === undefined) return failed({ text });
    const reason = describeFault(fault);
    if (said !== reason) {
      log.error({ fault }, `${what}; pods that run are not touched, new ones wait`);
      onWait(fault);
    }
    said = reason;
    await pause(timers, Math.min(firstMs * 2 ** Math.min(tries, 30), longestMs), stop);
  }
  return failed({ text: `it was stopped while it waited: ${what}` });
}

/** Resolves after the time, or when the agent is to stop. */
function pause({ after }: Timers, ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = after(ms, done);
    function done(): void {
      timer[Symbol.dispose]();
      stop.removeEventListener("abort", done);
      resolve();
    }
    stop.addEventListener("abort", done, { once: true });
  });
}
