import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, credentials, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { loadContract } from "./contract.ts";
import { type PodCall } from "./request.ts";
import { type AgentApi, openRpcServer, type RpcServer } from "./server.ts";

let directory = "";
let socketPath = "";
let seen: PodCall[] = [];
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
    return ok(RESULT);
  },
  del: async (call) => {
    if (call.attachment.containerId === "bug") throw new Error("a bug");
    return failed({ kind: "kernel", op: "ip link delete", errno: "EBUSY", extAck: "wörtlich" });
  },
};

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
  bugs = [];
  const opened = await openRpcServer({ socketPath, api: API, onBug: (bug) => bugs.push(bug), drainMs: 100 });
  if (!opened.ok) throw new Error(opened.fault);
  server = opened.value;
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

type Answer = { readonly error: ServiceError | null; readonly reply: unknown };

async function ask(method: string, request: object, service = loadContract().service): Promise<Answer> {
  const Constructor = makeClientConstructor(service, "Service");
  const client: Client = new Constructor(`unix:${socketPath}`, credentials.createInsecure());
  const call: unknown = Reflect.get(client, method);
  if (typeof call !== "function") throw new Error(`no method ${method}`);
  try {
    return await new Promise<Answer>((resolve) => {
      call.call(client, request, (error: ServiceError | null, reply: unknown) => resolve({ error, reply }));
    });
  } finally {
    client.close();
  }
}

describe("openRpcServer()", () => {
  it("passes a call on and its result back", async () => {
    const { error, reply } = await ask("Add", REQUEST);
    expect(error).toBeNull();
    expect(reply).toEqual(RESULT);
    expect(seen).toEqual([
      {
        attachment: { network: "terway", containerId: "c1", ifName: "eth0" },
        netns: "/run/netns/p",
        args: { IgnoreUnknown: "1", K8S_POD_NAME: "web" },
        deadlineMs: 5000,
        traceparent: "00-1-2-01",
      },
    ]);
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

  it("accepts the protocol before this one", async () => {
    expect((await ask("Add", { ...REQUEST, call: { ...REQUEST.call, protocol: 0 } })).error).toBeNull();
  });

  it("says that it does not have the other commands", async () => {
    for (const method of ["Check", "Gc", "Status"]) {
      expect((await ask(method, { call: REQUEST.call })).error?.code, method).toBe(12);
    }
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
