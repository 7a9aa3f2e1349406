/**
 * Processes that outlive the one that started them: a pid alone may be another process by now, so its start time goes
 * with it.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

/** One process of one boot. */
export const processIdentity = z.object({
  pid: z.int().positive(),
  /** Field 22 of /proc/PID/stat, proc(5): clock ticks since the boot. */
  startTicks: z.string(),
});
/** See `processIdentity`. */
export type ProcessIdentity = z.infer<typeof processIdentity>;

const TERM_TIMEOUT_MS = 5_000;
const KILL_TIMEOUT_MS = 2_000;
const POLL_MS = 20;

/** The identity of a process that runs now; `undefined` where there is none, or only its exit status is left. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The second field, the command, may contain blanks and parentheses.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTicks] = [fields?.[0], fields?.[19]];
  return startTicks === undefined || state === "Z" ? undefined : { pid, startTicks };
}

/** True where that very process runs, not another one with its pid. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identify(identity.pid))?.startTicks === identity.startTicks;
}

/** Asks the process to end (SIGTERM), and after 5 seconds makes it (SIGKILL). Returns when it is gone. */
export async function endProcess(identity: ProcessIdentity): Promise<void> {
  for (const [signal, timeoutMs] of [
    ["SIGTERM", TERM_TIMEOUT_MS],
    ["SIGKILL", KILL_TIMEOUT_MS],
  ] as const) {
    if (!(await isAlive(identity))) return;
    try {
      process.kill(identity.pid, signal);
    } catch {
      // Gone between the question and the signal; the next question says so.
    }
    for (let waitedMs = 0; waitedMs < timeoutMs && (await isAlive(identity)); waitedMs += POLL_MS)
      await sleep(POLL_MS);
  }
  if (await isAlive(identity)) throw new Error(`process ${identity.pid} does not end, not even by SIGKILL`);
}
