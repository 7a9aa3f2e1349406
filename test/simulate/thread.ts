/**
 * A thread of `crew.ts`: plays batches that it is sent, and answers each.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { campaign, type Totals } from "./campaign.ts";
import { type Batch, type Played } from "./crew.ts";

parentPort?.on("message", (batch: Batch) => {
  void (async () => {
    let totals: Totals = { histories: 0, operations: 0, events: 0, virtualMs: 0 };
    const finding = await campaign({
      ...batch,
      // Whoever reports the smallest seed of all plays it again.
      shortenTries: 0,
      onHistory(now) {
        totals = now;
      },
    });
    const played: Played = { totals, failed: finding?.history.seed };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage(played);
  })();
});
