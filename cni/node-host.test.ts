/**
 * The plugin against a real gRPC server (grpc-js with agent.proto) over a unix socket, and against servers that are not.
 *
 * @module
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { loadSync, type AnyDefinition, type MessageTypeDefinition } from "@grpc/proto-loader";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { begin } from "./core/command.ts";
import { type Done } from "./core/done.ts";
import { carryOutSpool } from "./node-host-spool.ts";
import { converse, nodeUtf8, runPlugin } from "./node-host.ts";

const definitions = loadSync(fileURLToPath(new URL("../proto/agent.proto", import.meta.url)), {
  defaults: true,
  keepCase: true,
});
const directory = mkdtempSync(join(tmpdir(), "terway-cni-"));
const socketPath = join(directory, "agent.sock");

type Handler = (call: ServerUnaryCall<Record<string, unknown>, object>, reply: sendUnaryData<object>) => void;
let add: Handler = () => undefined;
let other: Handler = (_, reply) => reply(null, {});
const server = new Server();

beforeAll(async () => {
  server.addService(service(), {
    Add: (call: Parameters<Handler>[0], reply: Parameters<Handler>[1]) => add(call, reply),
    ...Object.fromEntries(
      ["Del", "Check", "Gc", "Status"].map((method): [string, Handler] => [
        method,
        (call, reply) => other(call, reply),
      ]),
    ),
  });
  await listen(server, socketPath);
});

afterAll(() => {
  server.forceShutdown();
  rmSync(directory, { recursive: true });
});

function service(): ServiceDefinition {
  const definition = definitions["terway.agent.v1.Agent"];
  if (definition === undefined || !isService(definition)) throw new Error("no service");
  return definition;
}

function isService(definition: AnyDefinition): definition is Extract<AnyDefinition, ServiceDefinition> {
  return "Add" in definition;
}

function isMessage(
  definition: AnyDefinition | undefined,
): definition is MessageTypeDefinition<object, object> {
  return definition?.["format"] === "Protocol Buffer 3 DescriptorProto";
}

function listen(on: Server, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    on.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

const CONFIG = '{ "cniVersion": "1.0.0",\n "name": "terway", "type": "terway", "x": "größer" }\n';
const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=web-0",
};
const REPLY = {
  interfaces: [
    { name: "vethc1", mac: "00:16:3e:00:00:01", sandbox: "", mtu: 1500 },
    { name: "eth0", mac: "00:16:3e:00:00:02", sandbox: "/run/netns/pod", mtu: 1500 },
  ],
  ips: [{ address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 1 }],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
};
const RESULT = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "vethc1", mac: "00:16:3e:00:00:01" },
    { name: "eth0", mac: "00:16:3e:00:00:02", sandbox: "/run/netns/pod" },
  ],
  ips: [{ interface: 1, address: "10.0.0.5/32", gateway: "169.254.1.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
};

type Call = {
  readonly env?: object;
  readonly path?: string;
  readonly stdin?: string;
  readonly deadlineMs?: number;
};

/** One run in this process; `deadlineMs` in place of the command's own. */
async function run({ env, path = socketPath, stdin = CONFIG, deadlineMs }: Call = {}): Promise<Done> {
  const input = {
    env: { ...ENV, TERWAY_AGENT_SOCKET: path, ...env },
    readStdin: () => ({ kind: "read", bytes: nodeUtf8.encode(stdin) }) as const,
    isOwnNetns: () => false,
    utf8: nodeUtf8,
  };
  if (deadlineMs === undefined) return await runPlugin(input);
  const start = begin(input);
  if (start.kind !== "call") throw new Error(start.stdout);
  const end = await converse({ ...start, deadlineMs });
  return end.kind === "done" ? end : carryOutSpool(end);
}

function errorIn(done: Done): Record<string, unknown> {
  const error: Record<string, unknown> = JSON.parse(done.stdout);
  expect(error["cniVersion"]).toBe("1.0.0");
  expect({ exit: done.exit, stderr: done.stderr }).toEqual({
    exit: 1,
    stderr: `terway: ADD: ${String(error["msg"])}; ${String(error["details"])}\n`,
  });
  return error;
}

