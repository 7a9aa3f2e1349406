/**
 * Starts a station (station/main.ts) in a network namespace and asks it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Ask, type Exchange, type Heard, type Outcome } from "./station/words.ts";

export type Station = {
  readonly namespace: string;
  /** Answers requests by UDP and TCP at this address and port until the end. */
  readonly listen: (address: string, port: number) => Promise<void>;
  readonly exchange: (protocol: "udp" | "tcp", exchange: Exchange) => Promise<Outcome>;
  /** As `exchange` by UDP, with a nonce that `heard` of the other side is asked for. */
  readonly sendMarked: (nonce: string, exchange: Exchange) => Promise<Outcome>;
  /** Datagrams with this nonce that came here. */
  readonly heard: (nonce: string) => Promise<readonly Heard[]>;
  readonly close: () => Promise<void>;
};

const PROGRAM = join(import.meta.dirname, "station/main.ts");
let nonces = 0;

/** A nonce that no other exchange has. */
export function newNonce(): string {
  nonces += 1;
  return `n${process.pid}x${nonces}`;
}

/** The namespace is one of `ip netns`. */
export function openStation(namespace: string): Station {
  const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, process.execPath, PROGRAM], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  const ended = once(child, "close");
  let [asked, words, isOpen] = [0, "", true];
  const failAll = (): void => {
    isOpen = false;
    for (const settle of waiting.values()) settle({ error: `the station in ${namespace} ended: ${words}` });
    waiting.clear();
  };
  child.once("error", failAll).once("close", failAll);
  child.stdin.on("error", () => undefined);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-1000);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- station/main.ts writes these lines
    const reply = JSON.parse(line) as Reply & { readonly id: number };
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  const ask = async <Answer>(words_: Ask): Promise<Answer> => {
    if (!isOpen) throw new Error(`the station in ${namespace} ended: ${words}`);
    asked += 1;
    const id = asked;
    const reply = await new Promise<Reply>((resolve) => {
      waiting.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ id, ask: words_ })}\n`);
    });
    if (reply.error !== undefined) throw new Error(`${namespace}: ${reply.error}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the station answers each request with its type
    return reply.value as Answer;
  };
  return {
    namespace,
    listen: async (address, port) => ask({ op: "listen", address, port }),
    exchange: async (op, exchange) => ask({ op, exchange, nonce: newNonce() }),
    sendMarked: async (nonce, exchange) => ask({ op: "udp", exchange, nonce }),
    heard: async (nonce) => ask({ op: "heard", nonce }),
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

type Reply = { readonly value?: unknown; readonly error?: string };
