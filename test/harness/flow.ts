/**
 * A flow of bytes between two namespaces, and how fast it was: `flow-end.ts` at both ends.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { background, type Background, until } from "./process.ts";

export type Flow = {
  readonly protocol: "tcp" | "udp";
  /** Name of the namespace that sends. */
  readonly from: string;
  /** Name of the namespace that receives, and its address. */
  readonly to: string;
  readonly address: string;
  readonly port: number;
  readonly durationMs: number;
  /** UDP: what is sent. TCP takes what it gets. */
  readonly bitsPerSecond?: number;
};

export type FlowResult = {
  /**
   * Payload, bits a second, after `SETTLED_MS`: the median of windows of `WINDOW_MS`, so that an end that does not get its
   * turn on the CPU for a while counts for little.
   */
  readonly bitsPerSecond: number;
  /** Payload that had come so long after the first byte, bytes. */
  readonly bytesAt: (ms: number) => number;
};

/** After this the start of TCP and a burst are over. */
const SETTLED_MS = 500;
const WINDOW_MS = 150;
const END = fileURLToPath(new URL("./flow-end.ts", import.meta.url));

/** Runs the flow; throws where nothing came. */
export async function runFlow(flow: Flow): Promise<FlowResult> {
  const { protocol, address, port, durationMs, bitsPerSecond = 0 } = flow;
  const ends = [protocol, address, String(port)];
  const receiver = start(flow.to, ["receive", ...ends, String(durationMs)]);
  let sender: Background | undefined;
  try {
    await until("the receiver listens", async () => receiver.output().includes("listening"), 10_000, 10);
    // The sender goes on until the receiver has seen enough.
    sender = start(flow.from, ["send", ...ends, String(durationMs + 5000), String(bitsPerSecond)]);
    await receiver.ended;
  } finally {
    sender?.kill("SIGKILL");
    receiver.kill("SIGKILL");
    await Promise.all([sender?.ended, receiver.ended]);
  }
  return resultOf(receiver.output());
}

function start(namespace: string, args: readonly string[]): Background {
  return background("ip", ["netns", "exec", namespace, process.execPath, END, ...args]);
}

function resultOf(output: string): FlowResult {
  const line = output.split("\n").find((text) => text.startsWith("["));
  const samples: readonly (readonly [atMs: number, bytes: number])[] = JSON.parse(line ?? "[]");
  let from = samples.find(([atMs]) => atMs >= SETTLED_MS);
  const rates: number[] = [];
  for (const sample of samples) {
    if (from === undefined || sample[0] - from[0] < WINDOW_MS) continue;
    rates.push(((sample[1] - from[1]) * 8000) / (sample[0] - from[0]));
    from = sample;
  }
  const median = rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];
  if (median === undefined) throw new Error(`too little was received: ${output}`);
  return {
    bitsPerSecond: median,
    bytesAt: (ms) => (samples.find(([atMs]) => atMs >= ms) ?? samples.at(-1))?.[1] ?? 0,
  };
}
