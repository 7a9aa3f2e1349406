/**
 * An agent that answers by the book of a test: bytes, not calls, so that it can also say what no gRPC library would.
 *
 * @module
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { concatBytes, latin1Bytes } from "../../cni/core/bytes.ts";
import { encodeHeaders } from "../../cni/core/hpack.ts";
import { encodeFrame, encodeSettings, FLAG, FRAME } from "../../cni/core/http2-frames.ts";
import { encodeBytes, encodeUint } from "../../cni/core/protobuf.ts";

/** What the agent does with a connection once it has read something. */
export type Script =
  | { readonly kind: "say"; readonly bytes: Uint8Array; readonly thenClose: boolean }
  | { readonly kind: "silent" };

const encoder = new TextEncoder();

/** Answers each connection to `path` as `script` says at that time. */
export async function openScriptedAgent(path: string, script: () => Script): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.once("data", () => {
      // What comes after the answer is read too: a close with unread bytes would be a reset.
      socket.resume();
      const now = script();
      if (now.kind === "silent") return;
      if (now.thenClose) socket.end(now.bytes);
      else socket.write(now.bytes);
    });
  }).listen(path);
  await once(server, "listening");
  return {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A gRPC answer: headers, one message in frames of at most 16,384 bytes, trailers. */
export function answer(reply: Uint8Array): Uint8Array {
  const body = concatBytes([Uint8Array.of(0), lengthBytes(reply.length), reply]);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += 16_384) {
    frames.push(encodeFrame(FRAME.data, 0, 1, body.subarray(at, at + 16_384)));
  }
  const head = headers({ ":status": "200", "content-type": "application/grpc+proto" }, FLAG.endHeaders);
  return concatBytes([encodeSettings([]), head, ...frames, trailers({ "grpc-status": "0" })]);
}

/** A gRPC status without a message, in one HEADERS frame; a value has one character for each byte. */
export function refusal(fields: Readonly<Record<string, string>>): Uint8Array {
  const head = { ":status": "200", "content-type": "application/grpc", ...fields };
  return concatBytes([encodeSettings([]), trailers(head)]);
}

/** The trailer `terway-fault-bin`; `said`, the message, may be any bytes. */
export function faultTrailer(code: number, said: Uint8Array): string {
  const fields = [
    encodeBytes(1, encoder.encode("cloud")),
    encodeUint(2, code),
    encodeBytes(3, said),
    encodeBytes(4, encoder.encode("räume auf")),
  ];
  return Buffer.from(concatBytes(fields)).toString("base64");
}

function trailers(fields: Readonly<Record<string, string>>): Uint8Array {
  return headers(fields, FLAG.endHeaders | FLAG.endStream);
}

function headers(fields: Readonly<Record<string, string>>, flags: number): Uint8Array {
  const list = Object.entries(fields).map(([name, value]) => ({ name, value }));
  return encodeFrame(FRAME.headers, flags, 1, encodeHeaders(list));
}

function lengthBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

function text(number: number, value: string): Uint8Array {
  return encodeBytes(number, encoder.encode(value));
}

function message(number: number, fields: readonly Uint8Array[]): Uint8Array {
  return encodeBytes(number, concatBytes(fields));
}

/** An AddReply with `routes` routes, of which the first is to everywhere. */
export function addReply(netns: string, routes: number): Uint8Array {
  const parts = [
    message(1, [text(1, "twc1"), text(2, "00:16:3e:00:00:01"), encodeUint(4, 1500)]),
    message(1, [text(1, "eth0"), text(2, "00:16:3e:00:00:02"), text(3, netns), encodeUint(4, 1500)]),
    message(2, [text(1, "10.0.0.5/32"), text(2, "169.254.1.1"), encodeUint(3, 1)]),
    message(2, [text(1, "fd00::5/128"), text(2, "fe80::1"), encodeUint(3, 1)]),
  ];
  for (let index = 0; index < routes; index += 1) {
    const dst = index === 0 ? "0.0.0.0/0" : `10.${index >> 8}.${index & 255}.0/24`;
    parts.push(message(3, [text(1, dst), text(2, "169.254.1.1")]));
  }
  return concatBytes(parts);
}

/** Bytes that are not HTTP/2. */
export const HTTP_1_ANSWER = latin1Bytes("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
