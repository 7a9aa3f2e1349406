import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CallContext, classify } from "./classify.ts";

const CREATE: CallContext = { action: "CreateNetworkInterface", target: "vsw-1", sent: true };
const DESCRIBE: CallContext = { action: "DescribeNetworkInterfaces", target: "i-1", sent: true };

/** As `openapi-core` makes them. */
function sdkError(code: string, status: number, message: string, more: object = {}): Error {
  return Object.assign(new Error(`${code}: code: ${status}, ${message} request id: R-1`), {
    name: "ClientError",
    code,
    statusCode: status,
    requestId: "R-1",
    ...more,
  });
}

function thrown(error: unknown, context: CallContext = CREATE): ReturnType<typeof classify> {
  return classify({ kind: "thrown", error }, context);
}

function unreachable(reason: string, context: CallContext = CREATE): object {
  return { kind: "cloud-unreachable", action: context.action, target: context.target, reason };
}

describe("classify()", () => {
  it("keeps the cloud's code, message and request id, and says what to do", () => {
    const data = { RequestId: "R-1", Code: "Forbidden.RAM", Message: "User not authorized." };
    const accessDeniedDetail = { AuthAction: "ecs:CreateNetworkInterface" };
    const error = sdkError("Forbidden.RAM", 403, "User not authorized.", { data, accessDeniedDetail });
    expect(thrown(error, { ...CREATE, credentialSource: "Secret kube-system/alibaba-addon-secret" })).toEqual(
      {
        class: "configuration",
        effect: "none",
        fault: {
          kind: "cloud",
          action: "CreateNetworkInterface",
          target: "vsw-1",
          code: "Forbidden.RAM",
          message: "User not authorized.",
          requestId: "R-1",
          remedy:
            "add ecs:CreateNetworkInterface to the RAM policy of the user or role that the access key (Secret kube-system/alibaba-addon-secret) belongs to",
        },
      },
    );
  });

  it("takes the SDK's wrapping off where only the text is left", () => {
    expect(thrown(sdkError("InvalidParameter", 400, "The count is wrong.")).fault).toMatchObject({
      message: "The count is wrong.",
      requestId: "R-1",
    });
  });

  it("does not repeat the string to sign", () => {
    const message = "Specified signature is not matched. server string to sign is:POST%0A%2F\nx-acs-token";
    const error = sdkError("SignatureDoesNotMatch", 400, message, { data: { Message: message } });
    expect(thrown(error).fault).toMatchObject({ message: "Specified signature is not matched." });
  });

  it("keeps a message on one line of bounded length", () => {
    const error = sdkError("InternalError", 500, "", { data: { Message: `a\n\tb${"x".repeat(1000)}` } });
    const { fault } = thrown(error);
    expect(fault).toMatchObject({ kind: "cloud", message: expect.stringMatching(/^a bx{296}…$/) });
  });

  it.each([
    [2257, 2257],
    [10.2, 11],
    [1e9, 120_000],
  ])("passes the cloud's wish of %d ms on as %d", (retryAfter, retryAfterMs) => {
    expect(thrown(sdkError("Throttling.User", 400, "slow", { retryAfter }))).toMatchObject({
      class: "again",
      effect: "none",
      retryAfterMs,
    });
  });

  it.each([undefined, 0, -1, Number.NaN])("has no wish where the cloud gives %s", (retryAfter) => {
    expect(thrown(sdkError("Throttling", 400, "slow", { retryAfter }))).not.toHaveProperty("retryAfterMs");
  });

  it("reads a code that nobody knows by its status", () => {
    const asked = thrown(sdkError("SomethingNew", 400, "no"));
    const broken = thrown(sdkError("SomethingNew", 500, "oh"));
    expect([asked.class, asked.effect, broken.class, broken.effect]).toEqual([
      "configuration",
      "none",
      "again",
      "unknown",
    ]);
  });

  it.each([
    [
      "a gateway's page",
      new SyntaxError("Unexpected token '<'"),
      502,
      "HTTP 502 with a body that is not an answer of the API",
    ],
    [
      "an empty body",
      new SyntaxError("Unexpected end of JSON input"),
      200,
      "HTTP 200 with a body that is not an answer of the API",
    ],
    [
      "the JSON null",
      new TypeError("Cannot read properties of null"),
      400,
      "HTTP 400 with a body that is not an answer of the API",
    ],
    [
      "an error without a code",
      Object.assign(new Error("x"), { code: "undefined" }),
      500,
      "HTTP 500 with a body that is not an answer of the API",
    ],
    [
      "a reset",
      systemError("ECONNRESET", "socket hang upPOST http://1.2.3.4/?A=1 failed."),
      undefined,
      "socket hang up (ECONNRESET)",
    ],
    ["a truncated body", systemError("ECONNRESET", "aborted"), 200, "aborted (ECONNRESET)"],
    [
      "the SDK's time-out",
      Object.assign(new Error("ReadTimeout(16000). POST http://h/ failed."), { name: "RequestTimeoutError" }),
      undefined,
      "no complete answer in time",
    ],
  ])("does not know what became of the call after %s", (_, error, status, reason) => {
    const context = { ...CREATE, ...(status === undefined ? {} : { status }) };
    expect(thrown(error, context)).toEqual({ class: "again", effect: "unknown", fault: unreachable(reason) });
  });

  it("knows that a request that was not sent has had no effect", () => {
    const error = systemError(
      "ECONNREFUSED",
      "connect ECONNREFUSED 127.0.0.1:1POST http://127.0.0.1:1/?A=1 failed.",
    );
    expect(thrown(error, { ...CREATE, sent: false })).toEqual({
      class: "again",
      effect: "none",
      fault: unreachable("connect ECONNREFUSED 127.0.0.1:1"),
    });
  });

  it("wants a person for a certificate that is not trusted", () => {
    const error = systemError("DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate");
    expect(thrown(error, { ...CREATE, sent: false })).toMatchObject({
      class: "configuration",
      effect: "none",
    });
  });

  it("names the deadline, and where it passed", () => {
    const end = { kind: "deadline", timeoutMs: 15_000 } as const;
    expect([classify(end, CREATE), classify(end, { ...CREATE, sent: false })]).toEqual([
      { class: "again", effect: "unknown", fault: unreachable("no complete answer within 15000 ms") },
      { class: "again", effect: "none", fault: unreachable("no connection within 15000 ms") },
    ]);
  });

  it("names the field that makes no sense, and the request", () => {
    const end = { kind: "malformed", reason: "no usable MacAddress", requestId: "R-9" } as const;
    expect(classify(end, CREATE)).toEqual({
      class: "again",
      effect: "unknown",
      fault: unreachable("the answer makes no sense: no usable MacAddress (request R-9)"),
    });
  });

  it("takes a Describe for without effect, whatever happened", () => {
    expect(thrown(systemError("ECONNRESET", "aborted"), DESCRIBE).effect).toBe("none");
    expect(thrown(sdkError("InternalError", 500, "oh"), DESCRIBE).effect).toBe("none");
  });

  it("makes a failure of anything that can be thrown", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), fc.boolean(), (error, sent) => {
        const failure = thrown(error, { ...CREATE, sent });
        expect(["cloud", "cloud-unreachable"]).toContain(failure.fault.kind);
      }),
    );
  });
});

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code, errno: -1, syscall: "read" });
}
