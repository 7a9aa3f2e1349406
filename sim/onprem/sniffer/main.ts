/**
 * A process that writes a line for each packet that it sees in its network namespace, by a packet socket (packet(7)).
 * `capture.ts` starts it. It reads in a blocking way, so it is a process of its own; it ends when its starter is gone.
 *
 * @module
 */
import { writeSync } from "node:fs";
import koffi from "koffi";
import { describeFrame } from "../frame.ts";
import { IDLE_LINE, sniffSchema } from "./wanted.ts";

/** <linux/if_packet.h>, <linux/if_ether.h>, <asm-generic/socket.h>. */
const [AF_PACKET, SOCK_RAW, ETH_P_ALL] = [17, 3, 0x0003];
const [SOL_SOCKET, SO_RCVTIMEO, SO_RCVBUFFORCE] = [1, 20, 33];
const PACKET_OUTGOING = 4;
/** struct sockaddr_ll: the interface index is at 4, the type of the packet at 10. */
const SOCKADDR_LL_BYTES = 20;
const IDLE_MICROSECONDS = 50_000n;
/** Headers through a tunnel, and no data. */
const SNAPSHOT_BYTES = 256;
const BUFFER_BYTES = 4 * 1024 * 1024;

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const setsockopt = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
);
const recvfrom = libc.func(
  "int64_t recvfrom(int fd, _Out_ void *bytes, size_t length, int flags, _Out_ void *address, _Inout_ uint32_t *addressLength)",
);

const wanted = sniffSchema.parse(JSON.parse(process.argv[2] ?? ""));
const starter = process.ppid;
const labels = new Map(wanted.taps.map((tap) => [`${tap.ifIndex} ${tap.direction}`, tap.label]));
const swapped = ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8);
const fd = checked(socket(AF_PACKET, SOCK_RAW, swapped), "socket");
// struct timeval
checked(
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([0n, IDLE_MICROSECONDS]), 16),
  "SO_RCVTIMEO",
);
checked(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, new Int32Array([BUFFER_BYTES]), 4), "SO_RCVBUFFORCE");

const frame = new Uint8Array(SNAPSHOT_BYTES);
const address = new Uint8Array(SOCKADDR_LL_BYTES);
const about = new DataView(address.buffer);
while (process.ppid === starter) {
  const length = Number(recvfrom(fd, frame, frame.length, 0, address, [address.length]));
  if (length < 0) {
    say(IDLE_LINE);
    continue;
  }
  const direction = about.getUint8(10) === PACKET_OUTGOING ? "out" : "in";
  const label = labels.get(`${about.getInt32(4, true)} ${direction}`);
  if (label === undefined) continue;
  const { text, udpPorts } = describeFrame(frame.subarray(0, length));
  if (wanted.udpPort === undefined || udpPorts.includes(wanted.udpPort)) say(`${label} ${text}`);
}

/** Ends the process where nobody reads any more (EPIPE). */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function checked(result: unknown, call: string): number {
  if (typeof result === "number" && result >= 0) return result;
  throw new Error(`${call}: errno ${koffi.errno()}`);
}
