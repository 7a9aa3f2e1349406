/**
 * What the cloud saw, by its own log, against what a node may ask of it.
 *
 * @module
 */
import { type CallReport } from "../../sim/model/calls.ts";

/** The rate of `rate_limit` where the configuration does not say (docs/configuration.md), and what may come at once. */
const [CALLS_A_MINUTE, CALLS_AT_ONCE] = [60, 10];
const MINUTE_S = 60;

/**
 * One line for each action and window in which the cloud saw more calls than one node may make: in any `n` seconds the
 * burst, and a call for each second. `slackS`: by how much the log may be wrong about when a call was made.
 */
export function aboveBudget(report: Pick<CallReport, "seconds">, slackS: number): string[] {
  const byAction = Map.groupBy(
    report.seconds.filter(({ action }) => !action.startsWith("Metadata")),
    ({ action }) => action,
  );
  return [...byAction].flatMap(([action, seconds]) => {
    const times = seconds.flatMap(({ second, calls }) => Array.from({ length: calls }, () => second));
    const worst = times
      .flatMap((from, first) =>
        times.slice(first).map((to, more) => {
          const allowed = CALLS_AT_ONCE + ((to - from + 1 + slackS) * CALLS_A_MINUTE) / MINUTE_S;
          return { calls: more + 1, seconds: to - from + 1, over: more + 1 - allowed };
        }),
      )
      .reduce((a, b) => (b.over > a.over ? b : a), { calls: 0, seconds: 0, over: 0 });
    return worst.over > 0 ? [`${action}: ${worst.calls} calls in ${worst.seconds} s`] : [];
  });
}

/** How often each action was called from one report to a later one; actions without a call are left out. */
export function callsSince(before: CallReport, after: CallReport): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(after.totals)
      .map(([action, { calls }]) => [action, calls - (before.totals[action]?.calls ?? 0)] as const)
      .filter(([, calls]) => calls > 0),
  );
}
