/**
 * What the main thread and the netlink thread say to each other. Plain data: it crosses by structured clone.
 *
 * @module
 */

/** Given to the thread when it starts. */
export type ThreadOptions = {
  /** Path of the namespace that is the node's. Absent: the one the process runs in. */
  readonly nodeNetns?: string;
};

/** One send and its answers, or some writes, in one namespace. */
export type Exchange = SocketExchange | FilesExchange;

/** One send and its answers, on one socket. */
export type SocketExchange = {
  /** An open file of the namespace the socket is born in. Absent: the node's. It has to stay open until the answer. */
  readonly netnsFd?: number;
  readonly family: SocketFamily;
  /** One or several messages. */
  readonly bytes: Uint8Array;
  /** Sequence number of the message whose answer (NLMSG_ERROR or NLMSG_DONE) is the last one. */
  readonly lastSeq: number;
  /** Error numbers that are no refusal. */
  readonly tolerated: readonly number[];
};

/** A file of /proc/sys and what is written to it. */
export type Setting = { readonly path: string; readonly value: string };

/** Writes to /proc/sys as the namespace sees it. All are tried. */
export type FilesExchange = {
  /** See `SocketExchange`. */
  readonly netnsFd?: number;
  readonly family: "files";
  readonly settings: readonly Setting[];
  /** Error numbers that are no refusal. */
  readonly tolerated: readonly number[];
};

/** NETLINK_ROUTE and NETLINK_NETFILTER. */
export type SocketFamily = "route" | "netfilter";

export type SocketOptions = {
  /** AF_*, SOCK_*, and what the third argument of socket(2) is. */
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  /** What to bind to: a `struct sockaddr_…`. */
  readonly address: Uint8Array;
  /** SO_RCVTIMEO: a read fails with EAGAIN after this time. */
  readonly receiveTimeoutMs: number;
};

export type Job =
  /** The exchanges in order; what follows one that the kernel refused any part of is skipped. */
  | { readonly kind: "exchange"; readonly exchanges: readonly Exchange[] }
  /** A socket in the node's namespace, for the main thread to read from. */
  | { readonly kind: "open"; readonly socket: SocketOptions }
  | { readonly kind: "close"; readonly fd: number }
  /** What came to an opened socket, without waiting, until nothing is left or there are so many bytes. */
  | { readonly kind: "drain"; readonly fd: number; readonly bytesMax: number }
  /** Gives memory back that nobody uses. */
  | { readonly kind: "relieve" }
  /** Closes all that the thread holds and ends it. */
  | { readonly kind: "stop" };

/** A system call that failed; `errno` is the number. */
export type SyscallFailure = { readonly call: string; readonly errno: number };

/** What became of one exchange. `bytes`: all that was received, also where it failed on the way. */
export type ExchangeOutcome =
  | { readonly kind: "answered"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly bytes: Uint8Array; readonly failure: SyscallFailure }
  /** What each write answered with: 0, or its error number. */
  | { readonly kind: "written"; readonly errnos: readonly number[] }
  | { readonly kind: "skipped" };

export type JobResult =
  | { readonly kind: "exchanged"; readonly outcomes: readonly ExchangeOutcome[] }
  | { readonly kind: "opened"; readonly fd: number }
  | { readonly kind: "closed" }
  /** `more`: there may be more. ENOBUFS is a failure: the socket had no room for something, and goes on. */
  | { readonly kind: "drained"; readonly bytes: Uint8Array; readonly more: boolean }
  | { readonly kind: "relieved" }
  /** The job was not started: it waited longer than it may. */
  | { readonly kind: "expired" }
  | { readonly kind: "failed"; readonly failure: SyscallFailure };

export type Order = {
  readonly id: number;
  /** CLOCK_MONOTONIC (`process.hrtime`), milliseconds: not started after this. */
  readonly startByMs: number;
  readonly job: Job;
};

/** In their order. A message costs more than an order: what comes up together goes together. */
export type ToThread = readonly Order[];

/** What became of some orders, in their order. The first message has none: the thread is ready. */
export type FromThread = readonly { readonly id: number; readonly result: JobResult }[];

/** The clock of `startByMs`: the same in all threads of a process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
