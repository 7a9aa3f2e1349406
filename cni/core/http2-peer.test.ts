/**
 * The HTTP/2 client against an independent server, nghttp2 in Node, over a unix socket.
 *
 * @module
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Header } from "./hpack.ts";
import { openHttp2Call, type Http2End } from "./http2.ts";

const directory = mkdtempSync(join(tmpdir(), "terway-http2-"));
const socketPath = join(directory, "peer.sock");
const server = createServer();
let answer: (stream: ServerHttp2Stream) => void = () => undefined;

beforeAll(async () => {
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  server.listen(socketPath);
  await once(server, "listening");
});

afterAll(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

function ask(body: Uint8Array, further: readonly Header[] = []): Promise<Http2End> {
  const call = openHttp2Call(
    [
      { name: ":method", value: "POST" },
      { name: ":scheme", value: "http" },
      { name: ":path", value: "/" },
      { name: ":authority", value: "localhost" },
      ...further,
    ],
    body,
  );
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.write(call.opening);
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("closed")));
    socket.on("data", (bytes: Buffer) => {
      const step = call.feed(bytes);
      if (step.kind === "more") {
        socket.write(step.send);
        return;
      }
      socket.destroy();
      resolve(step);
    });
  });
}

describe("openHttp2Call() and nghttp2", () => {
  it("agree on every character that a header can have, in Huffman code and plain", async () => {
    const codes = Array.from({ length: 0xff - 0x20 + 1 }, (_, index) => 0x20 + index).filter(
      (code) => code !== 0x7f,
    );
    const values = Object.fromEntries(
      // nghttp2 uses the Huffman code only where it is shorter: 60 short codes make room for a long one.
      codes.map((code) => [`x-${code}`, `${"a".repeat(60)}${String.fromCharCode(code)}b`]),
    );
    answer = (stream) => {
      stream.respond({ ":status": 200, ...values, "x-plain": "\u00ff\u00fe" }, { endStream: true });
    };
    const end = await ask(Uint8Array.of(1));
    if (end.kind !== "response") throw new Error(JSON.stringify(end));
    const given = Object.fromEntries(end.response.headers.map(({ name, value }) => [name, value]));
    expect(given).toMatchObject({ ":status": "200", ...values, "x-plain": "\u00ff\u00fe" });
  });

  it("agree on bodies larger than every window, and on long headers, in both directions", async () => {
    const body = Buffer.alloc(700_000, "0123456789");
    const long = "v".repeat(10_000);
    answer = (stream) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        stream.respond({ ":status": 200, "x-long": long }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-trailer": long }));
        stream.end(Buffer.concat(parts));
      });
    };
    const end = await ask(body, [
      { name: "x-a", value: long },
      { name: "x-b", value: long },
    ]);
    if (end.kind !== "response") throw new Error(JSON.stringify(end));
    expect(body.equals(end.response.body)).toBe(true);
    expect(end.response.headers).toContainEqual({ name: "x-long", value: long });
    expect(end.response.trailers).toEqual([{ name: "x-trailer", value: long }]);
  });

  it("agree on a reset", async () => {
    answer = (stream) => stream.close(8);
    expect(await ask(Uint8Array.of(1))).toEqual({
      kind: "refused",
      begun: true,
      reason: "the call was reset (CANCEL)",
    });
  });

  it("agree on a connection that is being closed", async () => {
    answer = (stream) => stream.session?.goaway(11, 1);
    expect(await ask(Uint8Array.of(1))).toEqual({
      kind: "refused",
      begun: true,
      reason: "the connection is being closed (ENHANCE_YOUR_CALM)",
    });
  });
});
