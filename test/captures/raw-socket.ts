/**
 * A blocking netlink socket in a given network namespace, for making captures and for asking the kernel in tests. Not what
 * the agent uses.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { messagesOf, NLMSG, type RawMessage } from "../../daemon/netlink/codec/header.ts";
import { NFNL_BATCH } from "../../daemon/netlink/codec/nft-element.ts";
import { type AckPolicy, batch, nextSeq, type Request } from "../../daemon/netlink/codec/request.ts";

/** NETLINK_*. */
export const NETLINK = { ROUTE: 0, NETFILTER: 12 } as const;

const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
/** NETLINK_CAP_ACK, _EXT_ACK, _GET_STRICT_CHK. */
const OPTIONS = [10, 11, 12];
const RECEIVE_BYTES = 1 << 18;
const MOST_RECEIVES = 10_000;

const libc = koffi.load("libc.so.6");
const setns = libc.func("int setns(int fd, int nstype)");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const setsockopt = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
);
const send = libc.func("int64_t send(int fd, const void *bytes, uint64_t length, int flags)");
const recv = libc.func("int64_t recv(int fd, _Out_ void *bytes, uint64_t length, int flags)");

/** Made by `openRawSocket()`. All calls block, 5 s at most for each answer. */
export type RawSocket = {
  /** Sends all at once and collects the answers until the last request is acknowledged or its dump has ended. */
  exchange(requests: readonly Request[], ack?: AckPolicy): readonly RawMessage[];
  /** The same, but all that came in as it came in. */
  receiveRaw(request: Request): Uint8Array;
  [Symbol.dispose](): void;
};

/** `netns`: path of a namespace. The calling thread is in it only while the socket is made. */
export function openRawSocket(netns: string, protocol: number): RawSocket {
  const fd = socketIn(netns, protocol);
  const one = Uint8Array.of(1, 0, 0, 0);
  for (const option of OPTIONS) check(setsockopt(fd, SOL_NETLINK, option, one, 4), "setsockopt");
  // struct timeval: 5 s.
  check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([5n, 0n]), 16), "setsockopt");
  check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, new Int32Array([1 << 22]), 4), "setsockopt");
  let seq = 1;
  function collect(requests: readonly Request[], ack: AckPolicy): Uint8Array[] {
    const { bytes, seqs } = batch(requests, seq, ack);
    // The end of an nftables batch is not answered by all kernels.
    const ended = protocol === NETLINK.NETFILTER && requests.at(-1)?.type === NFNL_BATCH.END;
    const last = seqs.at(ended ? -2 : -1) ?? seq;
    seq = nextSeq(seqs.at(-1) ?? seq);
    check(Number(send(fd, bytes, bytes.length, 0)), "send");
    const parts: Uint8Array[] = [];
    while (parts.length < MOST_RECEIVES) {
      const buffer = new Uint8Array(RECEIVE_BYTES);
      const length = check(Number(recv(fd, buffer, buffer.length, 0)), "recv");
      const part = buffer.subarray(0, length);
      parts.push(part);
      for (const message of messagesOf(part))
        if (message.seq === last && (message.type === NLMSG.ERROR || message.type === NLMSG.DONE))
          return parts;
    }
    throw new Error("the kernel does not come to an end");
  }
  return {
    exchange: (requests, ack = "each") => collect(requests, ack).flatMap((part) => [...messagesOf(part)]),
    receiveRaw: (request) => Buffer.concat(collect([request], "as-is")),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function socketIn(netns: string, protocol: number): number {
  const home = openSync("/proc/thread-self/ns/net", "r");
  const there = openSync(netns, "r");
  try {
    check(setns(there, CLONE_NEWNET), "setns");
    const fd: unknown = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol);
    check(setns(home, CLONE_NEWNET), "setns back");
    return check(fd, "socket");
  } finally {
    closeSync(there);
    closeSync(home);
  }
}

function check(result: unknown, call: string): number {
  if (typeof result === "number" && result >= 0) return result;
  throw new Error(`${call}: errno ${koffi.errno()}`);
}
