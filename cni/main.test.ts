/**
 * The plugin as a child process, as a container runtime runs it.
 *
 * @module
 */
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import { loadSync, type AnyDefinition } from "@grpc/proto-loader";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

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

async function launch(env: Record<string, string>, stdin: string | number) {
  const stdio = [typeof stdin === "number" ? stdin : "pipe", "pipe", "pipe"] as const;
  const child = spawn(process.execPath, [launcher], {
    env: { TERWAY_AGENT_SOCKET: socketPath, ...env },
    stdio: [...stdio],
  });
  child.stdin?.on("error", () => undefined);
  if (typeof stdin === "string") child.stdin?.end(stdin);
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
});
