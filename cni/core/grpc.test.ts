import { describe, expect, it } from "vitest";
import { nodeUtf8 } from "../node-host.ts";
import { concatBytes, latin1Bytes, uint32Bytes } from "./bytes.ts";
import { decodePercent, openGrpcCall, type GrpcStep } from "./grpc.ts";
import { encodeHeaders, type Header } from "./hpack.ts";
import { encodeFrame, encodeSettings } from "./http2-frames.ts";
import { encodeBytes, encodeUint } from "./protobuf.ts";

const OPENING: Record<string, string> = { ":status": "200", "content-type": "application/grpc+proto" };

function block(flags: number, headers: Record<string, string>): Uint8Array {
  const list: readonly Header[] = Object.entries(headers).map(([name, value]) => ({ name, value }));
  return encodeFrame(1, flags, 1, encodeHeaders(list));
}

function answer(...frames: readonly Uint8Array[]): GrpcStep {
  const call = openGrpcCall(
    { path: "/a/B", message: new Uint8Array(0), timeoutMs: 1, metadata: {} },
    nodeUtf8,
  );
  return call.feed(concatBytes([encodeSettings([]), ...frames]));
}

/** An answer with a message of `size` sevens, in DATA frames as large as they may be. */
function sevens(size: number): GrpcStep {
  const body = framed(new Uint8Array(size).fill(7));
  const parts = Array.from({ length: Math.ceil(body.length / 16_384) }, (_, index) =>
    encodeFrame(0, 0, 1, body.subarray(index * 16_384, (index + 1) * 16_384)),
  );
  return answer(block(4, OPENING), ...parts, block(5, { "grpc-status": "0" }));
}

/** Headers, one DATA of `body`, trailers. */
function full(body: Uint8Array, trailers: Record<string, string>): GrpcStep {
  return answer(block(4, OPENING), encodeFrame(0, 0, 1, body), block(5, trailers));
}

function framed(message: Uint8Array, flag = 0): Uint8Array {
  return concatBytes([Uint8Array.of(flag), uint32Bytes(message.length), message]);
}

