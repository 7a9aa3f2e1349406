/**
 * Runs the model on real time: a timer for what is due, answers to the callers that wait, changes to the data plane
 * one after the other.
 *
 * @module
 */
import { type FabricChange } from "../model/fabric.ts";
import { type Model } from "../model/model.ts";
import { type ApiRequest } from "../model/submit.ts";
import { type Reply } from "../model/world.ts";

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const FAILURES_KEPT = 20;

/** The time outside. */
export type Clock = {
  /** Since 1970. */
  wallMs(): number;
  /** Never goes back. */
  monotonicMs(): number;
};

export const systemClock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

export type Driver = AsyncDisposable & {
  /** Simulated time. */
  nowMs(): number;
  /** Lets the model see the time, and looks again when it has something to do. To be called after each change of it. */
  pump(): void;
  /** Takes a call in; `answered` is called once, or never. The function returned gives the call up. */
  call(request: ApiRequest, answered: (answer: Reply["answer"]) => void): () => void;
  /** Changes that the data plane did not take, newest last. */
  fabricFailures(): readonly string[];
  /** Settles when the data plane has taken all changes so far. */
  fabricSettled(): Promise<void>;
};

/** A driver whose model began at `startMs`. */
export function createDriver(options: {
  readonly model: Model;
  readonly startMs: number;
  /** Simulated milliseconds in a real one. */
  readonly timeScale: number;
  readonly clock: Clock;
  readonly applyFabric: (changes: readonly FabricChange[]) => Promise<void>;
}): Driver {
  const { model, startMs, timeScale, clock, applyFabric } = options;
  const openedMs = clock.monotonicMs();
  const waiting = new Map<number, (answer: Reply["answer"]) => void>();
  const failures: string[] = [];
  let fabric = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const nowMs = (): number => startMs + (clock.monotonicMs() - openedMs) * timeScale;
  const apply = async (changes: readonly FabricChange[]): Promise<void> => {
    try {
      await applyFabric(changes);
    } catch (cause) {
      failures.push(`${changes.map(describeChange).join(", ")}: ${String(cause)}`);
      failures.splice(0, failures.length - FAILURES_KEPT);
    }
  };
  const pump = (): void => {
    if (closed) return;
    const { changes, replies } = model.advance(nowMs());
    if (changes.length > 0) fabric = fabric.then(() => apply(changes));
    for (const { call, answer } of replies) {
      waiting.get(call)?.(answer);
      waiting.delete(call);
    }
    clearTimeout(timer);
    const dueMs = model.nextDueMs();
    if (dueMs === undefined) return;
    const inMs = Math.ceil(Math.max(0, dueMs - nowMs()) / timeScale);
    timer = setTimeout(pump, Math.min(inMs, LONGEST_TIMER_MS));
  };
  return {
    nowMs,
    pump,
    call: (request, answered) => {
      const id = model.submit(request, nowMs());
      waiting.set(id, answered);
      pump();
      return () => waiting.delete(id);
    },
    fabricFailures: () => [...failures],
    fabricSettled: () => fabric,
    [Symbol.asyncDispose]: async () => {
      closed = true;
      clearTimeout(timer);
      waiting.clear();
      await fabric;
    },
  };
}

function describeChange(change: FabricChange): string {
  const about = "address" in change ? ` ${change.address}` : "";
  return `${change.op} ${change.eni}${about}`;
}
