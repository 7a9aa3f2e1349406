/**
 * The demo's proof that pods do not notice the death of an agent.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { pingStream } from "../harness/traffic.ts";
import { type Report } from "./report.ts";

/** Time for packets before the death, between it and the next start, and after that. */
const [BEFORE_MS, DEAD_MS, AFTER_MS] = [500, 300, 500];
const PACKET_EVERY_MS = 5;

/** `flows`: from a namespace to an address. Of their packets none may be lost. */
export async function proveAgentDeath(
  report: Report,
  node: string,
  flows: readonly (readonly [namespace: string, target: string])[],
  agent: { readonly kill: () => Promise<void>; readonly start: () => Promise<void> },
): Promise<void> {
  const streams = flows.map(([namespace, target]) => pingStream(namespace, target, PACKET_EVERY_MS));
  const stop = async () => Promise.all(streams.map(async (stream) => stream.stop()));
  try {
    await sleep(BEFORE_MS);
    const startedMs = performance.now();
    await agent.kill();
    await sleep(DEAD_MS);
    const restartMs = performance.now();
    await agent.start();
    const servingMs = Math.round(performance.now() - restartMs);
    await sleep(AFTER_MS);
    const results = await stop();
    const sent = results.reduce((sum, result) => sum + result.sent, 0);
    const received = results.reduce((sum, result) => sum + result.received, 0);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    report.check(
      sent > 100 && received === sent,
      `agent of ${node} killed and restarted: ${received} of ${sent} packets arrived in ${seconds} s`,
    );
    report.line(`      the new agent served after ${servingMs} ms and knows its pods`);
  } finally {
    await stop();
  }
}
