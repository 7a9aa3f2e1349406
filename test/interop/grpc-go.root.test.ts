/**
 * The plugin's gRPC client against a server by grpc-go.
 *
 * @module
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "../harness/process.ts";
import { call, digest, pattern, summary, type Conversation } from "./conversation.ts";

const BUILD_MS_MAX = 600_000;
const hasGo = spawnSync("go", ["version"]).status === 0;

const directory = mkdtempSync(join(tmpdir(), "terway-grpc-go-"));
const servers: ChildProcess[] = [];

afterAll(() => {
  for (const server of servers) server.stdin?.end();
  rmSync(directory, { recursive: true });
});

/** Starts a server, calls it once, and ends it. */
async function ask(program: string, method: string, message: Uint8Array): Promise<Conversation> {
  const socketPath = join(directory, `${servers.length}.sock`);
  const server = spawn(program, [socketPath], { stdio: ["pipe", "pipe", "inherit"] });
  servers.push(server);
  const ended = once(server, "exit");
  const early = ended.then(() => Promise.reject(new Error(`${program} ended before it listened`)));
  await Promise.race([once(server.stdout, "data"), early]);
  early.catch(() => undefined);
  try {
    return await call(socketPath, `/terway.interop.Server/${method}`, message);
  } finally {
    server.stdin.end();
    await ended;
  }
}

if (hasGo) {
  describe("openGrpcCall() and grpc-go", () => {
    let program = "";
    beforeAll(async () => {
      const script = join(import.meta.dirname, "grpc-go.sh");
      program = (await must(script, [], { timeoutMs: BUILD_MS_MAX })).trim();
    }, BUILD_MS_MAX);

    it("agree on a reply", async () => {
      const message = pattern(1_000);
      const said = await ask(program, "Echo", message);
      expect(summary(said)).toEqual({ kind: "reply", message: digest(message) });
    });

    it("agree on an empty message", async () => {
      const said = await ask(program, "Echo", new Uint8Array(0));
      expect(summary(said)).toEqual({ kind: "reply", message: digest(new Uint8Array(0)) });
    });

    it("agree on a request of one MiB, which goes out as far as the server's windows let it", async () => {
      const message = pattern(1_048_576);
      const said = await ask(program, "Echo", message);
      expect(summary(said)).toEqual({ kind: "reply", message: digest(message) });
      expect(said.openingBytes).toBeLessThan(67_000);
      expect(said.sentBytes).toBeGreaterThan(message.length);
    });

    it("agree on a reply of three million bytes", async () => {
      const said = await ask(program, "Large", new Uint8Array(0));
      expect(summary(said)).toEqual({ kind: "reply", message: digest(pattern(3_000_000)) });
    });

    it("agree on a status with a fault, and on a message that is not ASCII", async () => {
      const fault = Uint8Array.from([0x10, 11, 0x1a, 3, 0x61, 0xc3, 0xbc]);
      const said = await ask(program, "Fault", fault);
      expect(said.end).toEqual({
        kind: "status",
        code: 8,
        message: "keine Adresse: größer\n日本 100%",
        fault: { kind: "", cniCode: 11, message: "aü", remedy: "" },
      });
    });

    it("agree on a status that comes before the request has gone out", async () => {
      const said = await ask(program, "Refuse", pattern(1_048_576));
      expect(said.end).toEqual({ kind: "status", code: 8, message: "früh: 100% voll\n日本" });
    });

    it("agree on a method that is not there", async () => {
      const said = await ask(program, "Missing", new Uint8Array(0));
      const message = "no method /terway.interop.Server/Missing";
      expect(said.end).toEqual({ kind: "status", code: 12, message });
    });

    it("agree on a server that shuts down: the call that it has is answered", async () => {
      const message = pattern(100);
      const said = await ask(program, "GoodbyeThenEcho", message);
      expect(summary(said)).toEqual({ kind: "reply", message: digest(message) });
    });

    it("agree on a server that stops at once", async () => {
      expect((await ask(program, "Crash", new Uint8Array(0))).end).toBe("closed");
    });
  });
} else {
  describe("openGrpcCall() and grpc-go", () => {
    it("are NOT compared: there is no go in PATH", () => {
      expect(hasGo).toBe(false);
    });
  });
}
