/**
 * Listening to what changes in the node's network. The socket is waited for in libuv's pool, for `READ_MS` at most at a
 * time; what comes after the first message is fetched by the netlink thread, all at once, so that a pod's ADD, which causes
 * a dozen messages, costs one look here.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { readSome } from "../arrival.ts";
import { jobFault } from "../client.ts";
import { messagesOf, type RawMessage } from "../codec/header.ts";
import { type SocketOptions } from "../job.ts";
import { type SocketThread } from "../socket.ts";

export type Watch = AsyncDisposable & {
  /** How often the kernel had more to tell than the socket could hold. */
  overflows(): number;
};

export type Watcher = {
  /** What was said, in its order. */
  seen(messages: readonly RawMessage[]): void;
  /** Something was not heard. */
  lost(): void;
};

/** How long one read holds a thread of the pool when nothing happens. */
const READ_MS = 250;
/** What belongs together (a device, its addresses, its routes) comes within this time. */
const GATHER_MS = 20;
/** Of one fetch: as many as are decoded in 1 to 2 ms. */
const FETCH_BYTES = 64 * 1024;
/** After a read that failed: a socket that fails always must not become a busy loop. */
const PAUSE_MS = 1_000;
/** ENOBUFS of <asm-generic/errno.h>. */
const ENOBUFS = 105;
/** RTMGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE of <linux/rtnetlink.h>. */
const GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;
const SOCKET: SocketOptions = {
  domain: 16,
  type: 3,
  protocol: 0,
  // struct sockaddr_nl
  address: Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, GROUPS & 0xff, GROUPS >> 8, 0, 0),
  receiveTimeoutMs: READ_MS,
};

/** Resolves when it listens: what happens from then on is seen, or `lost` is called. */
export async function openWatch(thread: SocketThread, watcher: Watcher): Promise<Result<Watch>> {
  const opened = await thread.run({ kind: "open", socket: SOCKET });
  if (opened.kind !== "opened") return failed(jobFault("listening to changes of the network", opened));
  const { fd } = opened;
  const stop = new AbortController();
  let overflows = 0;
  const ended = listen();

  async function listen(): Promise<void> {
    while (!stop.signal.aborted) {
      const received = await readSome(fd);
      if (received.kind === "nothing") continue;
      if (received.kind === "bytes") watcher.seen([...messagesOf(received.bytes)]);
      if (received.kind === "lost") noteLoss();
      if (received.kind === "failed") noteLoss(PAUSE_MS);
      await pause(received.kind === "failed" ? PAUSE_MS : GATHER_MS);
      await fetchAll();
    }
  }

  /** A fetch is bounded, their number is not: whoever has more to tell for ever is still read, a slice at a time. */
  async function fetchAll(): Promise<void> {
    for (let more = true; more && !stop.signal.aborted;) {
      const fetched = await thread.run({ kind: "drain", fd, bytesMax: FETCH_BYTES });
      if (fetched.kind === "drained") {
        if (fetched.bytes.length > 0) watcher.seen([...messagesOf(fetched.bytes)]);
        ({ more } = fetched);
      } else {
        noteLoss();
        more = fetched.kind === "failed" && fetched.failure.errno === ENOBUFS;
      }
    }
  }

  function noteLoss(pauseMs = 0): void {
    if (pauseMs === 0) overflows++;
    watcher.lost();
  }

  async function pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  }

  return ok({
    overflows: () => overflows,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await thread.run({ kind: "close", fd });
    },
  });
}
