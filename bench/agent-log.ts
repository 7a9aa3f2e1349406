/**
 * Where the milliseconds of an ADD or DEL went inside the agent, from its log. Pure.
 *
 * @module
 */
import * as z from "zod";

/** All in milliseconds, one number for each pod, in the order of the log. */
export type AgentPhases = {
  /** ADD: from the call until an address was given and the lease written. */
  readonly waitedMs: readonly number[];
  /** ADD: interface, routes, rules, and the lease marked done. */
  readonly kernelMs: readonly number[];
  /** DEL: from the call until the address was back in the pool. */
  readonly detachMs: readonly number[];
  /** ADD: as the agent tells its callers (`TIMING_TRAILER`). */
  readonly timing: readonly AddTiming[];
};

/** Where the time of an ADD went, in milliseconds: they add up to the total. */
export type AddTiming = z.infer<typeof TIMING>;

const TIMING = z.object({ wait: z.number(), store: z.number(), netlink: z.number(), total: z.number() });

/** Lines that are no JSON (the runtime's own warnings) are passed over. */
export function phasesOf(log: string): AgentPhases {
  const entries = log.split("\n").flatMap(parseLine);
  const numbers = (message: string, field: string): readonly number[] =>
    entries
      .filter((entry) => entry["msg"] === message)
      .map((entry) => entry[field])
      .filter((value) => typeof value === "number");
  return {
    waitedMs: numbers("pod attached", "waitedMs"),
    kernelMs: numbers("pod attached", "kernelMs"),
    detachMs: numbers("pod detached", "tookMs"),
    timing: entries.flatMap((entry) => {
      const timing = TIMING.safeParse(entry["timing"]);
      return timing.success ? [timing.data] : [];
    }),
  };
}

/** From each ADD's call until its answer, as far as the agent sees it. */
export function totalMs({ waitedMs, kernelMs }: Pick<AgentPhases, "waitedMs" | "kernelMs">): number[] {
  return waitedMs.map((ms, index) => ms + (kernelMs[index] ?? 0));
}

function parseLine(line: string): readonly Readonly<Record<string, unknown>>[] {
  if (!line.startsWith("{")) return [];
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? [Object.fromEntries(Object.entries(value))] : [];
  } catch {
    return [];
  }
}
