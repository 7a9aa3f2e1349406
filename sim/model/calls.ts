/**
 * What was called: totals, counts per action and second, and the newest calls with their parameters.
 *
 * @module
 */
import { type Parameters } from "./parameters.ts";

const SECONDS_KEPT = 3600;
const RECENT_KEPT = 1000;

/** Counts of calls. */
export type CallCounts = {
  /** All calls, refused and throttled ones included. */
  readonly calls: number;
  /** Answered with an error, throttled ones not included. */
  readonly refused: number;
  readonly throttled: number;
  /** Had their effect but got no answer, or none at all. */
  readonly lost: number;
};

/** How a call ended. */
export type CallEnd = "ok" | "refused" | "throttled" | "lost";

/** One call of the recent past. */
export type RecentCall = {
  /** Simulated time. */
  readonly atMs: number;
  readonly action: string;
  readonly parameters: Parameters;
  readonly end: CallEnd;
  /** Error code; empty where it went well. */
  readonly code: string;
  readonly requestId: string;
};

/** Belongs to the model. */
export type CallLog = {
  readonly totals: Map<string, CallCounts>;
  readonly seconds: { readonly second: number; readonly actions: Map<string, CallCounts> }[];
  readonly recent: RecentCall[];
};

/** What `terway-sim calls` shows. */
export type CallReport = {
  readonly totals: Readonly<Record<string, CallCounts>>;
  /** `second` counts from 1970 in simulated time. Seconds without calls are absent. The newest 3600 are kept. */
  readonly seconds: readonly ({ readonly second: number; readonly action: string } & CallCounts)[];
  /** The newest 1000, oldest first. */
  readonly recent: readonly RecentCall[];
};

export function emptyCallLog(): CallLog {
  return { totals: new Map(), seconds: [], recent: [] };
}

/** Counts a call when it is settled; `call.atMs` says in which second. */
export function noteCall(log: CallLog, call: RecentCall): void {
  log.totals.set(call.action, counted(log.totals.get(call.action), call.end));
  const second = Math.floor(call.atMs / 1000);
  let entry = log.seconds.findLast((candidate) => candidate.second === second);
  if (entry === undefined) {
    entry = { second, actions: new Map() };
    log.seconds.push(entry);
    if (log.seconds.length > SECONDS_KEPT) log.seconds.shift();
  }
  entry.actions.set(call.action, counted(entry.actions.get(call.action), call.end));
  log.recent.push(call);
  if (log.recent.length > RECENT_KEPT) log.recent.shift();
}

/** Everything that is kept, as data of its own. */
export function reportCalls(log: CallLog): CallReport {
  return {
    totals: Object.fromEntries(log.totals),
    seconds: log.seconds
      .flatMap(({ second, actions }) =>
        [...actions].map(([action, counts]) => ({ second, action, ...counts })),
      )
      .toSorted((a, b) => a.second - b.second),
    recent: [...log.recent],
  };
}

function counted(counts: CallCounts | undefined, end: CallEnd): CallCounts {
  const before = counts ?? { calls: 0, refused: 0, throttled: 0, lost: 0 };
  return {
    calls: before.calls + 1,
    refused: before.refused + (end === "refused" ? 1 : 0),
    throttled: before.throttled + (end === "throttled" ? 1 : 0),
    lost: before.lost + (end === "lost" ? 1 : 0),
  };
}
