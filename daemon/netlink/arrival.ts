/**
 * Waiting for a device to appear.
 *
 * While somebody waits there is a socket in the group of link notifications. It is read in libuv's pool, by reads that
 * end after `READ_MS` at the latest: one thread of the pool is taken for as long as somebody waits, and the event loop
 * never is.
 *
 * @module
 */
import { read } from "node:fs";
import { promisify } from "node:util";
import { type Mac } from "../../proto/addr.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { GROUP } from "../core/datapath/layout.ts";
import { type Client, jobFault } from "./client.ts";
import { dumpLinks } from "./codec/dump.ts";
import { messagesOf } from "./codec/header.ts";
import { decodeLinkLabel, type LinkLabel, RTM_LINK } from "./codec/link.ts";
import { type SocketOptions } from "./job.ts";
import { errorCode } from "./netns.ts";
import { type SocketThread } from "./socket.ts";

export type Device = { readonly ifIndex: number; readonly name: string };

export type Arrivals = AsyncDisposable & {
  /** Resolves when a device with `mac` is there, at once if it is. `signal` and disposal end it with `deadline`. */
  wait(mac: Mac, signal: AbortSignal): Promise<Result<Device>>;
};

/** How long one read holds a thread of the pool when nothing happens. */
export const READ_MS = 250;
const RECEIVE_BYTES = 64 * 1024;
/** RTMGRP_LINK of <linux/rtnetlink.h>, in a `struct sockaddr_nl`. */
const LINK_SOCKET: SocketOptions = {
  domain: 16,
  type: 3,
  protocol: 0,
  address: Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0),
  receiveTimeoutMs: READ_MS,
};

export function openArrivals(thread: SocketThread, client: Client): Arrivals {
  const waiters = openWaiters();
  let listening: Promise<void> | undefined;
  const lookAtAll = shared(look);

  async function look(): Promise<void> {
    const links = await client.dump("ip link show", dumpLinks(), decodeLinkLabel);
    if (links.ok) links.value.forEach((link) => waiters.seen(link));
    else waiters.failAll(links.fault);
  }

  /** One socket at a time; another one for who came while the last was being closed. */
  async function run(): Promise<void> {
    while (waiters.size() > 0) await listen();
    listening = undefined;
  }

  /** Until nobody waits. The socket first, then the look at what is there: nothing can slip through between. */
  async function listen(): Promise<void> {
    const opened = await thread.run({ kind: "open", socket: LINK_SOCKET });
    if (opened.kind !== "opened") waiters.failAll(jobFault("listening for devices", opened));
    else {
      await lookAtAll();
      while (waiters.size() > 0) await readOnce(opened.fd);
      await thread.run({ kind: "close", fd: opened.fd });
    }
  }

  async function readOnce(fd: number): Promise<void> {
    const received = await readSome(fd);
    switch (received.kind) {
      case "bytes":
        for (const { type, payload } of messagesOf(received.bytes))
          if (type === RTM_LINK.NEW) waiters.seen(decodeLinkLabel(payload));
        return;
      case "nothing":
        return;
      case "lost":
        return lookAtAll();
      case "failed":
        return waiters.failAll({ kind: "kernel", op: "listening for devices", errno: received.errno });
      default:
        return received satisfies never;
    }
  }

  return {
    wait(mac, signal) {
      const result = waiters.add(mac, signal);
      if (waiters.size() === 0) return result;
      if (listening === undefined) listening = run();
      else void lookAtAll();
      return result;
    },
    async [Symbol.asyncDispose]() {
      waiters.failAll({ kind: "not-ready", reason: "the agent stops" });
      await listening;
    },
  };
}

/** `work`, one at a time: all who ask while it is under way share the next one, which begins after they asked. */
function shared(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const begin = async (): Promise<void> => {
    next = undefined;
    await work();
    running = undefined;
  };
  return () => {
    if (next !== undefined) return next;
    if (running === undefined) return (running = begin());
    return (next = running.then(() => (running = begin())));
  };
}

type Waiters = {
  size(): number;
  /** Resolves when such a device is seen, or `signal` is aborted, or all waiting fails. */
  add(mac: Mac, signal: AbortSignal): Promise<Result<Device>>;
  seen(link: LinkLabel): void;
  failAll(fault: Fault): void;
};

function openWaiters(): Waiters {
  type Waiter = { readonly mac: Mac; readonly settle: (result: Result<Device>) => void };
  const waiters = new Set<Waiter>();

  function settle(waiter: Waiter, result: Result<Device>): void {
    if (waiters.delete(waiter)) waiter.settle(result);
  }

  return {
    size: () => waiters.size,
    add(mac, signal) {
      const sinceMs = performance.now();
      return new Promise((resolve) => {
        const giveUp = (): void => settle(waiter, failed(late(mac, performance.now() - sinceMs)));
        const waiter: Waiter = {
          mac,
          settle: (result) => {
            signal.removeEventListener("abort", giveUp);
            resolve(result);
          },
        };
        waiters.add(waiter);
        signal.addEventListener("abort", giveUp, { once: true });
        if (signal.aborted) giveUp();
      });
    },
    seen(link) {
      if (!canBeEni(link)) return;
      for (const waiter of waiters) {
        if (waiter.mac === link.address)
          settle(waiter, ok({ ifIndex: link.index, name: link.name ?? String(link.index) }));
      }
    },
    failAll(fault) {
      for (const waiter of waiters) settle(waiter, failed(fault));
    },
  };
}

/**
 * A network card has no kind; an ENI of a simulated VPC is a veth. Devices on top of an ENI (vlan, ipvlan, macvlan, bridge)
 * have its MAC too, and have a kind. The veths of our pods are in a group of ours.
 */
function canBeEni({ info, group }: LinkLabel): boolean {
  if (group === GROUP.pods || group === GROUP.doomed) return false;
  return info === undefined || info.kind === "veth" || (info.kind === "raw" && info.name === undefined);
}

function late(mac: Mac, waitedMs: number): Fault {
  return { kind: "deadline", what: `the appearance of the device ${mac}`, waitedMs: Math.round(waitedMs) };
}

/** What came of one read. */
export type Received =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "nothing" }
  /** The kernel had more to tell than the buffer holds. */
  | { readonly kind: "lost" }
  | { readonly kind: "failed"; readonly errno: string };

const readFile = promisify(read);

/** Waits in libuv's pool until there is something or the socket's own time is over. */
export async function readSome(fd: number): Promise<Received> {
  try {
    const { bytesRead, buffer } = await readFile(fd, new Uint8Array(RECEIVE_BYTES), 0, RECEIVE_BYTES, null);
    return { kind: "bytes", bytes: buffer.subarray(0, bytesRead) };
  } catch (error) {
    const errno = errorCode(error);
    if (errno === "EAGAIN") return { kind: "nothing" };
    return errno === "ENOBUFS" ? { kind: "lost" } : { kind: "failed", errno };
  }
}
