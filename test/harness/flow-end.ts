/**
 * One end of a flow of bytes, as a program: `node flow-end.ts receive|send tcp|udp ADDRESS PORT DURATION_MS [BITS_PER_SECOND]`.
 *
 * The receiver says `listening`, counts from the first byte on for the duration, and prints what it has counted every
 * 20 ms as JSON: `[[ms since the first byte, bytes], …]`. The sender sends as much as it can (TCP) or so many bits a
 * second (UDP), until the duration is over or the receiver has gone.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { connect, createServer, isIPv6 } from "node:net";

const [, , role, protocol, address = "", port = "0", duration = "0", bits = "0"] = process.argv;
const durationMs = Number(duration);
/** How long an end may be without the other one. */
const PATIENCE_MS = 10_000;
const SAMPLE_MS = 20;
/** An IPv4 or IPv6 packet with UDP's header, within an MTU of 1400. */
const DATAGRAM_BYTES = 1350;
const CHUNK_BYTES = 65_536;

function ready(): void {
  process.stdout.write("listening\n");
}

function receive(): void {
  const samples: (readonly [atMs: number, bytes: number])[] = [];
  let [bytes, sinceMs] = [0, 0];
  const patience = setTimeout(end, PATIENCE_MS + durationMs);
  function end(): void {
    clearTimeout(patience);
    process.stdout.write(`${JSON.stringify(samples)}\n`, () => process.exit());
  }
  function count(more: number): void {
    if (bytes === 0) {
      sinceMs = performance.now();
      setInterval(() => {
        const atMs = performance.now() - sinceMs;
        samples.push([Math.round(atMs), bytes]);
        if (atMs >= durationMs) end();
      }, SAMPLE_MS);
    }
    bytes += more;
  }
  if (protocol === "tcp")
    createServer((socket) => {
      socket.on("data", ({ length }) => count(length)).on("error", () => undefined);
    }).listen(Number(port), address, ready);
  else
    createSocket({ type: isIPv6(address) ? "udp6" : "udp4", recvBufferSize: 1 << 20 })
      .on("message", ({ length }) => count(length))
      .bind(Number(port), address, ready);
}

function send(): void {
  const untilMs = performance.now() + durationMs;
  if (protocol === "tcp") {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const socket = connect(Number(port), address);
    const more = (): void => {
      while (performance.now() < untilMs && socket.write(chunk));
      if (performance.now() >= untilMs) process.exit();
    };
    socket.on("connect", more).on("drain", more);
    socket.on("error", () => process.exit()).on("close", () => process.exit());
    setTimeout(() => process.exit(), durationMs + PATIENCE_MS);
    return;
  }
  const datagram = new Uint8Array(DATAGRAM_BYTES);
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4").on("error", () => undefined);
  const startMs = performance.now();
  let sent = 0;
  setInterval(() => {
    const nowMs = performance.now();
    const due = ((nowMs - startMs) / 8000) * Number(bits);
    for (; sent < due; sent += DATAGRAM_BYTES) socket.send(datagram, Number(port), address);
    if (nowMs >= untilMs) process.exit();
  }, 1);
}

if (role === "receive") receive();
else send();
