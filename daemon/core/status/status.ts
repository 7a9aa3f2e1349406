/**
 * What STATUS answers, as a state machine: how long the pool has had nothing to give, and what is missing of the node's
 * datapath. It asks for the looks and the repairs that it needs; reading the verdict needs neither.
 *
 *     fine -> checking -> fine                        nothing is missing
 *                      -> mending -> rechecking -> fine | broken
 *     broken -> checking -> …                         "pods-affected" all the while, until a look finds nothing
 *
 * @module
 */
import { describeFault, type Fault } from "../../../proto/fault.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type Outlook } from "../pool/outlook.ts";

export type StatusState = {
  /** Since when nothing could be given, and why not now. */
  readonly starved?: { readonly sinceMs: number; readonly fault: Fault };
  /** What is under way. */
  readonly doing: "nothing" | "checking" | "mending" | "rechecking";
  /** When the datapath was looked at last; absent before the first time. */
  readonly checkedMs?: number;
  /** When all pods were looked at last. */
  readonly podsCheckedMs?: number;
  /** What was missing after the last repair. */
  readonly broken: readonly string[];
  /** What was suspected during a look, which may have been too early for it: looked at next. */
  readonly suspected?: "node" | "pods";
};

/** Each "check" is answered by "checked", each "mend" by "mended". */
export type StatusEvent = { readonly nowMs: number } & (
  | { readonly kind: "outlook"; readonly outlook: Outlook }
  /** Somebody else may have changed something; `pods`: of pods, not only of what they share. */
  | { readonly kind: "suspected"; readonly pods: boolean }
  /** Time has passed, or somebody asks. */
  | { readonly kind: "ticked" }
  | { readonly kind: "checked"; readonly differences: readonly string[] }
  | { readonly kind: "mended" }
);

export type StatusEffect =
  /** Find what differs, change nothing. `pods`: also for each pod, not only in what they share. */
  | { readonly kind: "check"; readonly pods: boolean }
  /** Make again what is missing. */
  | { readonly kind: "mend"; readonly differences: readonly string[] };

export type StatusStep = { readonly state: StatusState; readonly effects: readonly StatusEffect[] };

/** A dip of the pool that is shorter does not show: a node that is "not ready" gets no pods. */
export const STARVED_HOLD_MS = 15_000;
/** How old the last look at the datapath may be. */
export const CHECK_AGE_MAX_MS = 10_000;
/**
 * How old the last look at all pods may be. It finds what makes no noise, such as some files of /proc/sys, and costs a
 * millisecond or two for each pod.
 */
export const PODS_AGE_MAX_MS = 300_000;
/** Lines in an answer; a table that is lost is missing for every pod. */
const DIFFERENCES_MAX = 5;

export const STATUS_AT_START: StatusState = { doing: "nothing", broken: [] };

export function stepStatus(state: StatusState, event: StatusEvent): StatusStep {
  switch (event.kind) {
    case "outlook":
      return { state: withOutlook(state, event.outlook, event.nowMs), effects: [] };
    case "suspected": {
      const pods = event.pods || state.suspected === "pods";
      const suspecting: StatusState = { ...state, suspected: pods ? "pods" : "node" };
      return state.doing === "nothing"
        ? startCheck(suspecting, event.nowMs)
        : { state: suspecting, effects: [] };
    }
    case "ticked":
      if (state.doing !== "nothing" || !isDue(state, event.nowMs)) return { state, effects: [] };
      return startCheck(state, event.nowMs);
    case "checked":
      return withDifferences(state, event.differences, event.nowMs);
    case "mended":
      if (state.doing !== "mending") return { state, effects: [] };
      return {
        state: { ...state, doing: "rechecking" },
        effects: [{ kind: "check", pods: true }],
      };
    default:
      return event satisfies never;
  }
}

/** What the CNI command STATUS gets. What concerns pods that run goes first. */
export function verdict({ broken, starved }: StatusState, nowMs: number): Result<void> {
  if (broken.length > 0) {
    const more = broken.length - DIFFERENCES_MAX;
    const shown = broken.slice(0, DIFFERENCES_MAX);
    return failed({
      kind: "pods-affected",
      differences: more > 0 ? [...shown, `and ${more} more`] : shown,
    });
  }
  if (starved === undefined || nowMs - starved.sinceMs < STARVED_HOLD_MS) return ok(undefined);
  const forS = Math.round((nowMs - starved.sinceMs) / 1000);
  return failed({
    kind: "cannot-serve",
    reason: `no address is idle and none has been to be had for ${forS} s`,
    cause: describeFault(starved.fault),
  });
}

function startCheck({ suspected, ...state }: StatusState, nowMs: number): StatusStep {
  const { podsCheckedMs } = state;
  // At the start, too: nobody listened while no agent was there.
  const isOld = podsCheckedMs === undefined || nowMs - podsCheckedMs >= PODS_AGE_MAX_MS;
  const pods = suspected === "pods" || state.broken.length > 0 || isOld;
  return {
    state: { ...state, doing: "checking", ...(pods && { podsCheckedMs: nowMs }) },
    effects: [{ kind: "check", pods }],
  };
}

function isDue({ checkedMs, suspected }: StatusState, nowMs: number): boolean {
  return suspected !== undefined || checkedMs === undefined || nowMs - checkedMs >= CHECK_AGE_MAX_MS;
}

function withOutlook(state: StatusState, outlook: Outlook, nowMs: number): StatusState {
  if (outlook.kind === "starved")
    return { ...state, starved: { sinceMs: state.starved?.sinceMs ?? nowMs, fault: outlook.fault } };
  const { starved: _, ...fed } = state;
  return fed;
}

function withDifferences(state: StatusState, differences: readonly string[], checkedMs: number): StatusStep {
  const done: StatusState = { ...state, doing: "nothing", checkedMs };
  if (state.doing !== "checking" && state.doing !== "rechecking") return { state, effects: [] };
  if (differences.length === 0) return { state: { ...done, broken: [] }, effects: [] };
  if (state.doing === "rechecking") return { state: { ...done, broken: differences }, effects: [] };
  return { state: { ...state, doing: "mending", checkedMs }, effects: [{ kind: "mend", differences }] };
}
