/**
 * GC: which attachments of a network are removed, by what the caller says of them and what the node shows.
 *
 * @module
 */

/** What the runtime's list says; "no-list" where it gave none (CNI SPEC.md 1.1.0 does not say what that means). */
export type Listed = "listed" | "unlisted" | "no-list";

/** What the node shows of an attachment that has a lease. */
export type Traces = {
  /** The path of its network namespace leads to one. */
  readonly netns: boolean;
  /** The host's end of its link is there, with the route to its address: some namespace holds the other end. */
  readonly link: boolean;
};

/**
 * - "keep": nothing to do.
 * - "spare": the caller says that it is gone, and it is alive. Its address is in use, so it is kept and the caller's mistake
 *   is worth a warning.
 * - "remove": as DEL would.
 */
export type Ruling = "keep" | "spare" | "remove";

/**
 * Where both traces are there the pod runs, whatever the list says. Where neither is, no pod can have the address: it is
 * removed with a list that lacks it and without a list. One trace alone (a namespace without our interface, a link whose
 * namespace has no path any more) leaves doubts, which only a list can settle.
 */
export function ruleOn(listed: Listed, { netns, link }: Traces): Ruling {
  if (listed === "listed") return "keep";
  if (netns && link) return listed === "unlisted" ? "spare" : "keep";
  return listed === "unlisted" || (!netns && !link) ? "remove" : "keep";
}
