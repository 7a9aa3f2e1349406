/**
 * The netlink thread: sockets of rtnetlink and nfnetlink, also in other network namespaces, with synchronous I/O, so that
 * what the kernel does inside send(2) never holds the event loop.
 *
 * A socket keeps the namespace it was born in. So the thread is in another namespace for the length of one socket(2) and
 * nothing else. If it could not come back it would configure the wrong machine: it ends the process instead.
 *
 * The thread takes messages for bytes, but for three things: where the answers end, whether one of them is a refusal, and
 * how long a message is.
 *
 * @module
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { answerAll } from "./answer.ts";
import { garbageCollector } from "./garbage.ts";
import {
  type Exchange,
  type ExchangeOutcome,
  type FilesExchange,
  type FromThread,
  type Job,
  type JobResult,
  monotonicMs,
  type Setting,
  type SocketExchange,
  type SocketFamily,
  type SocketOptions,
  type SyscallFailure,
  type ThreadOptions,
  type ToThread,
} from "./job.ts";
import { abort, bind, C, close, errno, open, recv, send, setns, setsockopt, socket, write } from "./libc.ts";
import { giveBackMemory } from "./relief.ts";

/** Longer than any message: a dump's fill a buffer of 32 KiB at most, a link with many virtual functions takes more. */
const RECEIVE_BYTES = 256 * 1024;
/** Room for the answers of a whole batch, and for notifications while nobody reads. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;
/** The kernel answers inside send(2). What is not there after this time does not come. */
const ANSWER_TIMEOUT_MS = 2_000;
/** NLMSG_ERROR and NLMSG_DONE. */
const [NLMSG_ERROR, NLMSG_DONE] = [2, 3];
const HEADER_BYTES = 16;

const buffer = new Uint8Array(RECEIVE_BYTES);
const view = new DataView(buffer.buffer);

/** Opens of /proc/thread-self and of `nodeNetns`. They live as long as the thread. */
type Namespaces = { readonly home: number; readonly node: number | undefined };

/** A value, or which call failed. */
type Attempt<Value> = { readonly value: Value } | { readonly failure: SyscallFailure };

function serve(port: MessagePort, options: ThreadOptions): void {
  const namespaces = openNamespaces(options);
  /** Sockets in the node's namespace, opened when first needed. */
  const nodeSockets = new Map<SocketFamily, number>();
  port.on("message", (orders: ToThread) => {
    answerAll(orders, { carryOut, post: (done) => port.postMessage(done), nowMs: monotonicMs });
    if (orders.some(({ job }) => job.kind === "stop")) port.close();
  });
  port.postMessage([] satisfies FromThread);

  function carryOut(job: Job): JobResult {
    switch (job.kind) {
      case "exchange":
        return { kind: "exchanged", outcomes: exchangeAll(job.exchanges) };
      case "open": {
        const opened = openBound(namespaces, namespaces.node, job.socket);
        return "failure" in opened
          ? { kind: "failed", failure: opened.failure }
          : { kind: "opened", fd: opened.value };
      }
      case "close":
        close(job.fd);
        return { kind: "closed" };
      case "drain":
        return drain(job.fd, job.bytesMax);
      case "relieve":
        garbageCollector()();
        giveBackMemory();
        return { kind: "relieved" };
      case "stop":
        for (const fd of [...nodeSockets.values(), namespaces.home, namespaces.node])
          if (fd !== undefined) close(fd);
        return { kind: "closed" };
      default:
        return job satisfies never;
    }
  }

  function exchangeAll(exchanges: readonly Exchange[]): ExchangeOutcome[] {
    const outcomes: ExchangeOutcome[] = [];
    let refused = false;
    for (const exchange of exchanges) {
      if (refused) outcomes.push({ kind: "skipped" });
      else {
        const outcome =
          exchange.family === "files" ? writeFiles(namespaces, exchange) : exchangeOne(exchange);
        refused = outcome.refused;
        outcomes.push(outcome.outcome);
      }
    }
    return outcomes;
  }

  function exchangeOne(exchange: SocketExchange): Received {
    const { netnsFd, family } = exchange;
    const known = netnsFd === undefined ? nodeSockets.get(family) : undefined;
    const opened =
      known === undefined
        ? openBound(namespaces, netnsFd ?? namespaces.node, netlinkSocket(family))
        : { value: known };
    if ("failure" in opened) return failedWith([], opened.failure);
    const received = converse(opened.value, exchange);
    // A late answer to a failed exchange would be taken for one to the next: such a socket is not used again.
    const keep = netnsFd === undefined && received.outcome.kind === "answered";
    if (keep) nodeSockets.set(family, opened.value);
    else {
      if (netnsFd === undefined) nodeSockets.delete(family);
      close(opened.value);
    }
    return received;
  }
}

