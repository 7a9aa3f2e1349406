import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { instanceId } from "../../proto/ids.ts";
import { type FabricChange } from "../model/fabric.ts";
import { topologyWith } from "../model/test-cloud.ts";
import { openSimulator, type Simulator, type SimulatorOptions } from "./server.ts";
import { send, type Sent, signed } from "./test-client.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const QUICK = { minMs: 0, maxMs: 0 };

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function open(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
  const topology = topologyWith({ latencies: { describe: QUICK, refuse: QUICK, create: QUICK } });
  return cleanup.use(await openSimulator({ topology, seed: 1, api: LOOPBACK, ...options }));
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): Sent {
  return { method: "GET", path, headers };
}

describe("faults on the wire", () => {
  it("cut, garble and hold back answers", async () => {
    const simulator = await open();
    const create = {
      action: "CreateNetworkInterface",
      query: { VSwitchId: "vsw-pods-h2", SecurityGroupId: "sg-pods", ClientToken: "t" },
    };
    simulator.mustOrder({ kind: "lostReply", action: "CreateNetworkInterface" });
    await expect(send(simulator.apiEndpoint, signed(simulator, create))).rejects.toMatchObject({
      code: "ECONNRESET",
    });
    const again = await send(simulator.apiEndpoint, signed(simulator, create));
    expect(again.status).toBe(200);
    expect((await simulator.state()).enis).toHaveLength(3);
    simulator.mustOrder({ kind: "html502" });
    expect(await send(simulator.apiEndpoint, signed(simulator))).toMatchObject({
      status: 502,
      text: expect.stringContaining("<html>"),
    });
    simulator.mustOrder({ kind: "error", code: "Throttling.User", retryAfterMs: 1234 });
    expect(await send(simulator.apiEndpoint, signed(simulator))).toMatchObject({
      code: "Throttling.User",
      headers: { "x-acs-retry-after": "1234" },
    });
    simulator.mustOrder({ kind: "delay", delayMs: 50 });
    const beganMs = performance.now();
    await send(simulator.apiEndpoint, signed(simulator));
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(49);
    expect(simulator.faults()).toEqual([]);
  });

  it("hang until the caller has had enough", async () => {
    const simulator = await open();
    simulator.mustOrder({ kind: "hang" });
    const sent = signed(simulator);
    const [host = "", port] = simulator.apiEndpoint.split(":");
    const call = request({ host, port: Number(port), ...sent, signal: AbortSignal.timeout(50) });
    call.end();
    await expect(once(call, "response")).rejects.toMatchObject({ name: "AbortError" });
    expect(simulator.calls().totals["DescribeInstances"]).toEqual({
      calls: 1,
      refused: 0,
      throttled: 0,
      lost: 1,
    });
  });
});

