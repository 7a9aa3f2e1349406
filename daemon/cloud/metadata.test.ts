/** `openMetadata` over real HTTP on the loopback interface. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { unusedPort } from "./canned-server.ts";
import { type Metadata, type MetadataOptions, openMetadata } from "./metadata.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const ITEMS: Readonly<Record<string, string>> = {
  "instance-id": "i-1",
  "instance/instance-type": "ecs.g7.xlarge",
  "region-id": "cn-test",
  "zone-id": "cn-test-a\n",
  "vpc-id": "vpc-1",
  mac: "00:16:3E:00:00:01",
};
const ROLE = "ram/security-credentials/";
const PREFIX = "/latest/meta-data/";
/** 2026-01-01T00:00:00Z */
const START_MS = 1_767_225_600_000;

/** A service with tokens that the tests can put faults into, and a clock that moves when somebody sleeps. */
async function setUp(options: Partial<MetadataOptions> = {}) {
  const log: string[] = [];
  const faults: Handler[] = [];
  const items = new Map(Object.entries(ITEMS));
  const pauses: number[] = [];
  const clock = { nowMs: START_MS };
  const service = { tokens: 0, valid: new Set<string>(), putStatus: 200 };

  const give: Handler = (request, response) => {
    const path = request.url ?? "";
    const token = String(request.headers["x-aliyun-ecs-metadata-token"] ?? "");
    if (request.method === "PUT") {
      response.statusCode = service.putStatus;
      if (service.putStatus !== 200) return response.end();
      expect([path, request.headers["x-aliyun-ecs-metadata-token-ttl-seconds"]]).toEqual([
        "/latest/api/token",
        "21600",
      ]);
      service.tokens += 1;
      service.valid.add(`token-${service.tokens}`);
      return response.end(`token-${service.tokens}`);
    }
    const item = items.get(path.slice(PREFIX.length));
    response.statusCode = service.valid.has(token) || service.putStatus !== 200 ? 200 : 401;
    if (response.statusCode === 200 && item === undefined) response.statusCode = 404;
    return response.end(response.statusCode === 200 ? item : "no");
  };
  const server = createServer((request, response) => {
    log.push(`${request.method} ${(request.url ?? "").replace(PREFIX, "")}`);
    (faults.shift() ?? give)(request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const metadata: Metadata = openMetadata({
    baseUrl: `http://127.0.0.1:${port}`,
    timeoutMs: 200,
    now: () => clock.nowMs,
    sleep: (ms) => {
      pauses.push(Math.round(ms));
      clock.nowMs += ms;
      return Promise.resolve();
    },
    ...options,
  });
  return {
    metadata,
    log,
    faults,
    items,
    pauses,
    clock,
    service,
    async [Symbol.asyncDispose]() {
      metadata[Symbol.dispose]();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const status =
  (code: number): Handler =>
  (_request, response) =>
    response.writeHead(code).end();

function keys(expiresAtMs: number, more: object = {}): string {
  return JSON.stringify({
    Code: "Success",
    AccessKeyId: "STS.1",
    AccessKeySecret: "s",
    SecurityToken: "t",
    Expiration: new Date(expiresAtMs).toISOString(),
    ...more,
  });
}

describe("openMetadata()", () => {
  it("knows who the node is, in seven requests", async () => {
    await using at = await setUp();
    expect(await at.metadata.identity()).toEqual(
      ok({
        instance: "i-1",
        instanceType: "ecs.g7.xlarge",
        region: "cn-test",
        zone: "cn-test-a",
        vpc: "vpc-1",
        primaryMac: "00:16:3e:00:00:01",
      }),
    );
    expect(at.metadata.requests()).toBe(7);
    expect(at.log.filter((line) => line.startsWith("PUT"))).toHaveLength(1);
  });

  it("names the item of the identity that is missing or wrong", async () => {
    await using at = await setUp();
    at.items.set("mac", "nonsense");
    expect(await at.metadata.identity()).toEqual(
      failed({ kind: "metadata", path: "mac", reason: "not a MAC address: nonsense" }),
    );
    at.items.delete("vpc-id");
    expect(await at.metadata.identity()).toEqual(
      failed({
        kind: "metadata",
        path: "vpc-id",
        reason: "there is no such item: is this an ECS instance in a VPC?",
      }),
    );
  });

  it("says of an item that does not exist that it is absent", async () => {
    await using at = await setUp();
    expect(await at.metadata.read("network/interfaces/macs/00:16:3e:00:00:02/gateway")).toEqual(
      ok(undefined),
    );
  });

  it("keeps its token for half of the token's life", async () => {
    await using at = await setUp();
    await at.metadata.read("mac");
    at.clock.nowMs += 10_799_000;
    await at.metadata.read("mac");
    expect(at.service.tokens).toBe(1);
    at.clock.nowMs += 2000;
    await at.metadata.read("mac");
    expect(at.service.tokens).toBe(2);
  });

  it("takes a new token where the old one is refused, once", async () => {
    await using at = await setUp();
    await at.metadata.read("mac");
    at.service.valid.clear();
    expect(await at.metadata.read("mac")).toEqual(ok("00:16:3E:00:00:01"));
    expect(at.log).toEqual([
      "PUT /latest/api/token",
      "GET mac",
      "GET mac",
      "PUT /latest/api/token",
      "GET mac",
    ]);
    at.faults.push(status(401), status(200), status(401));
    expect(await at.metadata.read("mac")).toEqual(
      failed({ kind: "metadata", path: "mac", reason: "HTTP 401" }),
    );
  });

  it.each([403, 404, 405])("reads without a token where the PUT ends in %d", async (code) => {
    await using at = await setUp();
    at.service.putStatus = code;
    expect(await at.metadata.read("vpc-id")).toEqual(ok("vpc-1"));
    await at.metadata.read("vpc-id");
    expect(at.log).toEqual(["PUT /latest/api/token", "GET vpc-id", "GET vpc-id"]);
  });

  it("does not read without a token for any other end of the PUT", async () => {
    await using at = await setUp();
    at.service.putStatus = 400;
    expect(await at.metadata.read("vpc-id")).toEqual(
      failed({ kind: "metadata", path: "/latest/api/token", reason: "HTTP 400" }),
    );
  });

  it.each<[string, Handler]>([
    ["429", status(429)],
    ["500", status(500)],
    ["503", status(503)],
    ["a reset", (request) => request.socket.resetAndDestroy()],
    ["silence", () => {}],
    [
      "a body that breaks off",
      (request, response) =>
        response.writeHead(200, { "content-length": "9" }).write("i-", () => request.socket.destroy()),
    ],
    ["a body without end", (_request, response) => response.end("x".repeat(70_000))],
  ])("tries again after %s, and pauses longer each time", async (_, fault) => {
    await using at = await setUp();
    await at.metadata.read("mac");
    at.faults.push(fault, fault, fault);
    expect(await at.metadata.read("vpc-id")).toEqual(ok("vpc-1"));
    expect(at.pauses).toEqual([500, 600, 720]);
  });

  it("gives up at its deadline with the last reason", async () => {
    await using at = await setUp({ totalMs: 2000 });
    await at.metadata.read("mac");
    at.faults.push(...Array.from({ length: 20 }, () => status(502)));
    expect(await at.metadata.read("vpc-id")).toEqual(
      failed({ kind: "metadata", path: "vpc-id", reason: "HTTP 502, tried 4 times" }),
    );
  });

  it("gives up after so many tries though its clock stands", async () => {
    await using at = await setUp({ sleep: () => Promise.resolve() });
    at.faults.push(...Array.from({ length: 50 }, () => status(500)));
    expect(await at.metadata.read("vpc-id")).toMatchObject({
      fault: { path: "/latest/api/token", reason: "HTTP 500, tried 12 times" },
    });
  });

  it("names what is wrong where nobody listens", async () => {
    await using at = await setUp({ baseUrl: `http://127.0.0.1:${await unusedPort()}` });
    expect(await at.metadata.identity()).toMatchObject({
      ok: false,
      fault: { kind: "metadata", reason: expect.stringContaining("ECONNREFUSED") },
    });
  });

  it("gives the keys of the role, and reads them again ten minutes before they expire", async () => {
    await using at = await setUp();
    const expiresAtMs = START_MS + 3_600_000;
    at.items.set(ROLE, "node-role").set(`${ROLE}node-role`, keys(expiresAtMs));
    const both = await Promise.all([at.metadata.roleCredentials(), at.metadata.roleCredentials()]);
    const value = {
      accessKeyId: "STS.1",
      accessKeySecret: "s",
      securityToken: "t",
      expiresAtMs,
      source: "RAM role node-role",
    };
    expect(both).toEqual([ok(value), ok(value)]);
    at.clock.nowMs = expiresAtMs - 600_001;
    await at.metadata.roleCredentials();
    expect(at.metadata.requests()).toBe(3);
    at.clock.nowMs = expiresAtMs - 600_000;
    at.items.set(`${ROLE}node-role`, keys(expiresAtMs + 1));
    expect(await at.metadata.roleCredentials()).toEqual(ok({ ...value, expiresAtMs: expiresAtMs + 1 }));
    expect(at.metadata.requests()).toBe(5);
  });

  it("gives the old keys while they last where no new ones can be had", async () => {
    await using at = await setUp();
    const expiresAtMs = START_MS + 3_600_000;
    at.items.set(ROLE, "r").set(`${ROLE}r`, keys(expiresAtMs));
    await at.metadata.roleCredentials();
    at.items.delete(ROLE);
    at.clock.nowMs = expiresAtMs - 1;
    expect(await at.metadata.roleCredentials()).toMatchObject({ ok: true, value: { expiresAtMs } });
    at.clock.nowMs = expiresAtMs;
    expect(await at.metadata.roleCredentials()).toEqual(
      failed({
        kind: "metadata",
        path: ROLE,
        reason: "no RAM role is attached to this instance",
        isAbsent: true,
      }),
    );
  });

  it("does not ask for keys that are short of their end at every call", async () => {
    await using at = await setUp();
    at.items.set(ROLE, "r").set(`${ROLE}r`, keys(START_MS + 60_000));
    await at.metadata.roleCredentials();
    at.clock.nowMs += 29_000;
    await at.metadata.roleCredentials();
    expect(at.metadata.requests()).toBe(3);
  });

  it.each([
    ["not JSON", "<html>"],
    ["a list", "[]"],
    ["a failure", keys(START_MS + 1, { Code: "Failed" })],
    ["no secret", keys(START_MS + 1, { AccessKeySecret: "" })],
    ["no token", keys(START_MS + 1, { SecurityToken: 1 })],
    ["no date", keys(START_MS + 1, { Expiration: "soon" })],
  ])("says that keys are of no use that are %s", async (_, document) => {
    await using at = await setUp();
    at.items.set(ROLE, "r\n").set(`${ROLE}r`, document);
    expect(await at.metadata.roleCredentials()).toEqual(
      failed({ kind: "metadata", path: `${ROLE}r`, reason: "no usable keys in the answer" }),
    );
  });
});
