/**
 * What the agent is known not to hold yet: none now. Each gap turns one kind of fault off, by name, so that nothing is left out
 * silently; docs/reliability.md has a line for each.
 *
 * @module
 */
import { type Happening } from "./operations.ts";

export type Gap = {
  readonly name: string;
  /** What would have to be built. */
  readonly lacks: string;
  readonly meets: (happening: Happening) => boolean;
};

export const KNOWN_GAPS: readonly Gap[] = [];
