/**
 * The plugin as a child process, as a container runtime runs it.
 *
 * @module
 */
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import { loadSync, type AnyDefinition } from "@grpc/proto-loader";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createServer } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSpooled } from "../proto/spool.ts";
import { nodeUtf8, runPlugin } from "./node-host.ts";

const CONFIG = '{"cniVersion":"0.4.0","name":"terway","type":"terway"}';
const ENV = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/pod", CNI_IFNAME: "eth0" };
const REPLY = {
  interfaces: [{ name: "eth0", sandbox: "/run/netns/pod" }],
  ips: [{ address: "10.0.0.5/32" }],
};
const RESULT =
  '{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/pod"}],' +
  '"ips":[{"version":"4","interface":0,"address":"10.0.0.5/32"}],"routes":[]}\n';

const directory = mkdtempSync(join(tmpdir(), "terway-main-"));
const socketPath = join(directory, "agent.sock");
const agent = new Server();

beforeAll(async () => {
  const proto = loadSync(fileURLToPath(new URL("../proto/agent.proto", import.meta.url)));
  const service = proto["terway.agent.v1.Agent"];
  if (service === undefined || !isService(service)) throw new Error("no service");
  agent.addService(service, {
    Add: (_: unknown, reply: sendUnaryData<object>) => reply(null, REPLY),
    Del: (_: unknown, reply: sendUnaryData<object>) => reply(null, {}),
  });
  await new Promise((resolve, reject) => {
    agent.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
});

afterAll(() => {
  agent.forceShutdown();
  rmSync(directory, { recursive: true });
});

function isService(
  definition: AnyDefinition,
): definition is Parameters<Server["addService"]>[0] & AnyDefinition {
  return "Add" in definition;
}

const launcher = fileURLToPath(new URL("main.ts", import.meta.url));

async function launch(env: Record<string, string>, stdin: string | Buffer | number) {
  const stdio = [typeof stdin === "number" ? stdin : "pipe", "pipe", "pipe"] as const;
  const child = spawn(process.execPath, [launcher], {
    env: { TERWAY_AGENT_SOCKET: socketPath, ...env },
    stdio: [...stdio],
  });
  child.stdin?.on("error", () => undefined);
  if (typeof stdin !== "number") child.stdin?.end(stdin);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("no pipes");
  const [out, err, [exit]] = await Promise.all([text(stdout), text(stderr), once(child, "exit")]);
  return { exit, out, err };
}

describe("main.ts", () => {
  it("prints only the result, and ends with 0", async () => {
    expect(await launch(ENV, CONFIG)).toEqual({ exit: 0, out: RESULT, err: "" });
    expect(await launch({ ...ENV, CNI_COMMAND: "DEL" }, CONFIG)).toEqual({ exit: 0, out: "", err: "" });
    const version = await launch({ CNI_COMMAND: "VERSION" }, CONFIG);
    expect(version).toMatchObject({
      exit: 0,
      out: expect.stringContaining('"supportedVersions":["0.1.0"'),
      err: "",
    });
    expect(await launch({}, "")).toMatchObject({ exit: 0, out: "", err: expect.stringContaining("1.1.0") });
  });

  it("prints only the error object, and ends with 1", async () => {
    const missing = { ...ENV, TERWAY_AGENT_SOCKET: join(directory, "missing.sock") };
    const own = { ...ENV, CNI_NETNS: "/proc/self/ns/net" };
    const directoryFd = openSync(directory, "r");
    try {
      for (const [env, stdin, code] of [
        [missing, CONFIG, 11],
        [own, CONFIG, 8],
        [ENV, "{", 6],
        [ENV, `${CONFIG}${" ".repeat(1_100_000)}`, 5],
        [ENV, directoryFd, 5],
        [{ CNI_COMMAND: "ADD" }, CONFIG, 4],
      ] as const) {
        const { exit, out, err } = await launch(env, stdin);
        const error = JSON.parse(out);
        expect({ exit, err, code: error.code }).toEqual({
          exit: 1,
          err: `terway: ADD: ${error.msg}; ${error.details}\n`,
          code,
        });
      }
    } finally {
      closeSync(directoryFd);
    }
  });

  it("ends with an error when the agent is killed in the middle of the call", async () => {
    const path = join(directory, "killed.sock");
    const script = `require("net").createServer((socket) => socket.on("data", () => process.kill(process.pid, "SIGKILL")))
      .listen(${JSON.stringify(path)}, () => console.log("ready"))`;
    const killed = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
    await once(killed.stdout, "data");
    const { exit, out } = await launch({ ...ENV, TERWAY_AGENT_SOCKET: path }, CONFIG);
    expect({ exit, error: JSON.parse(out) }).toMatchObject({
      exit: 1,
      error: { code: 11, msg: expect.stringContaining(path) },
    });
  });

  it("keeps DELs that nobody takes, several at once, and says so on standard error", async () => {
    const spool = join(directory, "a/spool");
    const env = { ...ENV, CNI_COMMAND: "DEL", TERWAY_AGENT_SOCKET: join(directory, "missing.sock") };
    const dels = ["c1", "c1", "c2", "c2"].map(async (id) => {
      const run = await launch({ ...env, CNI_CONTAINERID: id, TERWAY_SPOOL_DIR: spool }, CONFIG);
      expect(run).toMatchObject({ exit: 0, out: "" });
      expect(run.err).toMatch(/^terway: DEL: kept for the agent in [^\n]*\n$/);
      expect(run.err).toContain(`${spool}/terway@${id}@eth0.del`);
    });
    await Promise.all(dels);
    expect(readdirSync(spool).toSorted()).toEqual(["terway@c1@eth0.del", "terway@c2@eth0.del"]);
    for (const id of ["c1", "c2"]) {
      const text = readFileSync(join(spool, `terway@${id}@eth0.del`), "utf8");
      expect(decodeSpooled(text)).toMatchObject({ ok: true, value: { attachment: { containerId: id } } });
    }
  });

  it("fails, and says why, where a DEL can be neither delivered nor kept", async () => {
    const env = { ...ENV, CNI_COMMAND: "DEL", TERWAY_AGENT_SOCKET: join(directory, "missing.sock") };
    const { exit, out, err } = await launch({ ...env, TERWAY_SPOOL_DIR: socketPath }, CONFIG);
    const { code, msg, details } = JSON.parse(out);
    expect({ exit, code, err }).toEqual({ exit: 1, code: 11, err: `terway: DEL: ${msg}; ${details}\n` });
    expect(msg).toContain("there is no such socket");
  });

  it("reads no more of an endless stdin than the bound", async () => {
    let given = 0;
    const endless = new Readable({
      read(size) {
        given += size;
        this.push(Buffer.alloc(size, " "));
      },
    });
    const child = spawn(process.execPath, [launcher], { env: ENV, stdio: ["pipe", "pipe", "ignore"] });
    child.stdin.on("error", () => endless.destroy());
    endless.pipe(child.stdin);
    const [out, [exit]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    endless.destroy();
    expect({ exit, error: JSON.parse(out) }).toMatchObject({
      exit: 1,
      error: {
        code: 5,
        msg: "cannot read the network configuration from stdin: it is longer than 1048576 bytes",
      },
    });
    expect(given).toBeLessThan(4_000_000);
  });

  it("takes a configuration of just the bound, and one that is not UTF-8 or nested deep for what it is", async () => {
    const full = CONFIG + " ".repeat(1_048_576 - CONFIG.length);
    expect(await launch({ ...ENV, CNI_COMMAND: "DEL" }, full)).toEqual({ exit: 0, out: "", err: "" });
    for (const [stdin, said] of [
      [Buffer.from([0x7b, 0xff]), "line 1, column 2: a byte that is not UTF-8"],
      ["[".repeat(1_000_000), "line 1, column 129: nested more than 128 deep"],
      ['{"a":'.repeat(200_000), "line 1, column 641: nested more than 128 deep"],
    ] as const) {
      const { exit, out } = await launch(ENV, stdin);
      expect({ exit, error: JSON.parse(out) }).toMatchObject({
        exit: 1,
        error: { code: 6, msg: `network configuration is not JSON: ${said}` },
      });
    }
  });

  it("does not wait for an agent that accepts and is silent: STATUS a second, DEL eight", async () => {
    const path = join(directory, "silent.sock");
    const silent = createServer().listen(path);
    await once(silent, "listening");
    const spool = join(directory, "silent");
    const config = { cniVersion: "1.1.0", name: "net", agent_socket: path, spool_dir: spool };
    const timed = async (command: string) => {
      const startMs = performance.now();
      const done = await runPlugin({
        env: { ...ENV, CNI_COMMAND: command },
        readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(JSON.stringify(config)) }),
        isOwnNetns: () => false,
        utf8: nodeUtf8,
      });
      return { done, tookMs: performance.now() - startMs };
    };
    try {
      const [status, del] = await Promise.all([timed("STATUS"), timed("DEL")]);
      expect(JSON.parse(status.done.stdout)).toMatchObject({
        code: 50,
        msg: "a new pod could not be served: STATUS by the agent took longer than 800 ms",
      });
      expect(status.tookMs).toBeLessThan(1_000);
      expect(del.done).toMatchObject({ exit: 0, stdout: "" });
      expect(del.tookMs).toBeLessThan(8_000);
      expect(readdirSync(spool)).toEqual(["net@c1@eth0.del"]);
    } finally {
      silent.close();
    }
  });
});
