/**
 * Listening to what changes in the node's network. The socket is waited for in libuv's pool, for `READ_MS` at most at a
 * time; what comes after the first message is fetched by the netlink thread, all at once, so that a pod's ADD, which causes
 * a dozen messages, costs one look here. Groups of another family are fetched each time too, whoever waits: that takes no
 * second thread of the pool, and makes them known `READ_MS` later at most.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { failed, ok, type Result } from "../../proto/result.ts";
import { readSome } from "./arrival.ts";
import { jobFault } from "./client.ts";
import { messagesOf, type RawMessage } from "./codec/header.ts";
import { type SocketFamily, type SocketOptions } from "./job.ts";
import { type SocketThread } from "./socket.ts";

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
/** NETLINK_ROUTE and NETLINK_NETFILTER of <linux/netlink.h>. */
const PROTOCOLS: Readonly<Record<SocketFamily, number>> = { route: 0, netfilter: 12 };

/** What can be listened to: groups of one family, as bits (`nl_groups` of `struct sockaddr_nl`). */
export type Groups = { readonly family: SocketFamily; readonly bits: number };

/** RTMGRP_* of <linux/rtnetlink.h>; the last four are 1 << (RTNLGRP_* - 1). */
export const RTMGRP = {
  LINK: 0x1,
  NEIGH: 0x4,
  IPV4_ADDRESS: 0x10,
  IPV4_ROUTE: 0x40,
  IPV4_RULE: 0x80,
  IPV6_ADDRESS: 0x100,
  IPV6_ROUTE: 0x400,
  IPV6_RULE: 0x4_0000,
  IPV4_NETCONF: 0x80_0000,
  IPV6_NETCONF: 0x100_0000,
} as const;

/** NFNLGRP_NFTABLES of <linux/netfilter/nfnetlink.h> is 7. */
export const NFNLGRP = { NFTABLES: 1 << 6 } as const;

/** Resolves when it listens: what happens from then on is seen, or `lost` is called. `also`: of another family. */
export async function openWatch(
  thread: SocketThread,
  groups: Groups,
  watcher: Watcher,
  also?: Groups,
): Promise<Result<Watch>> {
  const fds: number[] = [];
  for (const each of [groups, ...(also === undefined ? [] : [also])]) {
    const opened = await thread.run({ kind: "open", socket: socketOf(each) });
    if (opened.kind !== "opened") {
      await closeAll();
      return failed(jobFault("listening to changes of the network", opened));
    }
    fds.push(opened.fd);
  }
  const stop = new AbortController();
  let overflows = 0;
  const ended = listen();

  async function listen(): Promise<void> {
    const [fd = -1, ...others] = fds;
    while (!stop.signal.aborted) {
      const received = await readSome(fd);
      if (received.kind === "bytes") watcher.seen([...messagesOf(received.bytes)]);
      if (received.kind === "lost") noteLoss();
      if (received.kind === "failed") noteLoss(PAUSE_MS);
      if (received.kind !== "nothing") {
        await pause(received.kind === "failed" ? PAUSE_MS : GATHER_MS);
        await fetchAll(fd);
      }
      for (const other of others) await fetchAll(other);
    }
  }

  async function closeAll(): Promise<void> {
    for (const fd of fds) await thread.run({ kind: "close", fd });
  }

  /** A fetch is bounded, their number is not: whoever has more to tell for ever is still read, a slice at a time. */
  async function fetchAll(fd: number): Promise<void> {
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
      await closeAll();
    },
  });
}

function socketOf({ family, bits }: Groups): SocketOptions {
  // struct sockaddr_nl: AF_NETLINK, padding, port, groups
  const address = new Uint8Array(12);
  const view = new DataView(address.buffer);
  view.setUint16(0, 16, true);
  view.setUint32(8, bits, true);
  return { domain: 16, type: 3, protocol: PROTOCOLS[family], address, receiveTimeoutMs: READ_MS };
}
