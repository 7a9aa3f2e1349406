/**
 * The main thread's end of the netlink thread: jobs go in, in order; results come out as promises that never reject.
 * At most `QUEUE_MAX` jobs wait; one that has waited too long is not begun (`expired`), so that nothing happens after its
 * caller was told that it did not.
 *
 * @module
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import {
  type FromThread,
  type Job,
  type JobResult,
  monotonicMs,
  type Order,
  type ThreadOptions,
  type ToThread,
} from "./job.ts";

/** Jobs under way and waiting. */
const QUEUE_MAX = 4096;
/** A job that could not begin within this time is not begun any more. */
const QUEUE_WAIT_MS = 20_000;
/** EBUSY and ESHUTDOWN of <asm-generic/errno.h>: what `run` answers for the thread when it is not asked. */
const [EBUSY, ESHUTDOWN] = [16, 108];

export type SocketThread = AsyncDisposable & {
  /** Hands `job` to the thread. Refused with EBUSY where too many wait, with ESHUTDOWN after disposal; disposal waits for what is under way. */
  run(job: Job): Promise<JobResult>;
};

/**
 * Starts the thread. `workerUrl`: where its program is, the source beside this file or the bundle's own. Rejects where it
 * cannot start: the program is not there, or the node's namespace is not.
 */
export async function openSocketThread(workerUrl: URL, options: ThreadOptions): Promise<SocketThread> {
  // No flags of the process: some of them (--input-type) only the main thread understands.
  const worker = new Worker(workerUrl, { workerData: options, name: "netlink", execArgv: [] });
  const waiting = new Map<number, (result: JobResult) => void>();
  let outbox: Order[] = [];
  let nextId = 1;
  let ended = false;

  await once(worker, "message");
  worker.on("message", (results: FromThread) => {
    for (const { id, result } of results) {
      waiting.get(id)?.(result);
      waiting.delete(id);
    }
    if (waiting.size === 0) worker.unref();
  });
  // The thread turns what the kernel refuses into values. What it throws is a bug, and the process ends.
  worker.on("error", (error) => {
    throw error;
  });
  // An idle thread does not keep the process alive.
  worker.unref();

  function send(job: Job, startByMs: number): Promise<JobResult> {
    const id = nextId++;
    return new Promise((resolve) => {
      if (waiting.size === 0) worker.ref();
      waiting.set(id, resolve);
      outbox.push({ id, startByMs, job });
      // After all that has arrived by now was looked at.
      if (outbox.length === 1) setImmediate(post);
    });
  }

  function post(): void {
    const orders: ToThread = outbox;
    outbox = [];
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(orders);
  }

  return {
    run(job) {
      if (ended) return refusal(ESHUTDOWN);
      if (waiting.size >= QUEUE_MAX) return refusal(EBUSY);
      return send(job, monotonicMs() + QUEUE_WAIT_MS);
    },
    async [Symbol.asyncDispose]() {
      if (ended) return;
      ended = true;
      const exit = once(worker, "exit");
      await send({ kind: "stop" }, Number.MAX_SAFE_INTEGER);
      worker.ref();
      await exit;
    },
  };
}

function refusal(errno: number): Promise<JobResult> {
  return Promise.resolve({ kind: "failed", failure: { call: "netlink thread", errno } });
}