describe("runPlugin() and a gRPC server", () => {
  it("sends the request as agent.proto has it, and prints the result", async () => {
    const requests: unknown[] = [];
    add = (call, reply) => {
      requests.push(call.request, call.metadata.get("baggage"));
      reply(null, REPLY);
    };
    const done = await run({ env: { TRACEPARENT: "00-a-b-01", BAGGAGE: "k=v" } });
    expect({ ...done, stdout: JSON.parse(done.stdout) }).toEqual({
      kind: "done",
      exit: 0,
      stdout: RESULT,
      stderr: "",
    });
    expect(requests).toEqual([
      {
        call: { protocol: 1, deadline_ms: 99_000, traceparent: "00-a-b-01", config: Buffer.from(CONFIG) },
        attachment: { network: "terway", container_id: "c1", ifname: "eth0" },
        netns: "/run/netns/pod",
        cni_args: ENV.CNI_ARGS,
      },
      ["k=v"],
    ]);
  });

  it("sends DEL, CHECK, GC and STATUS as agent.proto has them, and prints nothing", async () => {
    const stdin = JSON.stringify({
      cniVersion: "1.1.0",
      name: "terway",
      prevResult: { interfaces: [{ name: "eth0", sandbox: "/run/netns/pod" }] },
      "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
    });
    const attachment = { network: "terway", container_id: "c1", ifname: "eth0" };
    const { CNI_ARGS: cni_args, CNI_NETNS: netns } = ENV;
    for (const [CNI_COMMAND, deadline_ms, rest] of [
      ["DEL", 7_500, { attachment, netns, cni_args }],
      ["CHECK", 30_000, { attachment, netns, cni_args }],
      ["GC", 60_000, { network: "terway", attachments_given: true, attachments: [attachment] }],
      ["STATUS", 800, {}],
    ] as const) {
      let request: unknown;
      other = (call, reply) => {
        request = call.request;
        reply(null, {});
      };
      const done = await run({ env: { CNI_COMMAND }, stdin });
      expect(done, CNI_COMMAND).toEqual({ kind: "done", exit: 0, stdout: "", stderr: "" });
      const call = { protocol: 1, deadline_ms, traceparent: "", config: Buffer.from(stdin) };
      expect(request, CNI_COMMAND).toEqual({ call, ...rest });
    }
  });

  it("turns each gRPC status into a CNI error", async () => {
    const [TRY_AGAIN, PROTOCOL, INTERNAL] = [11, 101, 999];
    const codes: Record<string, number> = {
      CANCELLED: TRY_AGAIN,
      DEADLINE_EXCEEDED: TRY_AGAIN,
      RESOURCE_EXHAUSTED: TRY_AGAIN,
      ABORTED: TRY_AGAIN,
      UNAVAILABLE: TRY_AGAIN,
      UNIMPLEMENTED: PROTOCOL,
    };
    for (let code = 1; code <= 16; code += 1) {
      const name = status[code] ?? "";
      add = (_, reply) => reply({ code, details: `nö: 日本 100% ${code}` });
      const error = errorIn(await run());
      expect(error, name).toMatchObject({ code: codes[name] ?? INTERNAL });
      expect(error["msg"], name).toContain(`${name}: nö: 日本 100% ${code}`);
      expect(error["details"], name).not.toBe("");
    }
  });

  it("repeats the agent's fault word for word", async () => {
    const fault = definitions["terway.agent.v1.Fault"];
    if (!isMessage(fault)) throw new Error("no message");
    const said = { kind: "cloud", cni_code: 11, message: "Créé: IpNotEnough ☹", remedy: "füge hinzu" };
    add = (_, reply) => {
      const metadata = new Metadata();
      metadata.set("terway-fault-bin", fault.serialize(said));
      reply({ code: status.UNAVAILABLE, details: "other", metadata });
    };
    expect(errorIn(await run())).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: said.message,
      details: said.remedy,
    });
    const terse = { kind: "agent-protocol", cni_code: 0, message: "", remedy: "" };
    add = (_, reply) => {
      const metadata = new Metadata();
      metadata.set("terway-fault-bin", fault.serialize(terse));
      reply({ code: status.UNIMPLEMENTED, details: "other", metadata });
    };
    expect(errorIn(await run())).toMatchObject({ code: 101, msg: "other" });
  });

  it("reads a reply of many frames and sends a configuration beyond every window", async () => {
    const routes = Array.from({ length: 4_000 }, (_, index) => ({
      dst: `10.${index >> 8}.${index & 255}.0/24`,
      gw: "169.254.1.1",
    }));
    let configBytes = 0;
    add = (call, reply) => {
      const inner = call.request["call"];
      const config =
        typeof inner === "object" && inner !== null && "config" in inner ? inner.config : undefined;
      configBytes = Buffer.isBuffer(config) ? config.length : -1;
      reply(null, { ...REPLY, routes });
    };
    const stdin = JSON.stringify({ ...JSON.parse(CONFIG), padding: "ü".repeat(300_000) });
    const done = await run({ stdin });
    expect(JSON.parse(done.stdout)).toEqual({ ...RESULT, routes });
    expect(configBytes).toBe(Buffer.byteLength(stdin));
  });

  it("refuses a reply that is no result", async () => {
    add = (_, reply) => reply(null, { ...REPLY, ips: [] });
    expect(errorIn(await run())).toEqual({
      cniVersion: "1.0.0",
      code: 101,
      msg: "the terway agent and this plugin do not understand each other: its reply has no address",
      details: "install the plugin and the agent of the same release, or of two consecutive ones",
    });
  });

  it("does not wait for a slow agent beyond the deadline", async () => {
    add = () => undefined;
    expect(errorIn(await run({ deadlineMs: 100 }))).toMatchObject({
      code: 11,
      // The text tells the command's own deadline, which this test has shortened.
      msg: "ADD by the agent took longer than 99000 ms",
    });
  });

  it("tells of an agent that stops in the middle of a call", async () => {
    const path = join(directory, "stopping.sock");
    const stopping = new Server();
    stopping.addService(service(), { Add: () => stopping.forceShutdown() });
    await listen(stopping, path);
    expect(errorIn(await run({ path }))).toMatchObject({ code: 11, msg: expect.stringContaining(path) });
  });

  it("tells of an agent that does not have the service", async () => {
    const path = join(directory, "other.sock");
    const stranger = new Server();
    await listen(stranger, path);
    try {
      expect(errorIn(await run({ path }))).toMatchObject({
        code: 101,
        msg: expect.stringContaining("it does not have the method Add"),
      });
    } finally {
      stranger.forceShutdown();
    }
  });
});

