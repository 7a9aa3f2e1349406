/**
 * The one place that owns the pool's state. Events go through `step` in their order, what must not be forgotten is written, and
 * only then are the effects carried out: persist, act, persist, reply. Effects answer with further events.
 *
 * All events of one turn of Node's loop share one commit: a burst of calls costs one sync of the disk, not one for each.
 *
 * @module
 */
import { type Attachment, attachmentKey } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Granted, type Pool, type PoolEffect } from "../core/pool/model.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Asker, type Askers, type Grant, openAskers } from "./askers.ts";
import { type Log } from "./log.ts";
import { SYSTEM_TIMERS, type Timers } from "./timers.ts";
import { type Entry, factsOf, type Happening, takeTurn, type Turn } from "./turn.ts";

export type Loop = Disposable & {
  /** As it is on disk. */
  readonly pool: () => Pool;
  /**
   * A fact, which cannot be unsaid: it is handled at the end of this turn, after those that wait. Where that cannot be written, it
   * is kept, in its order, and tried again.
   */
  readonly dispatch: (happening: Happening) => void;
  /** Writes changes, and lets the event happen with them; where it fails, neither has happened, and nothing is tried again. */
  readonly commit: (changes: readonly StoreChange[], happening?: Happening) => Promise<Result<void>>;
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
  /** Told of the pool after each commit. */
  readonly onPool: (pool: Pool) => void;
  readonly log: Log;
};

/** What could not be written is tried again after this time, or with the next event. */
const WRITE_RETRY_MS = 1000;
/** Timers are set anew at least this often: the clock that they are computed from is not the timer's. */
const LONGEST_SLEEP_MS = 60_000;

const STOPPING: Fault = { kind: "not-ready", reason: "it is stopping" };

/** What `startLoop` keeps between events. */
type Kept = {
  readonly options: LoopOptions;
  readonly timers: Timers;
  readonly askers: Askers;
  pool: Pool;
  wakeAtMs: number | undefined;
  queue: Entry[];
  isScheduled: boolean;
  timer: Disposable | undefined;
  closed: boolean;
};

export function startLoop(options: LoopOptions): Loop {
  const kept: Kept = {
    options,
    timers: options.timers ?? SYSTEM_TIMERS,
    askers: openAskers(),
    pool: options.initial,
    wakeAtMs: undefined,
    queue: [],
    isScheduled: false,
    timer: undefined,
    closed: false,
  };
  return {
    pool: () => kept.pool,
    dispatch: (happening) => enqueue(kept, { happening, changes: [] }),
    commit: (changes, happening) =>
      new Promise((answer) => {
        enqueue(kept, { changes, answer, ...(happening !== undefined && { happening }) });
      }),
    acquire: ({ attachment, deadlineMs, leaseOf }) =>
      new Promise((settle) => {
        const asker: Asker = { attachment, leaseOf, settle };
        enqueue(kept, { happening: { kind: "add-requested", attachment, deadlineMs }, changes: [], asker });
      }),
    cancel: (attachment, fault) => cancel(kept, attachment, fault),
    [Symbol.dispose]() {
      kept.closed = true;
      kept.timer?.[Symbol.dispose]();
      for (const entry of kept.queue) refuse(entry, STOPPING);
      for (const asker of kept.askers.takeAll()) asker.settle(failed(STOPPING));
    },
  };
}

function enqueue(kept: Kept, entry: Entry): void {
  if (kept.closed) return refuse(entry, STOPPING);
  kept.queue.push(entry);
  if (kept.isScheduled) return;
  kept.isScheduled = true;
  kept.timers.atTurnEnd(() => handleAll(kept));
}

/** A fact has nobody who hears of it. */
function refuse({ answer, asker }: Entry, fault: Fault): void {
  answer?.(failed(fault));
  asker?.settle(failed(fault));
}

function handleAll(kept: Kept): void {
  kept.isScheduled = false;
  if (kept.closed || kept.queue.length === 0) return;
  const { nowMs, instanceType, write, onPool } = kept.options;
  const entries = kept.queue;
  kept.queue = [];
  const turn = takeTurn(kept, entries, { askers: kept.askers, nowMs: nowMs(), instanceType });
  const startedMs = nowMs();
  const written = write(turn.changes);
  if (!written.ok) return giveUp(kept, entries, turn, written.fault);
  kept.pool = turn.pool;
  kept.wakeAtMs = turn.wakeAtMs;
  const storeMs = nowMs() - startedMs;
  for (const { answer } of entries) answer?.(written);
  for (const { effect, asker } of turn.effects) carryOut(kept, effect, asker, storeMs);
  onPool(kept.pool);
  wake(kept);
}

/**
 * Who asked, waited for an address, or has changes of its own, hears of the failure and can ask again; what it holds stays as it
 * is. Facts are kept, before all that comes later.
 */
function giveUp(kept: Kept, entries: readonly Entry[], turn: Turn, fault: Fault): void {
  const events = [...new Set(entries.flatMap(({ happening }) => happening?.kind ?? []))];
  kept.options.log.error({ fault, events }, "the state could not be written; nothing was changed");
  kept.queue = [...factsOf(entries, turn), ...kept.queue];
  for (const { asker } of turn.effects) asker?.settle(failed(fault));
  for (const entry of entries) {
    if (entry.asker !== undefined) kept.askers.take(entry.asker.attachment);
    refuse(entry, fault);
  }
  if (kept.queue.length > 0) wakeIn(kept, WRITE_RETRY_MS, () => handleAll(kept));
}

function carryOut(kept: Kept, effect: PoolEffect, asker: Asker | undefined, storeMs: number): void {
  const { log, act } = kept.options;
  switch (effect.kind) {
    case "grant": {
      const { kind: _, attachment: __, ...granted } = effect;
      // Nobody: whoever asked has gone away, which is an event of its own and follows.
      asker?.settle(ok({ ...granted, storeMs }));
      break;
    }
    case "refuse":
      asker?.settle(failed(effect.fault));
      break;
    case "note":
      log[effect.level]({ fault: effect.fault }, effect.text);
      break;
    default:
      act(effect, (happening) => enqueue(kept, { happening, changes: [] }));
  }
}

function cancel(kept: Kept, attachment: Attachment, fault: Fault): void {
  const key = attachmentKey(attachment);
  const unheard = kept.queue.find(
    ({ asker }) => asker !== undefined && attachmentKey(asker.attachment) === key,
  );
  if (unheard !== undefined) {
    kept.queue = kept.queue.filter((entry) => entry !== unheard);
    return refuse(unheard, fault);
  }
  const asker = kept.askers.take(attachment);
  if (asker === undefined) return;
  // Before the pool refuses it in its own words.
  asker.settle(failed(fault));
  enqueue(kept, { happening: { kind: "released", attachment }, changes: [] });
}

function wake(kept: Kept): void {
  const { wakeAtMs } = kept;
  kept.timer?.[Symbol.dispose]();
  if (wakeAtMs === undefined || kept.closed) return;
  const inMs = Math.max(0, Math.min(wakeAtMs - kept.options.nowMs(), LONGEST_SLEEP_MS));
  wakeIn(kept, inMs, () => enqueue(kept, { happening: { kind: "ticked" }, changes: [] }));
}

function wakeIn(kept: Kept, ms: number, run: () => void): void {
  kept.timer?.[Symbol.dispose]();
  kept.timer = kept.timers.after(ms, run);
}
