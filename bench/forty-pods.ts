/**
 * Forty pods at once, as several rows begin.
 *
 * @module
 */
import { type Lab } from "./lab.ts";

/** Fits a node of the benchmark: 45 addresses. */
export const FORTY = 40;

/** Adds them all at the same time; milliseconds from the first exec to the last answer. Throws where one fails, after all have ended. */
export async function addForty(lab: Lab): Promise<number> {
  const containers = await lab.containers(FORTY);
  const startedMs = performance.now();
  const ended = await Promise.allSettled(containers.map((container) => lab.ours.exec("ADD", container)));
  const tookMs = performance.now() - startedMs;
  for (const end of ended) if (end.status === "rejected") throw end.reason;
  return tookMs;
}
