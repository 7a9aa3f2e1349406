/**
 * The one place that owns the pool's state. An event goes through `step`, what must not be forgotten is written, and
 * only then are the effects carried out: persist, act, persist, reply. Effects answer with further events.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Granted, type Pool, type PoolEffect, type PoolEvent } from "../core/pool/model.ts";
import { step } from "../core/pool/step.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Log } from "./log.ts";
import { storeChanges } from "./persist.ts";
import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

/** An event as its sender knows it: the loop adds the time. */
export type Happening = PoolEvent extends infer Event
  ? Event extends { readonly nowMs: number }
    ? Omit<Event, "nowMs">
    : never
  : never;

/** `storeMs`: how long it took to write it down. */
export type Grant = Granted & { readonly storeMs: number };

export type Loop = Disposable & {
  readonly pool: () => Pool;
  /**
   * Handles the event, after those that are waiting. `changes` are written in the same transaction; where it fails, nothing has
   * happened, and only events without changes are tried again.
   */
  readonly dispatch: (happening: Happening, changes?: readonly StoreChange[]) => Result<void>;
  /** Asks for an address and waits for it; the lease that `leaseOf` makes is on disk when it resolves. */
  readonly acquire: (request: {
    readonly attachment: Attachment;
    readonly deadlineMs: number;
    readonly leaseOf: (granted: Granted) => StoreChange;
  }) => Promise<Result<Grant>>;
  /** Ends the wait of `acquire` for this attachment with this fault, if there is one. */
  readonly cancel: (attachment: Attachment, fault: Fault) => void;
};

export type LoopOptions = {
  readonly initial: Pool;
  readonly write: (changes: readonly StoreChange[]) => Result<void>;
  /** Carries an effect out; its outcome comes back through `dispatch`. */
  readonly act: (effect: PoolEffect, dispatch: (happening: Happening) => void) => void;
  readonly nowMs: () => number;
  /** Absent: those of the machine. */
  readonly timers?: Timers;
  /** What limits are learnt about: `ecs.g7.xlarge`. */
  readonly instanceType: string;
  /** Told of the pool after each event. */
  readonly onPool: (pool: Pool) => void;
  readonly log: Log;
};

/** A write that failed for an event of the cloud is tried again after this time: the event must not be lost. */
const WRITE_RETRY_MS = 1000;
/** Timers are set anew at least this often: the clock that they are computed from is not the timer's. */
const LONGEST_SLEEP_MS = 60_000;

const STOPPING: Fault = { kind: "not-ready", reason: "it is stopping" };

export function startLoop(options: LoopOptions): Loop {
  const { nowMs, log, timers = SYSTEM_TIMERS } = options;
  const waiting = openWaiting();
  let pool = options.initial;
  let timer: Disposable | undefined;
  let closed = false;

  const wakeAt = (atMs: number | undefined): void => {
    timer?.[Symbol.dispose]();
    if (atMs === undefined || closed) return;
    timer = timers.after(Math.max(0, Math.min(atMs - nowMs(), LONGEST_SLEEP_MS)), () =>
      dispatch({ kind: "ticked" }),
    );
  };

  function dispatch(happening: Happening, changes: readonly StoreChange[] = []): Result<void> {
    if (closed) return failed(STOPPING);
    const event: PoolEvent = { ...happening, nowMs: nowMs() };
    const next = step(pool, event);
    const writtenMs = nowMs();
    const written = options.write([
      ...changes,
      ...storeChanges(next.pool, next.effects, options.instanceType),
      ...waiting.leases(next.effects),
    ]);
    if (!written.ok) {
      log.error(
        { fault: written.fault, event: event.kind },
        "the state could not be written; nothing was changed",
      );
      // Who asks or waits for an address, or has changes of its own to write, hears of the failure and can ask again; what it
      // holds stays as it is. The other events are facts that cannot be unsaid.
      waiting.fail(next.effects, written);
      if (event.kind !== "add-requested" && changes.length === 0)
        timers.after(WRITE_RETRY_MS, () => dispatch(happening, changes));
      return written;
    }
    pool = next.pool;
    const storeMs = nowMs() - writtenMs;
    for (const effect of next.effects) carryOut(effect, options, { waiting, dispatch, storeMs });
    options.onPool(pool);
    wakeAt(next.wakeAtMs);
    return ok(undefined);
  }

  return {
    pool: () => pool,
    dispatch,
    acquire: ({ attachment, deadlineMs, leaseOf }) =>
      new Promise((resolve) => {
        waiting.add(attachment, { leaseOf, settle: resolve });
        const outcome = dispatch({ kind: "add-requested", attachment, deadlineMs });
        if (!outcome.ok) waiting.settle(attachment, outcome);
      }),
    cancel(attachment, fault) {
      // Before the pool refuses it in its own words.
      if (waiting.settle(attachment, failed(fault))) dispatch({ kind: "released", attachment });
    },
    [Symbol.dispose]() {
      closed = true;
      timer?.[Symbol.dispose]();
      waiting.settleAll(STOPPING);
    },
  };
}

type Step = {
  readonly waiting: Waiting;
  readonly dispatch: Loop["dispatch"];
  readonly storeMs: number;
};

function carryOut(effect: PoolEffect, { act, log }: LoopOptions, { waiting, dispatch, storeMs }: Step): void {
  switch (effect.kind) {
    case "grant": {
      const { kind: _, attachment, ...granted } = effect;
      // Whoever asked has gone away meanwhile: the address goes back.
      if (!waiting.settle(attachment, ok({ ...granted, storeMs })))
        queueMicrotask(() => dispatch({ kind: "released", attachment }));
      break;
    }
    case "refuse":
      waiting.settle(effect.attachment, failed(effect.fault));
      break;
    case "note":
      log[effect.level]({ fault: effect.fault }, effect.text);
      break;
    default:
      act(effect, dispatch);
  }
}

type Asker = {
  readonly leaseOf: (granted: Granted) => StoreChange;
  readonly settle: (outcome: Result<Grant>) => void;
};

type Waiting = {
  readonly add: (attachment: Attachment, asker: Asker) => void;
  /** Answers the one who asked, once; false where nobody did. */
  readonly settle: (attachment: Attachment, outcome: Result<Grant>) => boolean;
  readonly settleAll: (fault: Fault) => void;
  /** Answers those whom these effects would have answered, which could not be written. */
  readonly fail: (effects: readonly PoolEffect[], why: Result<never>) => void;
  /** Grants need their lease on disk before anybody hears of them. */
  readonly leases: (effects: readonly PoolEffect[]) => StoreChange[];
};

/** Who waits for the outcome of an `acquire`. */
function openWaiting(): Waiting {
  const askers = new Map<string, Asker>();
  const settle: Waiting["settle"] = (attachment, outcome) => {
    const key = attachmentKey(attachment);
    const asker = askers.get(key);
    askers.delete(key);
    asker?.settle(outcome);
    return asker !== undefined;
  };
  return {
    settle,
    add(attachment, asker) {
      askers.set(attachmentKey(attachment), asker);
    },
    settleAll(fault) {
      for (const asker of askers.values()) asker.settle(failed(fault));
      askers.clear();
    },
    fail(effects, why) {
      for (const effect of effects)
        if (effect.kind === "grant" || effect.kind === "refuse") settle(effect.attachment, why);
    },
    leases: (effects) =>
      effects.flatMap((effect) => {
        if (effect.kind !== "grant") return [];
        const asker = askers.get(attachmentKey(effect.attachment));
        return asker === undefined ? [] : [asker.leaseOf(effect)];
      }),
  };
}