/** Runs once against a server that treats its connection as `treat` says. */
async function against(
  treat: (socket: Socket) => void,
  deadlineMs = 5_000,
): Promise<Record<string, unknown>> {
  const path = join(directory, "strange.sock");
  const sockets: Socket[] = [];
  const strange = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    treat(socket);
  }).listen(path);
  await once(strange, "listening");
  try {
    return errorIn(await run({ path, deadlineMs }));
  } finally {
    for (const socket of sockets) socket.destroy();
    strange.close();
    await once(strange, "close");
  }
}

describe("converse() and what is no agent", () => {
  it("says that there is no socket, or that nobody listens", async () => {
    const missing = join(directory, "missing.sock");
    expect(errorIn(await run({ path: missing }))).toEqual({
      cniVersion: "1.0.0",
      code: 11,
      msg: `the terway agent does not answer at ${missing}: there is no such socket (ENOENT)`,
      details: "is terwayd running on this node? Its log says why not; the runtime will try again",
    });
    // A process that is killed leaves its socket behind.
    const left = join(directory, "left.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    expect(errorIn(await run({ path: left }))).toMatchObject({
      code: 11,
      msg: `the terway agent does not answer at ${left}: nobody listens on the socket (ECONNREFUSED)`,
    });
  });

  it("does not wait for a silent one beyond the deadline", async () => {
    expect(await against(() => undefined, 100)).toMatchObject({
      code: 11,
      msg: expect.stringContaining("took longer"),
    });
  });

  it("tells of one that hangs up, politely or not", async () => {
    const polite = await against((socket) => {
      socket.resume();
      socket.end();
    });
    expect(polite).toMatchObject({
      code: 11,
      msg: expect.stringContaining("it closed the connection before it answered"),
    });
    // Bytes that nobody reads when the socket is destroyed make the kernel answer with a reset.
    const rude = await against((socket) => socket.destroy());
    expect(rude).toMatchObject({ code: 11, msg: expect.stringContaining("strange.sock") });
  });

  it("tells of one that speaks something else", async () => {
    for (const noise of ["HTTP/1.1 400 Bad Request\r\n\r\n", "\0".repeat(100), "\xff".repeat(40)]) {
      expect(await against((socket) => socket.write(noise, "latin1"))).toMatchObject({
        code: 101,
        msg: expect.stringContaining("its answer is not gRPC"),
      });
    }
  });
});
