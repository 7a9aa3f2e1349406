/**
 * The rate budget of a node: how fast it may call each action of the cloud, and who goes first when that is short.
 *
 * The quota of the API is one for the whole account (some hundred calls a minute and action, for all nodes and the
 * console together), so each node stays far below it on its own: a token bucket for each action. A throttled call
 * halves the bucket's rate and empties it; each call that passes gives a little back (additive increase,
 * multiplicative decrease). Beside the rates there is one limit on calls under way.
 *
 * Who waits is served by priority, oldest first within one. A waiting pod goes before all others, and a small reserve
 * of turns and of calls under way is kept for it, so that it finds a free one. That this starves nobody, a call that
 * has waited for `agedMs` is served first, at most one every `agedMs` and action.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Priority } from "../core/cloud.ts";
import { type Action } from "./failure-table.ts";

export type BudgetOptions = {
  /** Calls a minute, for the actions where it is not `defaultPerMinute`. */
  readonly ratesPerMinute?: Partial<Record<Action, number>>;
  /** 60 where absent. */
  readonly defaultPerMinute?: number;
  /** Calls that may be made at once after a quiet time; 10 where absent. */
  readonly burst?: number;
  /** Calls under way at the same time, all actions together; 8 where absent. */
  readonly concurrency?: number;
  /** How long a call of low priority stands behind others; 20 s where absent. */
  readonly agedMs?: number;
  /** How long a call waits at most before it fails without having been made; 60 s where absent. */
  readonly maxWaitMs?: number;
  /** Calls that may wait, all actions together; 256 where absent. */
  readonly maxWaiting?: number;
  /** Milliseconds that never go back, such as `performance.now`. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
};

/** What a call tells the budget when it has ended. */
export type CallOutcome =
  | { readonly kind: "passed" }
  | { readonly kind: "throttled"; readonly retryAfterMs?: number }
  /** Failed for a reason that says nothing about rates. */
  | { readonly kind: "other" };

/** The right to make one call. */
export type Slot = {
  readonly waitedMs: number;
  /** Gives the right back; to be called exactly once. */
  done(outcome: CallOutcome): void;
};

export type ActionStats = {
  readonly calls: number;
  readonly throttled: number;
  /** Sum over all calls that waited for their turn, milliseconds. */
  readonly waitedMs: number;
  readonly waiting: number;
  /** The present rate. */
  readonly ratePerMinute: number;
};

export type Budget = {
  /** Waits for a turn. The failure says in words why there was none. */
  acquire(action: Action, priority: Priority): Promise<Result<Slot, string>>;
  /** Per action that was ever called. */
  stats(): Readonly<Partial<Record<Action, ActionStats>>>;
};

type Waiter = {
  readonly sinceMs: number;
  readonly priority: Priority;
  readonly settle: (result: Result<Slot, string>) => void;
};

type Bucket = {
  readonly basePerMinute: number;
  ratePerMinute: number;
  tokens: number;
  filledAtMs: number;
  /** The cloud's own wish after a throttle. */
  blockedUntilMs: number;
  lastAgedMs: number;
  calls: number;
  throttled: number;
  waitedMs: number;
  readonly waiting: Waiter[];
};

const RANK = { pod: 0, "warm-up": 1, release: 2, describe: 3 } as const satisfies Record<Priority, number>;
/** A throttled bucket never gets slower than one call in this time. */
const SLOWEST_PER_MINUTE = 2;
/** Share of the base rate that a passed call gives back. */
const RECOVERY = 0.05;
const MINUTE_MS = 60_000;

/** Turns, and calls under way, that only a pod's call may take. */
const POD_RESERVE = 2;

type Settings = Required<Omit<BudgetOptions, "ratesPerMinute">> & {
  readonly ratesPerMinute: Partial<Record<Action, number>>;
};

type State = {
  readonly settings: Settings;
  readonly buckets: Map<Action, Bucket>;
  running: number;
  waiting: number;
  /** When the earliest timer comes; infinite where none is set. */
  wakeAtMs: number;
};

