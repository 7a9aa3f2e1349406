/**
 * Packets between namespaces, by ping(8), and what became of them.
 *
 * @module
 */
import { type Background, background, run } from "./process.ts";

export type Ping = { readonly sent: number; readonly received: number; readonly output: string };

/**
 * `count` echo requests from a namespace, 10 ms apart; each is given a second. `source` sends from that address; `more` are
 * options of ping(8).
 */
export async function ping(
  namespace: string,
  target: string,
  count = 3,
  source?: string,
  more: readonly string[] = [],
): Promise<Ping> {
  const from = source === undefined ? [] : ["-I", source];
  const args = [
    "netns",
    "exec",
    namespace,
    "ping",
    "-n",
    "-c",
    `${count}`,
    "-i",
    "0.01",
    "-W",
    "1",
    ...from,
    ...more,
    target,
  ];
  const ran = await run("ip", args);
  return parsePing(ran.stdout + ran.stderr);
}

/** A stream of echo requests, `everyMs` apart, until `stop`. */
export function pingStream(
  namespace: string,
  target: string,
  everyMs: number,
): { readonly stop: () => Promise<Ping> } {
  const args = ["netns", "exec", namespace, "ping", "-n", "-q", "-i", `${everyMs / 1000}`, target];
  const child: Background = background("ip", args);
  return {
    async stop() {
      child.kill("SIGINT");
      await child.ended;
      return parsePing(child.output());
    },
  };
}

/** The summary line of iputils: "3 packets transmitted, 3 received, 0% packet loss". */
export function parsePing(output: string): Ping {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(output);
  return { sent: Number(counts?.[1] ?? 0), received: Number(counts?.[2] ?? 0), output };
}

/** Pings with a source address that is not the sender's own; nobody may receive it. */
export async function spoof(namespace: string, source: string, target: string): Promise<Ping> {
  const inside = ["netns", "exec", namespace];
  await run("ip", [...inside, "ip", "address", "add", `${source}/32`, "dev", "lo"]);
  const result = await ping(namespace, target, 3, source);
  await run("ip", [...inside, "ip", "address", "del", `${source}/32`, "dev", "lo"]);
  return result;
}
