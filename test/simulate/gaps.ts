/**
 * What the agent is known not to hold yet. Each gap turns one kind of fault off, by name, so that nothing is left out
 * silently; docs/reliability.md has a line for each.
 *
 * @module
 */
import { type Excluded } from "./operations.ts";

/** `lacks`: what would have to be built. */
export type Gap = Excluded & { readonly name: string; readonly lacks: string };

const LOST_DATABASE: Gap = {
  name: "lost-database",
  lacks:
    "a rebuild from late lists, or of pods with IPv6 alone whose ENI is deleted meanwhile, leaves what nobody knows",
  meets: ({ kind }) => kind === "lose-store",
};

export const LATE_STUCK: Gap = {
  name: "late-stuck-detachment",
  lacks:
    "a detachment that is stuck, and seen through views that lag, may come back into service while the cloud has it Detaching",
  meets: (happening, { late, mayStick }) =>
    late
      ? happening.kind === "stuck" && happening.what === "stuckDetach"
      : mayStick && happening.kind === "stale",
};

export const KNOWN_GAPS: readonly Gap[] = [LOST_DATABASE, LATE_STUCK];
