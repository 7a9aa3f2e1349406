/**
 * Memory of a process, as the kernel counts it. Pure.
 *
 * @module
 */

/** In MB of 1,000,000 bytes. */
export type Memory = { readonly rssMb: number; readonly pssMb: number };

/** Reads `/proc/PID/smaps_rollup` (proc(5)). Throws where a line is missing: then it is another file. */
export function parseRollup(text: string): Memory {
  return { rssMb: megabytesOf(text, "Rss"), pssMb: megabytesOf(text, "Pss") };
}

function megabytesOf(text: string, key: string): number {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text);
  if (match === null) throw new Error(`smaps_rollup has no line ${key}`);
  return (Number(match[1]) * 1024) / 1e6;
}

/** The parts that tell what a process costs a node, in MB: shared pages counted whole, by share, and not at all. */
export function memoryParts(
  text: string,
): Readonly<Record<"RSS" | "PSS" | "private dirty" | "anonymous", number>> {
  const { rssMb, pssMb } = parseRollup(text);
  return {
    RSS: rssMb,
    PSS: pssMb,
    "private dirty": megabytesOf(text, "Private_Dirty"),
    anonymous: megabytesOf(text, "Anonymous"),
  };
}
