/**
 * A program that stands in one network namespace, sends and answers packets there: one JSON request a line on standard input,
 * one answer a line on standard output. It ends with its input.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { type Ask, type Exchange, type Heard, type Outcome, type Request } from "./words.ts";

/** What arrived by UDP, oldest first; bounded. */
const heard: Heard[] = [];
const HEARD_MAX = 1000;

/** A datagram or the first line of a stream: what the sender wants back. */
function requestOf(
  text: string,
): { readonly nonce: string; readonly bytes: number; readonly replyBytes: number } | undefined {
  const [nonce = "", bytes = "", replyBytes = ""] = (text.split("\n", 1)[0] ?? "").split(" ");
  return nonce === "" || replyBytes === ""
    ? undefined
    : { nonce, bytes: Number(bytes), replyBytes: Number(replyBytes) };
}

function padded(head: string, bytes: number): string {
  return `${head}\n`.padEnd(bytes, ".");
}

async function listen(address: string, port: number): Promise<void> {
  const udp = createSocket({ type: address.includes(":") ? "udp6" : "udp4" });
  udp.on("message", (message, from) => {
    const request = requestOf(message.toString("latin1"));
    if (request === undefined) return;
    if (heard.length < HEARD_MAX)
      heard.push({ nonce: request.nonce, from: from.address, bytes: message.length });
    udp.send(
      padded(`${request.nonce} ${from.address} ${message.length}`, request.replyBytes),
      from.port,
      from.address,
      () => undefined,
    );
  });
  udp.bind(port, address);
  await once(udp, "listening");
  const tcp = createServer((socket) => {
    socket.setEncoding("latin1");
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (chunk: string) => {
      text += chunk;
      const request = requestOf(text);
      if (request === undefined || text.length < request.bytes) return;
      socket.end(
        padded(`${request.nonce} ${socket.remoteAddress ?? "?"} ${text.length}`, request.replyBytes),
      );
    });
  });
  tcp.listen({ host: address, port, ipv6Only: true });
  await once(tcp, "listening");
}

/** What a peer answered: nonce, the sender as the peer saw it, and how much the peer got. */
function outcomeOf(text: string, nonce: string, replyBytes: number): Outcome | undefined {
  const [said, seenAs = "", got = ""] = (text.split("\n", 1)[0] ?? "").split(" ");
  if (said !== nonce || text.length < replyBytes) return undefined;
  return { kind: "answered", seenAs, got: Number(got) };
}

async function byUdp(exchange: Exchange, nonce: string): Promise<Outcome> {
  const socket = createSocket(exchange.to.includes(":") ? "udp6" : "udp4");
  return new Promise<Outcome>((resolve) => {
    let left = exchange.tries;
    const done = (outcome: Outcome): void => {
      clearInterval(timer);
      socket.close();
      resolve(outcome);
    };
    const send = (): void => {
      if (left === 0) return done({ kind: "silent" });
      left -= 1;
      const text = padded(`${nonce} ${exchange.bytes} ${exchange.replyBytes}`, exchange.bytes);
      socket.send(text, exchange.port, exchange.to, (error) => {
        if (error !== null && left === 0) done({ kind: "refused", why: error.message });
      });
    };
    const timer = setInterval(send, exchange.everyMs);
    socket.on("error", (error) => done({ kind: "refused", why: error.message }));
    socket.on("message", (message) => {
      const outcome = outcomeOf(message.toString("latin1"), nonce, exchange.replyBytes);
      if (outcome !== undefined) done(outcome);
    });
    if (exchange.source === undefined) send();
    else socket.bind(0, exchange.source, send);
  });
}

async function byTcp(exchange: Exchange, nonce: string): Promise<Outcome> {
  return new Promise<Outcome>((resolve) => {
    const socket = connect({ host: exchange.to, port: exchange.port, localAddress: exchange.source });
    let text = "";
    const done = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => done({ kind: "silent" }), exchange.tries * exchange.everyMs);
    socket.setEncoding("latin1");
    socket.on("error", (error) => done({ kind: "refused", why: error.message }));
    socket.on("connect", () =>
      socket.write(padded(`${nonce} ${exchange.bytes} ${exchange.replyBytes}`, exchange.bytes)),
    );
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => done(outcomeOf(text, nonce, exchange.replyBytes) ?? { kind: "silent" }));
  });
}

async function answer(ask: Ask): Promise<unknown> {
  switch (ask.op) {
    case "listen":
      await listen(ask.address, ask.port);
      return {};
    case "udp":
      return byUdp(ask.exchange, ask.nonce);
    case "tcp":
      return byTcp(ask.exchange, ask.nonce);
    case "heard":
      return heard.filter(({ nonce }) => nonce === ask.nonce);
    default:
      return ask satisfies never;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- station.ts writes these lines
  const { id, ask } = JSON.parse(line) as Request;
  void answer(ask)
    .then(
      (value) => ({ id, value }),
      (error: unknown) => ({ id, error: String(error) }),
    )
    .then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
process.exit(0);
