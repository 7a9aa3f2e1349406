import { afterEach, describe, expect, it } from "vitest";
import { topologyWith } from "../model/test-cloud.ts";
import { openSimulator, type Simulator } from "./server.ts";
import { legacySignature } from "./signature.ts";
import { KEY, send, type Sent, signed } from "./test-client.ts";

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function open(): Promise<Simulator> {
  const quick = { minMs: 0, maxMs: 0 };
  const topology = topologyWith({ latencies: { describe: quick, refuse: quick } });
  return cleanup.use(await openSimulator({ topology, seed: 1, api: { host: "127.0.0.1", port: 0 } }));
}

let nonces = 0;

const parameters = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  Action: "DescribeVSwitches",
  Version: "2016-04-28",
  AccessKeyId: KEY.id,
  Format: "JSON",
  RegionId: "cn-hangzhou",
  SignatureMethod: "HMAC-SHA1",
  SignatureNonce: `old-nonce-${nonces++}`,
  SignatureType: "",
  SignatureVersion: "1.0",
  Timestamp: `${new Date().toISOString().slice(0, 19)}Z`,
  ...more,
});

const post = (query: Record<string, string>, secret = KEY.secret, method = "POST"): Sent => {
  const Signature = legacySignature("POST", query, secret);
  return {
    method,
    path: `/?${new URLSearchParams({ ...query, Signature }).toString()}`,
    headers: { "x-acs-action": "unsigned" },
  };
};

describe("the newer signature", () => {
  it("is refused where anything is not as it was signed", async () => {
    const simulator = await open();
    const good = signed(simulator);
    const codeOf = async (sent: Sent): Promise<string> => (await send(simulator.apiEndpoint, sent)).code;
    expect(await codeOf(good)).toBe("");
    expect(await codeOf(good)).toBe("SignatureNonceUsed");
    const other = signed(simulator);
    expect(await codeOf({ ...other, path: `${other.path}&PageSize=1` })).toBe("SignatureDoesNotMatch");
    expect(
      await codeOf({ ...other, headers: { ...other.headers, "x-acs-action": "DescribeVSwitches" } }),
    ).toBe("SignatureDoesNotMatch");
    expect(await codeOf({ ...other, body: "a=1" })).toBe("SignatureDoesNotMatch");
    expect(await codeOf({ ...other, headers: { ...other.headers, "x-acs-other": "1" } })).toBe(
      "IncompleteSignature",
    );
    expect(
      await codeOf({ ...other, headers: { ...other.headers, authorization: "ACS3-HMAC-SHA256 nonsense" } }),
    ).toBe("IncompleteSignature");
    expect(await codeOf({ ...other, path: "/v1" })).toBe("InvalidAction.NotFound");
    expect(await codeOf(signed(simulator, { key: { secret: "wrong" } }))).toBe("SignatureDoesNotMatch");
    expect(await codeOf(signed(simulator, { unsigned: ["host"] }))).toBe("IncompleteSignature");
    expect(await codeOf(signed(simulator, { unsigned: ["x-acs-action"] }))).toBe("IncompleteSignature");
    expect(await codeOf(signed(simulator, { date: "2020-01-01T00:00:00Z" }))).toBe(
      "InvalidTimeStamp.Expired",
    );
    expect(await codeOf(signed(simulator, { date: "yesterday" }))).toBe("InvalidTimeStamp.Format");
    expect(await codeOf(signed(simulator, { action: "DeleteInstance" }))).toBe("InvalidAction.NotFound");
    expect(await codeOf(signed(simulator, { version: "2016-04-28" }))).toBe("InvalidAction.NotFound");
    expect(await codeOf(signed(simulator, { more: { "x-acs-security-token": "t" } }))).toBe(
      "InvalidSecurityToken.MismatchWithAccessKey",
    );
    const unknown = await send(simulator.apiEndpoint, signed(simulator, { key: { id: "LTAINobody" } }));
    expect([unknown.status, unknown.code]).toEqual([404, "InvalidAccessKeyId.NotFound"]);
    expect(JSON.parse(unknown.text)).toMatchObject({
      HostId: "ecs.aliyuncs.com",
      RequestId: expect.stringMatching(/^[0-9A-F-]{36}$/),
    });
    expect(simulator.calls().totals["DescribeInstances"]).toMatchObject({ lost: 0, throttled: 0 });
  });

  it("depends on the cloud's clock", async () => {
    const simulator = await open();
    simulator.mustOrder({ kind: "clockSkew", skewMs: 16 * 60_000 });
    expect((await send(simulator.apiEndpoint, signed(simulator))).code).toBe("InvalidTimeStamp.Expired");
    simulator.mustOrder({ kind: "clockSkew", skewMs: 0 });
    expect((await send(simulator.apiEndpoint, signed(simulator))).code).toBe("");
  });
});

describe("the older signature", () => {
  it("may have an empty SignatureType and unsigned headers; anything wrong is refused", async () => {
    const simulator = await open();
    const codeOf = async (sent: Sent): Promise<string> => (await send(simulator.apiEndpoint, sent)).code;
    const good = post(parameters());
    expect(await codeOf(good)).toBe("");
    expect(await codeOf(good)).toBe("SignatureNonceUsed");
    expect(await codeOf(post(parameters(), "wrong"))).toBe("SignatureDoesNotMatch");
    expect(await codeOf(post(parameters(), KEY.secret, "GET"))).toBe("SignatureDoesNotMatch");
    expect(await codeOf(post(parameters({ SignatureMethod: "HMAC-SHA256" })))).toBe("InvalidParameter");
    expect(await codeOf(post(parameters({ Timestamp: "" })))).toBe("MissingParameter");
    expect(await codeOf({ method: "GET", path: "/?Action=DescribeVSwitches", headers: {} })).toBe(
      "MissingParameter",
    );
  });
});
