/**
 * A network namespace for a test, and what is asked of the kernel in it.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

import { type Ack, errnoName } from "../../daemon/netlink/codec/error.ts";
import { decodeMessage, type RtMessage } from "../../daemon/netlink/codec/message.ts";
import { type AckPolicy, type Request } from "../../daemon/netlink/codec/request.ts";
import { openRawSocket, type RawSocket } from "./raw-socket.ts";

/** Made by `makeNamespace()`; `remove()` it also when a test fails. */
export type Namespace = {
  /** Of its file. */
  readonly path: string;
  /** A socket of it, closed with it. */
  socket(protocol: number): RawSocket;
  /** Runs a shell command in it; throws where it fails. */
  run(command: string): string;
  /** The same for a command that prints JSON. */
  json(command: string): unknown;
  /** Takes the namespace away; throws where it is still there. */
  remove(): void;
};

/** Named by the process and `label`, which no two tests at a time may share. */
export function makeNamespace(label: string): Namespace {
  const name = `tw${process.pid}${label}`;
  const path = `/run/netns/${name}`;
  const sockets: RawSocket[] = [];
  execFileSync("ip", ["netns", "add", name]);
  const run = (command: string): string =>
    execFileSync("ip", ["netns", "exec", name, "sh", "-c", command], { encoding: "utf8" });
  return {
    path,
    run,
    json: (command) => JSON.parse(run(command)),
    socket: (protocol) => {
      const socket = openRawSocket(path, protocol);
      sockets.push(socket);
      return socket;
    },
    remove: () => {
      for (const socket of sockets) socket[Symbol.dispose]();
      execFileSync("ip", ["netns", "delete", name]);
      if (existsSync(path)) throw new Error(`${path} is still there`);
    },
  };
}

/** All that came in answer. */
export function answers(
  socket: RawSocket,
  requests: readonly Request[],
  policy: AckPolicy = "as-is",
): readonly RtMessage[] {
  return socket.exchange(requests, policy).map(decodeMessage);
}

/** The acknowledgements among the answers. */
export function acks(
  socket: RawSocket,
  requests: readonly Request[],
  policy: AckPolicy = "each",
): readonly Ack[] {
  return answers(socket, requests, policy).flatMap((answer) => (answer.kind === "ack" ? [answer.ack] : []));
}

/** Throws where one of the requests is refused, with all that the kernel says. */
export function succeed(socket: RawSocket, requests: readonly Request[], policy: AckPolicy = "each"): void {
  const failed = acks(socket, requests, policy).filter(({ errno }) => errno !== 0);
  const texts = failed.map(
    ({ errno, message, request }) => `type ${request.type}: ${errnoName(errno)} (${message})`,
  );
  if (texts.length > 0) throw new Error(texts.join("; "));
}
