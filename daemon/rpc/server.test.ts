import { mkdtempSync, rmSync, statSync } from "node:fs";
import { EventEmitter } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Client,
  credentials,
  makeClientConstructor,
  type Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TIMING_TRAILER } from "../../proto/paths.ts";
import { failed, ok } from "../../proto/result.ts";
import { loadContract } from "./contract.ts";
import { type CheckCall, type GcCall, type PodCall } from "./request.ts";
import { type AgentApi, openRpcServer, type RpcServer } from "./server.ts";

let directory = "";
let socketPath = "";
let seen: PodCall[] = [];
let checked: CheckCall[] = [];
let collected: GcCall[] = [];
let bugs: unknown[] = [];
let server: RpcServer;

const RESULT = {
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/p", mtu: 1500 }],
  ips: [{ address: "10.0.0.5/32", gateway: "169.254.1.1", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
};

const API: AgentApi = {
  add: async (call) => {
    seen.push(call);
    if (call.attachment.containerId === "slow") await new Promise((resolve) => onGone(call.signal, resolve));
    return ok({ result: RESULT, timing: { wait: 0.1, store: 0.3, netlink: 1.2, total: 1.6 } });
  },
  del: async (call) => {
    if (call.attachment.containerId === "bug") throw new Error("a bug");
    return failed({ kind: "kernel", op: "ip link delete", errno: "EBUSY", extAck: "wörtlich" });
  },
  check: async (call) => {
    checked.push(call);
    return failed({ kind: "check-failed", attachment: "terway/c1/eth0", differences: ["route is missing"] });
  },
  gc: async (call) => {
    collected.push(call);
    return ok(undefined);
  },
  status: async () => failed({ kind: "cannot-serve", reason: "it is starting" }),
};

function onGone(signal: AbortSignal, act: (value: unknown) => void): void {
  if (signal.aborted) act(undefined);
  else signal.addEventListener("abort", act);
}

const REQUEST = {
  call: { protocol: 1, deadlineMs: 5000, traceparent: "00-1-2-01", config: Buffer.from("{}") },
  attachment: { network: "terway", containerId: "c1", ifname: "eth0" },
  netns: "/run/netns/p",
  cniArgs: "IgnoreUnknown=1;K8S_POD_NAME=web;bad",
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "terway-rpc-"));
  socketPath = join(directory, "run/agent.sock");
  seen = [];
  checked = [];
  collected = [];
  bugs = [];
  const opened = await openRpcServer({ socketPath, api: API, onBug: (bug) => bugs.push(bug), drainMs: 100 });
  if (!opened.ok) throw new Error(opened.fault);
  server = opened.value;
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

type Answer = {
  readonly error: ServiceError | null;
  readonly reply: unknown;
  /** Of the trailing metadata. */
  readonly timing: readonly unknown[];
};

async function ask(method: string, request: object, service = loadContract().service): Promise<Answer> {
  const Constructor = makeClientConstructor(service, "Service");
  const client: Client = new Constructor(`unix:${socketPath}`, credentials.createInsecure());
  const call: unknown = Reflect.get(client, method);
  if (typeof call !== "function") throw new Error(`no method ${method}`);
  try {
    return await new Promise<Answer>((resolve) => {
      let answer: Omit<Answer, "timing"> | undefined;
      const asked: unknown = call.call(client, request, (error: ServiceError | null, reply: unknown) => {
        answer = { error, reply };
      });
      // "status" brings the trailers, and comes after the reply.
      if (asked instanceof EventEmitter)
        asked.on("status", ({ metadata }: { readonly metadata: Metadata }) => {
          const timing = metadata.get(TIMING_TRAILER);
          setImmediate(() => resolve({ error: null, reply: undefined, ...answer, timing }));
        });
    });
  } finally {
    client.close();
  }
}

function withConfig(config: string): object {
  return { ...REQUEST, call: { ...REQUEST.call, config: Buffer.from(config) } };
}

async function askGc(more: object): Promise<Answer> {
  return ask("Gc", { call: REQUEST.call, network: "terway", ...more });
}

function withRuntime(runtimeConfig: unknown): object {
  const config = Buffer.from(JSON.stringify({ runtimeConfig }));
  return { ...REQUEST, call: { ...REQUEST.call, config } };
}

describe("openRpcServer()", () => {
  it("passes a call on and its result back", async () => {
    const { error, reply, timing } = await ask("Add", REQUEST);
    expect(error).toBeNull();
    expect(reply).toEqual(RESULT);
    expect(timing).toEqual(["wait;dur=0.1, store;dur=0.3, netlink;dur=1.2, total;dur=1.6"]);
    expect(seen).toEqual([
      {
        attachment: { network: "terway", containerId: "c1", ifName: "eth0" },
        bandwidth: {},
        netns: "/run/netns/p",
        args: { IgnoreUnknown: "1", K8S_POD_NAME: "web" },
        deadlineMs: 5000,
        traceparent: "00-1-2-01",
        signal: expect.any(AbortSignal),
      },
    ]);
  });

  it("tells the handler when the caller's connection breaks, and when its time is over", async () => {
    const attachment = { ...REQUEST.attachment, containerId: "slow" };
    const method = loadContract().service["Add"];
    const message = method?.requestSerialize({ ...REQUEST, attachment }) ?? Buffer.alloc(0);
    const session = connectHttp2("http://localhost", { createConnection: () => connect(socketPath) });
    const stream = session.request({
      ":method": "POST",
      ":path": method?.path ?? "",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
    await vi.waitUntil(() => seen.length === 1);
    expect(seen[0]?.signal.aborted).toBe(false);
    session.destroy();
    await vi.waitUntil(() => seen[0]?.signal.aborted === true);
    await ask("Add", { ...REQUEST, attachment, call: { ...REQUEST.call, deadlineMs: 30 } });
    expect(seen[1]?.signal.aborted).toBe(true);
  });

  it("carries a fault with its CNI code beside the gRPC status", async () => {
    const { error } = await ask("Del", REQUEST);
    expect(error?.code).toBe(13);
    const [trailer] = error?.metadata.get("terway-fault-bin") ?? [];
    expect(Buffer.from(trailer ?? "").toString("utf8")).toContain("ip link delete: EBUSY (wörtlich)");
  });

  it("answers a bug with an internal error and tells about it", async () => {
    const attachment = { ...REQUEST.attachment, containerId: "bug" };
    const { error } = await ask("Del", { ...REQUEST, attachment });
    expect([error?.code, error?.details]).toEqual([13, "internal error: a bug"]);
    expect(bugs).toEqual([new Error("a bug")]);
  });

  it("refuses malformed requests, naming what is wrong", async () => {
    const table: readonly (readonly [object, number, string])[] = [
      [{ ...REQUEST, call: null }, 3, "call"],
      [{ ...REQUEST, attachment: null }, 3, "attachment.network, attachment.container_id, attachment.ifname"],
      [{ ...REQUEST, attachment: { ...REQUEST.attachment, ifname: "a/b" } }, 3, "attachment.ifname"],
      [
        { ...REQUEST, attachment: { ...REQUEST.attachment, containerId: "../x" } },
        3,
        "attachment.container_id",
      ],
      [{ ...REQUEST, netns: "relative" }, 3, "netns"],
      [{ ...REQUEST, call: { ...REQUEST.call, protocol: 7 } }, 9, "protocol 7, this agent 0 and 1"],
    ];
    for (const [request, code, text] of table) {
      const { error } = await ask("Add", request);
      expect(error?.code, text).toBe(code);
      expect(error?.details).toContain(text);
    }
    expect(seen).toEqual([]);
  });

  it("passes the limits on that the runtime asks for, and refuses what is none before anything is done", async () => {
    await ask("Add", withRuntime({ bandwidth: { IngressRate: 10_000_000, IngressBurst: 4_294_967_295 } }));
    expect(seen).toMatchObject([{ bandwidth: { ingress: { bitsPerSecond: 10_000_000, burstBytes: 0 } } }]);
    const bad = withRuntime({ bandwidth: { egressRate: "10Mb" } });
    const { error } = await ask("Add", bad);
    expect(error?.code).toBe(3);
    expect(error?.details).toContain(
      'runtimeConfig.bandwidth.egressRate: is "10Mb"; wanted is bits a second',
    );
    expect(seen).toHaveLength(1);
    // DEL succeeds whatever the configuration has become.
    expect((await ask("Del", bad)).error?.details).toContain("EBUSY");
  });

  it("accepts the protocol before this one", async () => {
    expect((await ask("Add", { ...REQUEST, call: { ...REQUEST.call, protocol: 0 } })).error).toBeNull();
  });

  it("passes CHECK on with the result of ADD, and does without one refuse it", async () => {
    const { error } = await ask("Check", withConfig('{"prevResult":{"ips":[]}}'));
    expect([error?.code, error?.details]).toEqual([
      9,
      "terway/c1/eth0 is not as ADD made it: route is missing",
    ]);
    expect(checked).toMatchObject([{ netns: "/run/netns/p", prevResult: { ips: [] } }]);
    for (const config of ["", "{", "[]", "{}", '{"prevResult":null}']) {
      const refused = (await ask("Check", withConfig(config))).error;
      expect([refused?.code, refused?.details], config).toEqual([
        3,
        "network configuration: prevResult: CHECK needs the result of ADD in it",
      ]);
    }
    expect(checked).toHaveLength(1);
  });

  it("tells a list without entries from no list", async () => {
    const attachments = [{ network: "terway", containerId: "c1", ifname: "eth0" }];
    for (const more of [{}, { attachmentsGiven: true }, { attachmentsGiven: true, attachments }])
      expect((await askGc(more)).error).toBeNull();
    expect(collected).toEqual([
      { network: "terway", valid: undefined },
      { network: "terway", valid: [] },
      { network: "terway", valid: [{ network: "terway", containerId: "c1", ifName: "eth0" }] },
    ]);
    const bad = await askGc({
      attachmentsGiven: true,
      attachments: [...attachments, { containerId: "", ifname: "eth0" }],
    });
    expect(bad.error?.details).toContain("cni.dev/valid-attachments[1]");
    expect((await askGc({ network: "" })).error?.details).toContain("network");
    expect(collected).toHaveLength(3);
  });

  it("answers STATUS", async () => {
    const { error } = await ask("Status", { call: REQUEST.call });
    expect([error?.code, error?.details]).toEqual([14, "a new pod could not be served: it is starting"]);
    expect((await ask("Status", { call: null })).error?.code).toBe(3);
  });

  it("answers standard health checks", async () => {
    expect((await ask("Check", { service: "" }, healthService)).reply).toEqual({ status: "NOT_SERVING" });
    server.setServing(true);
    expect((await ask("Check", { service: "terway.agent.v1.Agent" }, healthService)).reply).toEqual({
      status: "SERVING",
    });
  });

  it("keeps its directory private and refuses a second agent on the socket", async () => {
    expect(statSync(join(directory, "run")).mode & 0o777).toBe(0o700);
    const second = await openRpcServer({ socketPath, api: API, onBug: () => undefined, drainMs: 100 });
    expect(second).toEqual({ ok: false, fault: expect.stringContaining("another terwayd answers on") });
  });

  it("takes over a socket that nobody serves", async () => {
    const stale = join(directory, "stale.sock");
    const dead = createServer().listen(stale);
    await new Promise((resolve) => {
      dead.once("listening", resolve);
    });
    // What a killed process leaves: the file, and nobody behind it.
    Reflect.get(dead, "_handle")?.close();
    const opened = await openRpcServer({ socketPath: stale, api: API, onBug: () => undefined, drainMs: 100 });
    expect(opened.ok).toBe(true);
    if (opened.ok) await opened.value[Symbol.asyncDispose]();
  });
});