describe("GrpcCall.feed()", () => {
  it("gives the message of a call that succeeded", () => {
    const message = latin1Bytes("message");
    expect(full(framed(message), { "grpc-status": "0" })).toEqual({ kind: "reply", message });
  });

  it("gives the status of one that did not, with the fault in its trailer", () => {
    const fault = concatBytes([
      encodeBytes(1, latin1Bytes("no-address")),
      encodeUint(2, 11),
      encodeBytes(3, nodeUtf8.encode("keine Adresse: größer")),
      encodeBytes(4, latin1Bytes("wait")),
    ]);
    const trailers = {
      ...OPENING,
      "grpc-status": "8",
      "grpc-message": "gr%C3%B6%C3%9Fer 100%",
      "terway-fault-bin": Buffer.from(fault).toString("base64").replaceAll("=", ""),
    };
    expect(answer(block(5, trailers))).toEqual({
      kind: "status",
      code: 8,
      message: "größer 100%",
      fault: { kind: "no-address", cniCode: 11, message: "keine Adresse: größer", remedy: "wait" },
    });
  });

  it("takes a status that nobody knows, and an answer without body that says OK is none", () => {
    expect(full(new Uint8Array(0), { "grpc-status": "117" })).toEqual({
      kind: "status",
      code: 117,
      message: "",
    });
    expect(answer(block(5, { ...OPENING, "grpc-status": "0" }))).toEqual({
      kind: "broken",
      reason: "no message",
    });
  });

  it("takes the status of the trailers, not of the headers, and the fault with padding or without", () => {
    const opening = block(4, { ...OPENING, "grpc-status": "0", "grpc-message": "no" });
    const data = encodeFrame(0, 0, 1, framed(new Uint8Array(0)));
    for (const value of ["EA0aAWEqAA==", "EA0aAWEqAA"]) {
      const trailers = block(5, { "grpc-status": "13", "terway-fault-bin": value });
      const fault = { kind: "", cniCode: 13, message: "a", remedy: "" };
      expect(answer(opening, data, trailers)).toEqual({ kind: "status", code: 13, message: "", fault });
    }
  });

  it("takes a message of four MiB, and none that is longer", () => {
    const step = sevens(4_194_304);
    if (step.kind !== "reply") throw new Error(JSON.stringify(step));
    expect([step.message.length, step.message.every((byte) => byte === 7)]).toEqual([4_194_304, true]);
    const reason = "an answer of more than 4194309 bytes";
    expect(sevens(4_194_305)).toEqual({ kind: "broken", reason });
  });

  it("gives the agent's timing to whom asks for it", () => {
    const trailers = { "grpc-status": "0", "terway-timing": "total;dur=1.8" };
    const bytes = concatBytes([
      encodeSettings([]),
      block(4, OPENING),
      encodeFrame(0, 0, 1, framed(Uint8Array.of(7))),
      block(5, trailers),
    ]);
    const request = { path: "/a/B", message: new Uint8Array(0), timeoutMs: 1, metadata: {} };
    const reply = { kind: "reply", message: Uint8Array.of(7) };
    expect(openGrpcCall(request, nodeUtf8).feed(bytes)).toEqual(reply);
    expect(openGrpcCall({ ...request, wantsTiming: true }, nodeUtf8).feed(bytes)).toEqual({
      ...reply,
      timing: "total;dur=1.8",
    });
  });

  it("keeps the status where the fault cannot be read", () => {
    for (const value of ["!", "AA", ""]) {
      const trailers = { ...OPENING, "grpc-status": "14", "terway-fault-bin": value };
      const expected = { kind: "status", code: 14, message: "" };
      // No bytes at all are a message whose fields are all empty.
      const fault = { kind: "", cniCode: 0, message: "", remedy: "" };
      expect(answer(block(5, trailers)), value).toEqual(value === "" ? { ...expected, fault } : expected);
    }
  });

  it("refuses what is not gRPC", () => {
    const message = framed(latin1Bytes("m"));
    const ok = { "grpc-status": "0" };
    const table: readonly (readonly [GrpcStep, string])[] = [
      [answer(block(5, { ":status": "404" })), "HTTP status 404"],
      [answer(block(5, { "content-type": "application/grpc" })), "HTTP status missing"],
      [answer(block(5, { ":status": "200", "content-type": "text/html" })), "content type text/html"],
      [answer(block(5, { ":status": "200" })), "content type missing"],
      [full(message, {}), "no grpc-status"],
      [
        answer(block(5, { ...OPENING, "content-type": "application/grpc-web", ...ok })),
        "content type application/grpc-web",
      ],
      [full(message, { "grpc-status": "x" }), 'grpc-status "x"'],
      [full(message, { "grpc-status": "-1" }), 'grpc-status "-1"'],
      [full(message, { "grpc-status": "00" }), 'grpc-status "00"'],
      [full(message, { "grpc-status": "1000" }), 'grpc-status "1000"'],
      [full(message, { "grpc-status": "" }), 'grpc-status ""'],
      [full(new Uint8Array(0), ok), "no message"],
      [full(framed(latin1Bytes("m"), 1), ok), "a compressed message, which was not asked for"],
      [full(message.subarray(0, 5), ok), "not exactly one message"],
      [full(concatBytes([message, message]), ok), "not exactly one message"],
    ];
    for (const [step, reason] of table) expect(step).toEqual({ kind: "broken", reason });
  });
});

describe("decodePercent()", () => {
  it("leaves what is no escape as it is", () => {
    for (const [text, plain] of [
      ["", ""],
      ["a b", "a b"],
      ["%e6%97%a5%E6%9C%AC", "日本"],
      ["100%", "100%"],
      ["%4", "%4"],
      ["%zz%41", "%zzA"],
      ["%25", "%"],
      ["%ff", "\ufffd"],
    ] as const) {
      expect(decodePercent(text, nodeUtf8)).toBe(plain);
    }
  });
});