/** All buckets start full. Options are positive numbers. */
export function openBudget(options: BudgetOptions): Budget {
  const state: State = {
    settings: {
      ratesPerMinute: {},
      defaultPerMinute: 60,
      burst: 10,
      concurrency: 8,
      agedMs: 20_000,
      maxWaitMs: 60_000,
      maxWaiting: 256,
      ...options,
    },
    buckets: new Map(),
    running: 0,
    waiting: 0,
    wakeAtMs: Number.POSITIVE_INFINITY,
  };
  return {
    acquire(action, priority) {
      if (state.waiting >= state.settings.maxWaiting) {
        return Promise.resolve(failed(`${state.waiting} calls wait for their turn already`));
      }
      return new Promise((settle) => {
        state.waiting += 1;
        bucketOf(state, action).waiting.push({ sinceMs: options.now(), priority, settle });
        serve(state);
      });
    },
    stats: () => Object.fromEntries([...state.buckets].map(([action, bucket]) => [action, statsOf(bucket)])),
  };
}

/** Starts whatever may start now, and arranges to come back when the next may. */
function serve(state: State): void {
  const nowMs = state.settings.now();
  for (const [action, bucket] of state.buckets) {
    fill(bucket, state.settings.burst, nowMs);
    state.waiting -= expire(action, bucket, state.settings.maxWaitMs, nowMs);
  }
  for (let next = choose(state, nowMs); next !== undefined; next = choose(state, nowMs)) {
    start(state, next, nowMs);
  }
  const wakeMs = nextWake(state, nowMs);
  if (wakeMs < state.wakeAtMs) void wake(state, wakeMs, nowMs);
}

async function wake(state: State, wakeMs: number, nowMs: number): Promise<void> {
  state.wakeAtMs = wakeMs;
  await state.settings.sleep(Math.max(1, Math.ceil(wakeMs - nowMs)));
  // An earlier one may have been set meanwhile; then that one looks after the rest.
  if (state.wakeAtMs === wakeMs) state.wakeAtMs = Number.POSITIVE_INFINITY;
  serve(state);
}

function start(state: State, { bucket, waiter, aged }: Choice, nowMs: number): void {
  const waitedMs = nowMs - waiter.sinceMs;
  bucket.waiting.splice(bucket.waiting.indexOf(waiter), 1);
  bucket.tokens -= 1;
  bucket.calls += 1;
  bucket.waitedMs += waitedMs;
  if (aged) bucket.lastAgedMs = nowMs;
  state.waiting -= 1;
  state.running += 1;
  let given = true;
  const done = (outcome: CallOutcome): void => {
    if (!given) throw new Error("a slot of the rate budget was given back twice");
    given = false;
    state.running -= 1;
    learn(bucket, outcome, state.settings.now());
    serve(state);
  };
  waiter.settle(ok({ waitedMs, done }));
}

function bucketOf(state: State, action: Action): Bucket {
  const known = state.buckets.get(action);
  if (known !== undefined) return known;
  const { ratesPerMinute, defaultPerMinute, now } = state.settings;
  const fresh = newBucket(ratesPerMinute[action] ?? defaultPerMinute, state.settings.burst, now());
  state.buckets.set(action, fresh);
  return fresh;
}

function newBucket(basePerMinute: number, burst: number, nowMs: number): Bucket {
  return {
    basePerMinute,
    ratePerMinute: basePerMinute,
    tokens: burst,
    filledAtMs: nowMs,
    blockedUntilMs: nowMs,
    lastAgedMs: Number.NEGATIVE_INFINITY,
    calls: 0,
    throttled: 0,
    waitedMs: 0,
    waiting: [],
  };
}

function fill(bucket: Bucket, burst: number, nowMs: number): void {
  const gained = ((nowMs - bucket.filledAtMs) * bucket.ratePerMinute) / MINUTE_MS;
  bucket.tokens = Math.min(burst, bucket.tokens + gained);
  bucket.filledAtMs = nowMs;
}

