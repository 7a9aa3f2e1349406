/**
 * The demo's proof that pods do not notice the death of an agent.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { pingStream } from "../harness/traffic.ts";
import { type DemoNode, type DemoNodes } from "./demo-nodes.ts";
import { type Report } from "./report.ts";

/** Time for packets before the death, between it and the next start, and after that. */
const [BEFORE_MS, DEAD_MS, AFTER_MS] = [500, 300, 500];
/** Of the pod that the new agent serves; no other has it. */
const INDEX_AGAIN = 99;

/** From a namespace to an address, a packet so often. */
export type Flows = {
  readonly flows: readonly (readonly [namespace: string, target: string])[];
  readonly everyMs: number;
};

/** kill -9 and restart of `node`'s agent. Of the packets none may be lost. */
export async function proveAgentDeath<Node extends DemoNode>(
  cluster: Pick<DemoNodes<Node>, "agents" | "pods" | "start" | "add">,
  node: Node,
  { flows, everyMs }: Flows,
  report: Report,
): Promise<void> {
  const streams = flows.map(([namespace, target]) => pingStream(namespace, target, everyMs));
  const stop = async () => Promise.all(streams.map(async (stream) => stream.stop()));
  try {
    await sleep(BEFORE_MS);
    const startedMs = performance.now();
    await cluster.agents.get(node.name)?.kill();
    await sleep(DEAD_MS);
    const restartMs = performance.now();
    await cluster.start(node);
    const servingMs = Math.round(performance.now() - restartMs);
    await sleep(AFTER_MS);
    const results = await stop();
    const sent = results.reduce((sum, result) => sum + result.sent, 0);
    const received = results.reduce((sum, result) => sum + result.received, 0);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    report.check(
      sent > 100 && received === sent,
      `agent of ${node.name} killed and restarted: ${received} of ${sent} packets arrived in ${seconds} s`,
    );
    report.line(`      the new agent served after ${servingMs} ms and knows its pods`);
  } finally {
    await stop();
  }
  const again = await cluster.add(node, INDEX_AGAIN);
  const holders = cluster.pods.filter(({ attached }) => attached.address === again.attached.address);
  report.check(
    holders.length === 1,
    `a new pod gets an address that no other has: ${again.attached.address}`,
  );
}
