import { describe, expect, it } from "vitest";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AccessKey } from "./call.ts";
import { openCloud } from "./cloud.ts";
import {
  answer,
  ENI,
  type Handler,
  KEY,
  NODE,
  openCanned,
  openMute,
  refuse,
  unusedPort,
} from "./canned-server.ts";

describe("openCloud()", () => {
  it.each<[string, Handler, string]>([
    [
      "a gateway's page",
      (response) => response.writeHead(502).end("<html>"),
      "HTTP 502 with a body that is not an answer of the API",
    ],
    ["an empty body", (response) => response.end(), "HTTP 200 with a body that is not an answer of the API"],
    ["the JSON null", (response) => response.end("null"), "the answer makes no sense: not a JSON object"],
    ["a reset", (response) => response.socket?.resetAndDestroy(), "read ECONNRESET"],
    [
      "a body that breaks off",
      (response) => {
        response.writeHead(200, { "content-length": "100" }).write('{"a":', () => response.destroy());
      },
      "aborted (ECONNRESET)",
    ],
    ["silence", () => {}, "no complete answer within 300 ms"],
    [
      "a body byte by byte",
      (response) => {
        const drip = setInterval(() => response.write(" "), 20);
        response.once("close", () => clearInterval(drip));
      },
      "no complete answer within 300 ms",
    ],
  ])(
    "does not know what became of a call that ends in %s, and leaves no connection",
    async (_, bad, reason) => {
      await using canned = await openCanned({ timeoutMs: 300 });
      const { cloud, answerWith, connections } = canned;
      answerWith(bad);
      expect(await cloud.attachEni(ENI, NODE, "pod")).toEqual(
        failed({
          class: "again",
          effect: "unknown",
          fault: {
            kind: "cloud-unreachable",
            action: "AttachNetworkInterface",
            target: "eni-1",
            reason: expect.stringContaining(reason),
          },
        }),
      );
      await expect.poll(connections).toBe(0);
    },
  );

  it("knows that nothing happened where nobody listens", async () => {
    const port = await unusedPort();
    await using canned = await openCanned({ ecsEndpoint: `http://127.0.0.1:${port}` });
    const { cloud } = canned;
    expect(await cloud.attachEni(ENI, NODE, "pod")).toMatchObject({
      fault: { class: "again", effect: "none", fault: { reason: `connect ECONNREFUSED 127.0.0.1:${port}` } },
    });
  });

  it("knows that nothing happened where the TLS handshake fails", async () => {
    await using other = await openCanned();
    await using canned = await openCanned({ ecsEndpoint: `https://127.0.0.1:${other.port}` });
    const { cloud } = canned;
    expect(await cloud.attachEni(ENI, NODE, "pod")).toMatchObject({ fault: { effect: "none" } });
    expect(other.seen).toEqual([]);
  });

  it("knows that nothing happened where the TLS handshake hangs", async () => {
    await using mute = await openMute();
    await using canned = await openCanned({ ecsEndpoint: `https://127.0.0.1:${mute.port}`, timeoutMs: 200 });
    expect(await canned.cloud.attachEni(ENI, NODE, "pod")).toMatchObject({
      fault: { class: "again", effect: "none", fault: { reason: "no connection within 200 ms" } },
    });
    await expect.poll(mute.connections).toBe(0);
  });

  it("gives each call a connection of its own", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith, connections } = canned;
    answerWith(answer({}));
    for (let again = 0; again < 3; again += 1) await cloud.deleteEni(ENI);
    expect(new Set(seen.map(({ port }) => port)).size).toBe(3);
    await expect.poll(connections).toBe(0);
  });

  it("asks for the key before each call, and signs with it", async () => {
    const keys = [KEY, { ...KEY, accessKeyId: "STS.2", securityToken: "token-2" }];
    await using canned = await openCanned({
      credentials: { current: () => Promise.resolve(ok(keys.shift() ?? KEY)) },
    });
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({}));
    await cloud.deleteEni(ENI);
    await cloud.deleteEni(ENI);
    expect(seen.map(({ headers }) => [headers["x-acs-security-token"], headers.authorization])).toEqual([
      [undefined, expect.stringContaining("Credential=LTAItest")],
      ["token-2", expect.stringContaining("Credential=STS.2")],
    ]);
  });

  it("makes no call without a key", async () => {
    const metadata = { kind: "metadata", path: "ram/security-credentials/", reason: "HTTP 500" } as const;
    const secret = { kind: "bad-config", key: "access-key-id", reason: "is missing" } as const;
    const faults: Result<AccessKey>[] = [failed(metadata), failed(secret)];
    await using canned = await openCanned({
      credentials: { current: () => Promise.resolve(faults.shift() ?? ok(KEY)) },
    });
    const { cloud, seen } = canned;
    expect(await cloud.deleteEni(ENI)).toEqual(failed({ class: "again", effect: "none", fault: metadata }));
    expect(await cloud.deleteEni(ENI)).toEqual(
      failed({ class: "configuration", effect: "none", fault: secret }),
    );
    expect(seen).toEqual([]);
  });

  it("says which permission of which key is missing", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(refuse(403, "Forbidden.RAM"));
    expect(await cloud.attachEni(ENI, NODE, "pod")).toMatchObject({
      fault: {
        class: "configuration",
        fault: {
          requestId: "R-2",
          remedy:
            "add ecs:AttachNetworkInterface to the RAM policy of the user or role that the access key (Secret test) belongs to",
        },
      },
    });
  });

  it("tells the budget of a throttle, and the caller of the cloud's wish", async () => {
    await using canned = await openCanned();
    const { cloud, budget, answerWith } = canned;
    answerWith(refuse(400, "Throttling.User", { "x-acs-retry-after": "40" }));
    expect(await cloud.deleteEni(ENI)).toMatchObject({
      fault: { class: "again", effect: "none", retryAfterMs: 40 },
    });
    expect(budget.stats().DeleteNetworkInterface).toMatchObject({
      calls: 1,
      throttled: 1,
      ratePerMinute: 30,
    });
  });

  it("gives its turn back whatever happens", async () => {
    await using canned = await openCanned({ rates: { concurrency: 1 }, timeoutMs: 100 });
    const { cloud, budget, answerWith } = canned;
    answerWith((response) => response.destroy());
    for (let again = 0; again < 5; again += 1) await cloud.attachEni(ENI, NODE, "pod");
    expect(budget.stats().AttachNetworkInterface).toMatchObject({ calls: 5, waiting: 0 });
  });

  it("fails without a call where the budget gives no turn", async () => {
    await using canned = await openCanned({ rates: { burst: 1, defaultPerMinute: 1, maxWaitMs: 50 } });
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({}));
    expect(await cloud.deleteEni(ENI)).toEqual(ok(undefined));
    expect(await cloud.deleteEni(ENI)).toMatchObject({
      fault: { class: "again", effect: "none", fault: { reason: expect.stringContaining("rate budget") } },
    });
    expect(seen).toHaveLength(1);
  });

  it("records each call", async () => {
    await using canned = await openCanned();
    const { cloud, records, answerWith } = canned;
    answerWith(answer({}), refuse(404, "InvalidEniId.NotFound"));
    await cloud.deleteEni(ENI);
    await cloud.deleteEni(ENI);
    expect(records).toEqual([
      {
        action: "DeleteNetworkInterface",
        target: "eni-1",
        priority: "release",
        waitedMs: expect.any(Number),
        tookMs: expect.any(Number),
      },
      expect.objectContaining({ failure: expect.objectContaining({ class: "gone" }) }),
    ]);
  });

  it("ends what is under way when it is disposed, and calls no more", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    answerWith(() => resolve());
    const under = cloud.attachEni(ENI, NODE, "pod");
    await arrived;
    await cloud[Symbol.asyncDispose]();
    expect(await under).toMatchObject({ fault: { effect: "unknown" } });
    expect(await cloud.attachEni(ENI, NODE, "pod")).toMatchObject({
      fault: { effect: "none", fault: { reason: "the agent is stopping" } },
    });
  });

  it("refuses what is no endpoint", async () => {
    await using canned = await openCanned();
    const credentials = { current: () => Promise.resolve(ok(KEY)) };
    const rest = { region: "cn-test", timeoutMs: 1000, budget: canned.budget, now: () => 0, credentials };
    expect(() => openCloud({ ...rest, vpcEndpoint: "ftp://x" })).toThrow("not an API endpoint: ftp://x");
  });
});
