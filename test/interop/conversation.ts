/**
 * One call of the plugin's gRPC client over a unix socket, and what it did on the way.
 *
 * @module
 */
import { connect } from "node:net";
import { openGrpcCall, type GrpcEnd } from "../../cni/core/grpc.ts";
import { nodeUtf8 } from "../../cni/node-host.ts";

/** `closed`: the server closed the connection before the end. */
export type Conversation = {
  readonly end: GrpcEnd | "closed";
  /** Bytes of the first write, and of all. */
  readonly openingBytes: number;
  readonly sentBytes: number;
};

const TIMEOUT_MS = 20_000;

/** Rejects where the connection fails, or where there is no end in twenty seconds. */
export async function call(socketPath: string, path: string, message: Uint8Array): Promise<Conversation> {
  const request = { path, message, timeoutMs: TIMEOUT_MS, metadata: {}, wantsTiming: true };
  const { opening, feed } = openGrpcCall(request, nodeUtf8);
  let sentBytes = opening.length;
  return await new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const finish = (end: Conversation["end"]): void => {
      socket.destroy();
      resolve({ end, openingBytes: opening.length, sentBytes });
    };
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer to ${path}`)));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE" || error.code === "ECONNRESET") finish("closed");
      else reject(error);
    });
    socket.on("end", () => finish("closed"));
    socket.on("data", (bytes: Buffer) => {
      const step = feed(bytes);
      if (step.kind !== "more") {
        finish(step);
        return;
      }
      sentBytes += step.send.length;
      if (step.send.length > 0) socket.write(step.send);
    });
    socket.write(opening);
  });
}

/** `length` bytes that show where a part of them has come from. */
export function pattern(length: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => at % 251);
}

/** The end with its message as a length and a checksum, which compare faster than bytes. */
export function summary({ end }: Conversation): unknown {
  if (end === "closed" || end.kind !== "reply") return end;
  return { ...end, message: digest(end.message) };
}

/** Length, and a sum that tells the order of the bytes. */
export function digest(bytes: Uint8Array): string {
  let sum = 0;
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return `${bytes.length} bytes, ${sum}`;
}