describe("openSimulator()", () => {
  it("serves several calls on one connection and does not end it", async () => {
    const simulator = await open();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanup.defer(() => agent.destroy());
    for (let count = 0; count < 3; count++) {
      expect((await send(simulator.apiEndpoint, signed(simulator), agent)).headers).toMatchObject({
        "keep-alive": "timeout=120",
      });
    }
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
  });

  it("tells the data plane in order, one change after the other, and says what it did not take", async () => {
    const told: FabricChange[] = [];
    let busy = false;
    const simulator = await open({
      applyFabric: async (changes) => {
        expect(busy).toBe(false);
        busy = true;
        await new Promise((resolve) => setImmediate(resolve));
        told.push(...changes);
        busy = false;
        if (changes.some((change) => change.op === "unplug")) throw new Error("no such device");
      },
      fabricCounters: () =>
        Promise.resolve({ spoofedPackets: 1, spoofedArp: 2, spoofedIpv6: 4, ipv6Packets: 3 }),
    });
    expect(told.map((change) => change.op)).toEqual([
      "plug",
      "check-source",
      "allow",
      "plug",
      "check-source",
      "allow",
    ]);
    const { eni = "" } = simulator.mustOrder({
      kind: "foreignEni",
      vSwitch: "vsw-pods-h2",
      instance: "i-node-1",
    });
    simulator.mustOrder({ kind: "deleteEni", eni });
    const state = await simulator.state();
    expect(told.slice(6).map((change) => change.op)).toEqual(["plug", "check-source", "allow", "unplug"]);
    expect(state.fabric).toEqual({ spoofedPackets: 1, spoofedArp: 2, spoofedIpv6: 4, ipv6Packets: 3 });
    expect(state.broken).toEqual([
      { invariant: "data-plane", detail: expect.stringContaining("no such device") },
    ]);
  });

  it("leaves nothing open where it fails", async () => {
    await expect(open({ applyFabric: () => Promise.reject(new Error("no")) })).rejects.toThrow(
      "does not take the primary ENIs",
    );
    const first = await open();
    const [host = "", port] = first.apiEndpoint.split(":");
    await expect(open({ operator: { host, port: Number(port) } })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    await first[Symbol.asyncDispose]();
    const socket = connect(Number(port), host);
    await expect(once(socket, "connect")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("runs as fast as the time scale says", async () => {
    const simulator = await open({ timeScale: 1000 });
    const before = simulator.status().nowMs;
    await expect.poll(() => simulator.status().nowMs - before).toBeGreaterThan(5000);
    expect(simulator.status()).toMatchObject({
      timeScale: 1000,
      seed: 1,
      region: "cn-hangzhou",
      faults: 0,
      broken: 0,
    });
  });
});

describe("the metadata service", () => {
  it("knows the caller by its address, or is told", async () => {
    const simulator = await open({ metadata: [LOOPBACK, { ...LOOPBACK, instance: instanceId("i-node-2") }] });
    const [bySource = "", told = ""] = simulator.metadataEndpoints;
    expect((await send(bySource, get("/latest/meta-data/instance-id"))).status).toBe(404);
    const token = await send(told, {
      method: "PUT",
      path: "/latest/api/token",
      headers: { "X-aliyun-ecs-metadata-token-ttl-seconds": "60" },
    });
    const answer = await send(
      told,
      get("/latest/meta-data/instance-id", { "X-aliyun-ecs-metadata-token": token.text }),
    );
    expect([answer.status, answer.text]).toEqual([200, "i-node-2"]);
    expect(
      (await send(told, get("/latest/meta-data/instance-id", { "X-aliyun-ecs-metadata-token": "x" }))).status,
    ).toBe(401);
  });

  it("gives credentials of the role that the API accepts until they expire", async () => {
    const simulator = await open({ metadata: [{ ...LOOPBACK, instance: instanceId("i-node-1") }] });
    const [endpoint = ""] = simulator.metadataEndpoints;
    const path = "/latest/meta-data/ram/security-credentials/terway-node";
    const { AccessKeyId, AccessKeySecret, SecurityToken } = JSON.parse(
      (await send(endpoint, { method: "GET", path, headers: {} })).text,
    );
    const call = (token?: string): Sent =>
      signed(simulator, {
        key: { id: AccessKeyId, secret: AccessKeySecret },
        more: token === undefined ? {} : { "x-acs-security-token": token },
      });
    expect((await send(simulator.apiEndpoint, call(SecurityToken))).code).toBe("");
    expect((await send(simulator.apiEndpoint, call())).code).toBe("MissingSecurityToken");
    simulator.mustOrder({ kind: "stsExpiry" });
    expect((await send(simulator.apiEndpoint, call(SecurityToken))).code).toBe(
      "InvalidSecurityToken.Expired",
    );
  });
});

describe("the operator's endpoint", () => {
  it("shows and changes the cloud over a unix socket", async () => {
    const path = join(tmpdir(), `tw${process.pid}-operator.sock`);
    const simulator = await open({ operator: { path } });
    expect(simulator.operatorEndpoint).toBe(path);
    const ask = async (
      method: string,
      route: string,
      body?: unknown,
    ): Promise<{ status: number; body: unknown }> => {
      const headers = { "content-type": "application/json" };
      const answer = await send(path, {
        method,
        path: `/_sim/${route}`,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, body: JSON.parse(answer.text) };
    };
    expect(await ask("GET", "status")).toMatchObject({
      status: 200,
      body: { region: "cn-hangzhou", broken: 0 },
    });
    expect(await ask("GET", "state")).toMatchObject({
      body: { enis: [{ owner: "i-node-1" }, { owner: "i-node-2" }], broken: [] },
    });
    expect(await ask("GET", "topology")).toEqual({
      status: 200,
      body: JSON.parse(JSON.stringify(simulator.topology)),
    });
    const fault = { kind: "error", code: "InternalError", action: "DescribeInstances", times: 2 };
    expect(await ask("POST", "faults", fault)).toEqual({ status: 201, body: { id: "fault-1" } });
    expect(await ask("GET", "faults")).toEqual({
      status: 200,
      body: { faults: [{ ...fault, skip: 0, id: "fault-1", remaining: 2 }] },
    });
    expect((await send(simulator.apiEndpoint, signed(simulator))).code).toBe("InternalError");
    expect(await ask("DELETE", "faults/fault-1")).toEqual({ status: 200, body: {} });
    expect(await ask("DELETE", "faults/fault-1")).toEqual({
      status: 404,
      body: { error: "there is no fault fault-1" },
    });
    expect(await ask("POST", "faults", { kind: "latencies" })).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining("unknown kind") },
    });
    await ask("POST", "faults", fault);
    expect(await ask("DELETE", "faults")).toEqual({ status: 200, body: { faults: [] } });
    expect(await ask("POST", "latencies", { create: { minMs: 1, maxMs: 2 } })).toMatchObject({
      status: 200,
      body: { create: { minMs: 1, maxMs: 2 }, attach: { minMs: 100, maxMs: 300 } },
    });
    expect(await ask("POST", "latencies", { create: { minMs: 3, maxMs: 2 } })).toEqual({
      status: 400,
      body: { error: "create: minMs is larger than maxMs" },
    });
    expect(await ask("POST", "vswitches/vsw-pods-h1/drain", { leave: 2 })).toEqual({
      status: 200,
      body: { available: 2 },
    });
    expect(await ask("POST", "vswitches/vsw-pods-h1/refill")).toEqual({
      status: 200,
      body: { available: 12 },
    });
    expect(await ask("POST", "vswitches/vsw-none/drain")).toEqual({
      status: 400,
      body: { error: "there is no vSwitch vsw-none" },
    });
    expect(await ask("GET", "calls")).toMatchObject({
      body: { totals: { DescribeInstances: { calls: 1, refused: 1 } }, recent: [{ code: "InternalError" }] },
    });
    expect(await ask("GET", "nothing")).toMatchObject({ status: 404 });
    expect(await send(path, { method: "POST", path: "/_sim/faults", headers: {}, body: "{" })).toMatchObject({
      status: 400,
    });
  });
});
