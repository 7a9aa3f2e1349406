/**
 * The plugin's gRPC client against a server by @grpc/grpc-js, which is what the agent is made of, without agent.proto.
 *
 * @module
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, digest, pattern, summary } from "./conversation.ts";

type Handler = (asked: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => void;

const directory = mkdtempSync(join(tmpdir(), "terway-grpc-js-"));
const socketPath = join(directory, "server.sock");
const server = new Server();
const raw = (bytes: Buffer): Buffer => bytes;
const method = (name: string) => ({
  path: `/terway.interop.Server/${name}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
});

const handlers: Record<string, Handler> = {
  Echo: ({ request }, reply) => {
    const trailers = new Metadata();
    trailers.set("terway-timing", "total;dur=1.8");
    reply(null, request, trailers);
  },
  Large: (_, reply) => reply(null, Buffer.from(pattern(3_000_000))),
  Fault: ({ request }, reply) => {
    const metadata = new Metadata();
    metadata.set("terway-fault-bin", request);
    reply({ code: 8, details: "keine Adresse: größer\n日本 100%", metadata });
  },
  Goodbye: ({ request }, reply) => {
    // GOAWAY goes out, and this call is waited for.
    server.tryShutdown(() => undefined);
    setImmediate(() => reply(null, request));
  },
};

beforeAll(async () => {
  const definition: ServiceDefinition = Object.fromEntries(
    Object.keys(handlers).map((name) => [name, method(name)]),
  );
  server.addService(definition, handlers);
  await new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
});

afterAll(() => {
  server.forceShutdown();
  rmSync(directory, { recursive: true });
});

function ask(name: string, message: Uint8Array) {
  return call(socketPath, `/terway.interop.Server/${name}`, message);
}

describe("openGrpcCall() and grpc-js", () => {
  it("agree on a request of one MiB, which goes out as far as the server's windows let it", async () => {
    const message = pattern(1_048_576);
    const said = await ask("Echo", message);
    expect(summary(said)).toEqual({ kind: "reply", message: digest(message), timing: "total;dur=1.8" });
    expect(said.openingBytes).toBeLessThan(67_000);
    expect(said.sentBytes).toBeGreaterThan(message.length);
  });

  it("agree on a reply of three million bytes, and on one of none", async () => {
    expect(summary(await ask("Large", new Uint8Array(0)))).toEqual({
      kind: "reply",
      message: digest(pattern(3_000_000)),
    });
    expect(summary(await ask("Echo", new Uint8Array(0)))).toMatchObject({
      message: digest(new Uint8Array(0)),
    });
  });

  it("agree on a status with a fault, and on a message that is not ASCII", async () => {
    const said = await ask("Fault", Uint8Array.from([0x10, 11, 0x1a, 3, 0x61, 0xc3, 0xbc]));
    expect(said.end).toEqual({
      kind: "status",
      code: 8,
      message: "keine Adresse: größer\n日本 100%",
      fault: { kind: "", cniCode: 11, message: "aü", remedy: "" },
    });
  });

  it("agree on a method that is not there", async () => {
    expect((await ask("Missing", Uint8Array.of(1))).end).toMatchObject({ kind: "status", code: 12 });
  });

  it("agree on a server that shuts down: the call that it has is answered", async () => {
    const message = pattern(100);
    expect(summary(await ask("Goodbye", message))).toEqual({ kind: "reply", message: digest(message) });
  });
});
