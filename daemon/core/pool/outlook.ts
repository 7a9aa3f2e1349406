/**
 * Could a pod that comes now be served? Asked for STATUS, where no pod waits and nobody is to be refused.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { supplyOf, whyNot } from "./hope.ts";
import { type Eni, type Pool } from "./model.ts";
import { countOf, idleOf } from "./pairs.ts";

export type Outlook =
  | { readonly kind: "serves" }
  /** No address is idle, none is about to be, and no more can be had; `fault` is why. */
  | { readonly kind: "starved"; readonly fault: Fault };

const SERVES: Outlook = { kind: "serves" };

/**
 * Growth that was not tried yet counts as possible. Growth that fails counts as impossible while it is repeated, also where
 * the next try may well succeed: the repetition needs no pod to go on, so the outlook mends itself.
 */
export function outlook(pool: Pool, nowMs: number): Outlook {
  const enis = [...pool.enis.values()];
  if (enis.some((eni) => hasAddress(pool, eni))) return SERVES;
  if (!pool.cloudSeen) {
    const { fault } = pool.survey;
    return fault === undefined ? SERVES : { kind: "starved", fault: fault.fault };
  }
  if (supplyOf(pool, nowMs) <= 0) return { kind: "starved", fault: whyNot(pool, nowMs) };
  const isFailing = enis.some(fails) && !enis.some(isUnderWay);
  return isFailing ? { kind: "starved", fault: pool.lastFault ?? whyNot(pool, nowMs) } : SERVES;
}

/** One that serves at once, or when its cooldown ends. */
function hasAddress(pool: Pool, eni: Eni): boolean {
  return eni.state.kind === "ready" && idleOf(pool, eni) + countOf(eni, "cooling", "ipv4") > 0;
}

/** A call for more addresses that failed and is repeated. */
function fails({ state, assigning }: Eni): boolean {
  const isStateFailing = (state.kind === "creating" || state.kind === "attaching") && state.call.tries > 0;
  return isStateFailing || (assigning !== undefined && assigning.call.tries > 0);
}

/** More addresses are on their way, and nothing has gone wrong. */
function isUnderWay({ state, assigning }: Eni): boolean {
  const isStateFine = (state.kind === "creating" || state.kind === "attaching") && state.call.tries === 0;
  return isStateFine || state.kind === "linking" || assigning?.call.tries === 0;
}