/** A file of /proc/sys/net is that of the namespace that opens it: so the thread is there for that long. */
function writeFiles({ home, node }: Namespaces, exchange: FilesExchange): Received {
  const { settings, tolerated, netnsFd = node } = exchange;
  const entered = netnsFd === undefined ? undefined : failureOf("setns", setns(netnsFd, C.CLONE_NEWNET));
  if (entered !== undefined) return failedWith([], entered);
  const opened = settings.map(({ path }) => {
    const fd = open(path, C.O_WRONLY | C.O_CLOEXEC);
    return fd < 0 ? { errno: errno() } : { fd };
  });
  if (netnsFd !== undefined && setns(home, C.CLONE_NEWNET) < 0) abort();
  const errnos = opened.map((file, at) => ("fd" in file ? writeOne(file.fd, settings[at]) : file.errno));
  const refused = errnos.some((code) => code !== 0 && !tolerated.includes(code));
  return { outcome: { kind: "written", errnos }, refused };
}

function writeOne(fd: number, setting: Setting | undefined): number {
  const bytes = new TextEncoder().encode(setting?.value);
  const code = write(fd, bytes, bytes.length) < 0 ? errno() : 0;
  close(fd);
  return code;
}

type Received = { readonly outcome: ExchangeOutcome; readonly refused: boolean };

function failedWith(parts: readonly Uint8Array[], failure: SyscallFailure): Received {
  return { outcome: { kind: "failed", bytes: joined(parts), failure }, refused: true };
}

/** One send; then receives until `lastSeq` is answered. */
function converse(fd: number, { bytes, lastSeq, tolerated }: SocketExchange): Received {
  if (send(fd, bytes, bytes.length, 0) < 0) return failedWith([], { call: "send", errno: errno() });
  const parts: Uint8Array[] = [];
  for (let refused = false; ;) {
    const length = recv(fd, buffer, RECEIVE_BYTES, C.MSG_TRUNC);
    if (length < 0) {
      const code = errno();
      if (code === C.EINTR) continue;
      return failedWith(parts, { call: "recv", errno: code });
    }
    if (length > RECEIVE_BYTES) return failedWith(parts, { call: "recv", errno: C.EMSGSIZE });
    parts.push(buffer.slice(0, length));
    const seen = look(length, lastSeq, tolerated);
    refused ||= seen.refused;
    if (seen.last) return { outcome: { kind: "answered", bytes: joined(parts) }, refused };
  }
}

/** Sees to it that a reader of notifications costs one message, however many there are. */
function drain(fd: number, bytesMax: number): JobResult {
  const parts: Uint8Array[] = [];
  for (let bytes = 0; bytes < bytesMax;) {
    const length = recv(fd, buffer, RECEIVE_BYTES, C.MSG_TRUNC | C.MSG_DONTWAIT);
    if (length < 0) {
      const code = errno();
      if (code === C.EINTR) continue;
      if (code === C.EAGAIN) return { kind: "drained", bytes: joined(parts), more: false };
      return { kind: "failed", failure: { call: "recv", errno: code } };
    }
    if (length > RECEIVE_BYTES) return { kind: "failed", failure: { call: "recv", errno: C.EMSGSIZE } };
    parts.push(buffer.slice(0, length));
    bytes += length;
  }
  return { kind: "drained", bytes: joined(parts), more: true };
}

