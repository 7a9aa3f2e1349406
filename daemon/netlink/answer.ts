/**
 * How the netlink thread answers jobs that came together.
 *
 * @module
 */
import { type FromThread, type Job, type JobResult, type ToThread } from "./job.ts";

/** What is done is told this often: whoever was first does not wait for all the others. */
const ANSWER_EVERY_MS = 2;

export type AnswerPorts = {
  readonly carryOut: (job: Job) => JobResult;
  /** Sends results, in the order of their jobs. */
  readonly post: (results: FromThread) => void;
  /** The clock of `startByMs`. */
  readonly nowMs: () => number;
};

/** Carries the jobs out one after the other; each has one result. One that is late is not begun: `expired`. */
export function answerAll(orders: ToThread, { carryOut, post, nowMs }: AnswerPorts): void {
  let done: { readonly id: number; readonly result: JobResult }[] = [];
  let sinceMs = nowMs();
  for (const { id, startByMs, job } of orders) {
    done.push({ id, result: nowMs() > startByMs ? { kind: "expired" } : carryOut(job) });
    if (nowMs() - sinceMs < ANSWER_EVERY_MS) continue;
    post(done);
    done = [];
    sinceMs = nowMs();
  }
  if (done.length > 0) post(done);
}
