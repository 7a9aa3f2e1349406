/**
 * What the agent is known not to hold yet. Each gap turns one kind of fault off, by name, so that nothing is left out
 * silently; docs/reliability.md has a line for each.
 *
 * @module
 */
import { type Excluded } from "./operations.ts";

/** `lacks`: what would have to be built. */
export type Gap = Excluded & { readonly name: string; readonly lacks: string };

export const LATE_REBUILD: Gap = {
  name: "late-rebuild",
  lacks:
    "a database that is lost while views lag, or after an operator took addresses away, is rebuilt with some that are gone",
  meets: ({ kind }, { late }) => kind === "lose-store" && late,
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

export const KNOWN_GAPS: readonly Gap[] = [LATE_REBUILD, LATE_STUCK];