function learn(bucket: Bucket, outcome: CallOutcome, nowMs: number): void {
  switch (outcome.kind) {
    case "passed":
      bucket.ratePerMinute = Math.min(
        bucket.basePerMinute,
        bucket.ratePerMinute + bucket.basePerMinute * RECOVERY,
      );
      return;
    case "throttled":
      bucket.throttled += 1;
      bucket.ratePerMinute = Math.max(
        Math.min(SLOWEST_PER_MINUTE, bucket.basePerMinute),
        bucket.ratePerMinute / 2,
      );
      bucket.tokens = Math.min(bucket.tokens, 0);
      bucket.filledAtMs = nowMs;
      bucket.blockedUntilMs = Math.max(bucket.blockedUntilMs, nowMs + (outcome.retryAfterMs ?? 0));
      return;
    case "other":
      return;
    default:
      outcome satisfies never;
  }
}

/** Answers who has waited too long; the number of them. */
function expire(action: Action, bucket: Bucket, maxWaitMs: number, nowMs: number): number {
  const late = bucket.waiting.filter((waiter) => nowMs - waiter.sinceMs >= maxWaitMs);
  for (const waiter of late) {
    bucket.waiting.splice(bucket.waiting.indexOf(waiter), 1);
    waiter.settle(
      failed(
        `the node's rate budget for ${action} (${Math.round(bucket.ratePerMinute)} a minute) gave no turn within ${maxWaitMs} ms`,
      ),
    );
  }
  return late.length;
}

type Choice = { readonly bucket: Bucket; readonly waiter: Waiter; readonly aged: boolean };

/** Who goes next over all actions. */
function choose(state: State, nowMs: number): Choice | undefined {
  const { settings } = state;
  let best: Choice | undefined;
  for (const bucket of state.buckets.values()) {
    if (bucket.blockedUntilMs > nowMs) continue;
    for (const waiter of bucket.waiting) {
      const aged = isAged(bucket, waiter, settings, nowMs);
      const choice = { bucket, waiter, aged };
      const reserve = aged ? 0 : POD_RESERVE;
      const freeCalls = settings.concurrency - state.running;
      if (bucket.tokens < turnsNeeded(waiter, reserve, settings.burst)) continue;
      if (freeCalls < turnsNeeded(waiter, reserve, settings.concurrency)) continue;
      if (best === undefined || goesBefore(choice, best)) best = choice;
    }
  }
  return best;
}

function isAged(bucket: Bucket, waiter: Waiter, { agedMs }: Settings, nowMs: number): boolean {
  return nowMs - waiter.sinceMs >= agedMs && nowMs - bucket.lastAgedMs >= agedMs;
}

/** How many must be free so that this one may take one of them; never more than there are. */
function turnsNeeded(waiter: Waiter, reserve: number, most: number): number {
  return waiter.priority === "pod" ? 1 : Math.min(1 + reserve, most);
}

function goesBefore(a: Choice, b: Choice): boolean {
  const rank = (choice: Choice): number => (choice.aged ? -1 : RANK[choice.waiter.priority]);
  return rank(a) < rank(b) || (rank(a) === rank(b) && a.waiter.sinceMs < b.waiter.sinceMs);
}

/** When something changes by time alone: a turn, the end of a block, somebody's age, a waiter that is too late. */
function nextWake(state: State, nowMs: number): number {
  const { settings } = state;
  const events: number[] = [];
  for (const bucket of state.buckets.values()) {
    const { blockedUntilMs } = bucket;
    for (const waiter of bucket.waiting) {
      events.push(blockedUntilMs, waiter.sinceMs + settings.maxWaitMs);
      events.push(Math.max(waiter.sinceMs, bucket.lastAgedMs) + settings.agedMs);
      for (const reserve of [0, POD_RESERVE]) {
        const missing = turnsNeeded(waiter, reserve, settings.burst) - bucket.tokens;
        events.push(Math.max(blockedUntilMs, nowMs + (missing * MINUTE_MS) / bucket.ratePerMinute));
      }
    }
  }
  // What is past waits for a call to end, which serves it.
  return Math.min(...events.filter((eventMs) => eventMs > nowMs));
}

function statsOf(bucket: Bucket): ActionStats {
  return {
    calls: bucket.calls,
    throttled: bucket.throttled,
    waitedMs: bucket.waitedMs,
    waiting: bucket.waiting.length,
    ratePerMinute: bucket.ratePerMinute,
  };
}
