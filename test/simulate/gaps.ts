/**
 * What the agent is known not to hold yet. Each gap turns one kind of fault off, by name, so that nothing is left out
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

/** Describe may lag by so much without harm (`ATTACH_LAG_MS` of `daemon/core/pool/cloud-view.ts`, less a look). */
const LAG_HARMLESS_MS = 1_500;

const STALE_VIEWS: Gap = {
  name: "stale-views",
  lacks: "views that lag by more than 2.5 s are believed: an ENI or address made meanwhile counts as lost",
  meets: (happening) => happening.kind === "stale" && happening.lagMs > LAG_HARMLESS_MS,
};

export const KNOWN_GAPS: readonly Gap[] = [STALE_VIEWS];
