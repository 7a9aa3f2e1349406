/**
 * Memory of a process, as the kernel counts it. Pure.
 *
 * @module
 */

/** In MB of 1,000,000 bytes. */
export type Memory = { readonly rssMb: number; readonly pssMb: number };

/** Reads `/proc/PID/smaps_rollup` (proc(5)). Throws where a line is missing: then it is another file. */
export function parseRollup(text: string): Memory {
  const megabytes = (key: string): number => {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text);
    if (match === null) throw new Error(`smaps_rollup has no line ${key}`);
    return (Number(match[1]) * 1024) / 1e6;
  };
  return { rssMb: megabytes("Rss"), pssMb: megabytes("Pss") };
}
