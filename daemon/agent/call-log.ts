/**
 * Writes each call of the cloud into the log, and says once when the cloud answers again after it did not.
 *
 * @module
 */
import { type CallRecord } from "../cloud/invoke.ts";
import { type CloudFailure } from "../core/cloud.ts";

type Write = (facts: object, text: string) => void;

/** Times when nothing passed. */
type Trouble = { readonly sinceMs: number; readonly calls: number };

/** `now`: milliseconds that never go back. */
export function openCallLog(
  log: { readonly info: Write; readonly debug: Write },
  now: () => number,
): (record: CallRecord) => void {
  let trouble: Trouble | undefined;
  return ({ action, target, priority, failure, waitedMs, tookMs }) => {
    const facts = { action, target, priority, waitedMs: Math.round(waitedMs), tookMs: Math.round(tookMs) };
    if (failure === undefined) {
      log.debug(facts, "cloud call");
      if (trouble !== undefined) {
        const forMs = Math.round(now() - trouble.sinceMs);
        log.info({ action, failures: trouble.calls, forMs }, "the cloud answers again");
      }
      trouble = undefined;
      return;
    }
    const { class: kind, effect, fault } = failure;
    log.info({ ...facts, class: kind, effect, fault }, "cloud call failed");
    if (isTrouble(failure))
      trouble = { sinceMs: trouble?.sinceMs ?? now() - tookMs, calls: (trouble?.calls ?? 0) + 1 };
  };
}

/** True where the cloud did not judge the call itself: no answer, too many calls, no key to sign with. */
function isTrouble({ fault }: CloudFailure): boolean {
  if (fault.kind === "cloud") return fault.code.includes("Throttling");
  return fault.kind === "cloud-unreachable" || fault.kind === "metadata";
}
