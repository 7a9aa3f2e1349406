/**
 * The system calls of the netlink thread, through koffi. All of them are synchronous: only a thread that has nothing else
 * to do may call them. A negative result is a failure; `errno()` then tells which.
 *
 * @module
 */
import koffi from "koffi";

const libc = koffi.load(null);

/** socket(2). */
export const socket: (domain: number, type: number, protocol: number) => number = libc.func(
  "int socket(int domain, int type, int protocol)",
);
/** bind(2); `address` is a `struct sockaddr_…`. */
export const bind: (fd: number, address: Uint8Array, length: number) => number = libc.func(
  "int bind(int fd, const void *address, uint32_t length)",
);
/** setsockopt(2). */
export const setsockopt: (
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
  length: number,
) => number = libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)");
/** setns(2): moves the calling thread, and it alone. */
export const setns: (fd: number, type: number) => number = libc.func("int setns(int fd, int type)");
/** open(2) without creation. */
export const open: (path: string, flags: number) => number = libc.func(
  "int open(const char *path, int flags)",
);
/** write(2). */
export const write: (fd: number, bytes: Uint8Array, length: number) => number = libc.func(
  "int64_t write(int fd, const void *bytes, size_t length)",
);
/** close(2). */
export const close: (fd: number) => number = libc.func("int close(int fd)");
/** send(2). */
export const send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = libc.func(
  "int64_t send(int fd, const void *bytes, size_t length, int flags)",
);
/** recv(2). With MSG_TRUNC the result is the length of the message, which may be more than `length`. */
export const recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number = libc.func(
  "int64_t recv(int fd, void *bytes, size_t length, int flags)",
);
/** madvise(2); `address` of this process. */
export const madvise: (address: number, length: number, advice: number) => number = libc.func(
  "int madvise(uintptr_t address, size_t length, int advice)",
);
/** malloc_trim(3); `pad` in bytes. musl has none, and needs none: then it does nothing. */
export const mallocTrim: (pad: number) => number = mallocTrimOf();

function mallocTrimOf(): (pad: number) => number {
  try {
    return libc.func("int malloc_trim(size_t pad)");
  } catch {
    return () => 0;
  }
}

/** abort(3): `process.abort` does not exist in worker threads. */
export const abort: () => void = libc.func("void abort()");

/** errno of the last call of this thread. */
export function errno(): number {
  return koffi.errno();
}

/** Numbers of <linux/netlink.h>, <asm-generic/socket.h>, <sched.h>, <asm-generic/mman-common.h> and <fcntl.h>; x64 and arm64 agree on all. */
export const C = {
  AF_NETLINK: 16,
  SOCK_RAW: 3,
  SOCK_CLOEXEC: 0x80000,
  NETLINK_ROUTE: 0,
  NETLINK_NETFILTER: 12,
  SOL_SOCKET: 1,
  SO_RCVTIMEO: 20,
  SO_RCVBUFFORCE: 33,
  SOL_NETLINK: 270,
  NETLINK_CAP_ACK: 10,
  NETLINK_EXT_ACK: 11,
  NETLINK_GET_STRICT_CHK: 12,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  CLONE_NEWNET: 0x40000000,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_CLOEXEC: 0x80000,
  MADV_DONTNEED: 4,
  EINTR: 4,
  EAGAIN: 11,
  EMSGSIZE: 90,
} as const;