/** What the messages in the first `length` bytes of the buffer mean for the conversation. */
function look(
  length: number,
  lastSeq: number,
  tolerated: readonly number[],
): { readonly last: boolean; readonly refused: boolean } {
  let [last, refused] = [false, false];
  for (let at = 0; at + HEADER_BYTES <= length;) {
    const type = view.getUint16(at + 4, true);
    const ends = type === NLMSG_ERROR || type === NLMSG_DONE;
    const errno = type === NLMSG_ERROR ? -view.getInt32(at + HEADER_BYTES, true) : 0;
    if (errno !== 0 && !tolerated.includes(errno)) refused = true;
    if (ends && view.getUint32(at + 8, true) === lastSeq) last = true;
    at += Math.max((view.getUint32(at, true) + 3) & ~3, HEADER_BYTES);
  }
  return { last, refused };
}

function netlinkSocket(family: SocketFamily): SocketOptions {
  return {
    domain: C.AF_NETLINK,
    type: C.SOCK_RAW,
    protocol: family === "route" ? C.NETLINK_ROUTE : C.NETLINK_NETFILTER,
    // struct sockaddr_nl: the kernel picks the port, no groups.
    address: Uint8Array.of(C.AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    receiveTimeoutMs: ANSWER_TIMEOUT_MS,
  };
}

/** A socket of the namespace `netnsFd` (`undefined`: the thread's own), bound and with its options set. */
function openBound(
  { home }: Namespaces,
  netnsFd: number | undefined,
  options: SocketOptions,
): Attempt<number> {
  const fd = netnsFd === undefined ? newSocket(options) : newSocketIn(home, netnsFd, options);
  if ("failure" in fd) return fd;
  const failure =
    setOptions(fd.value, options) ??
    failureOf("bind", bind(fd.value, options.address, options.address.length));
  if (failure === undefined) return fd;
  close(fd.value);
  return { failure };
}

/** setns, socket, setns home: nothing may happen in between. */
function newSocketIn(home: number, netnsFd: number, options: SocketOptions): Attempt<number> {
  const entered = failureOf("setns", setns(netnsFd, C.CLONE_NEWNET));
  if (entered !== undefined) return { failure: entered };
  const fd = newSocket(options);
  if (setns(home, C.CLONE_NEWNET) < 0) abort();
  return fd;
}

function newSocket({ domain, type, protocol }: SocketOptions): Attempt<number> {
  const fd = socket(domain, type | C.SOCK_CLOEXEC, protocol);
  return fd < 0 ? { failure: { call: "socket", errno: errno() } } : { value: fd };
}

function setOptions(fd: number, { domain, receiveTimeoutMs }: SocketOptions): SyscallFailure | undefined {
  const [seconds, rest] = [Math.floor(receiveTimeoutMs / 1000), receiveTimeoutMs % 1000];
  // struct timeval of 64-bit machines.
  const timeout = new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt(rest) * 1000n).buffer);
  const size = new Uint8Array(Int32Array.of(SOCKET_BUFFER_BYTES).buffer);
  const on = new Uint8Array(Int32Array.of(1).buffer);
  const failed = failureOf(
    "setsockopt",
    setsockopt(fd, C.SOL_SOCKET, C.SO_RCVTIMEO, timeout, timeout.length),
  );
  if (failed !== undefined || domain !== C.AF_NETLINK) return failed;
  // Not allowed outside the first user namespace; the buffer is then the default one.
  setsockopt(fd, C.SOL_SOCKET, C.SO_RCVBUFFORCE, size, size.length);
  for (const option of [C.NETLINK_CAP_ACK, C.NETLINK_EXT_ACK, C.NETLINK_GET_STRICT_CHK]) {
    const failure = failureOf("setsockopt", setsockopt(fd, C.SOL_NETLINK, option, on, on.length));
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function failureOf(call: string, result: number): SyscallFailure | undefined {
  return result < 0 ? { call, errno: errno() } : undefined;
}

function openNamespaces({ nodeNetns }: ThreadOptions): Namespaces {
  const flags = C.O_RDONLY | C.O_CLOEXEC;
  const home = open("/proc/thread-self/ns/net", flags);
  if (home < 0) throw new Error(`/proc/thread-self/ns/net: errno ${errno()}`);
  if (nodeNetns === undefined) return { home, node: undefined };
  const node = open(nodeNetns, flags);
  if (node < 0) throw new Error(`${nodeNetns}: errno ${errno()}`);
  return { home, node };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

if (!isMainThread && parentPort !== null) {
  const options: ThreadOptions = workerData;
  serve(parentPort, options);
}
