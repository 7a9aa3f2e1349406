import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes, latin1Bytes, uint32Bytes } from "./bytes.ts";
import { encodeHeaders } from "./hpack.ts";
import { encodeFrame, encodeSettings, takeFrame, type Frame } from "./http2-frames.ts";
import { openHttp2Call, type Http2End, type Http2Step } from "./http2.ts";

const HEADERS = [{ name: ":status", value: "200" }];
const TRAILERS = [{ name: "grpc-status", value: "0" }];
const EMPTY = new Uint8Array(0);
const SETTINGS = encodeSettings([]);
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const headers = (flags: number, list = HEADERS) => encodeFrame(1, flags, 1, encodeHeaders(list));
const data = (flags: number, bytes: Uint8Array) => encodeFrame(0, flags, 1, bytes);
const response = (body: Uint8Array, trailers = TRAILERS): Http2End => ({
  kind: "response",
  response: { headers: HEADERS, body, trailers },
});

/** Feeds `bytes` cut at `cuts`; the last step, and all that was to be sent. */
function converse(bytes: Uint8Array, cuts: readonly number[] = [], body = Uint8Array.of(1)) {
  const call = openHttp2Call([{ name: ":method", value: "POST" }], body);
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const sent: Uint8Array[] = [];
  let last: Http2Step = { kind: "more", send: EMPTY };
  for (const [index, edge] of edges.entries()) {
    const piece = bytes.slice(edge, edges[index + 1] ?? edge);
    last = call.feed(piece);
    // The host may reuse its buffer.
    piece.fill(0xaa);
    if (last.kind !== "more") break;
    sent.push(last.send);
  }
  return { opening: call.opening, last, sent: concatBytes(sent) };
}

function framesOf(bytes: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const taken = takeFrame(rest);
    if (taken.kind !== "frame") throw new Error(taken.kind);
    frames.push(taken.frame);
    rest = taken.rest;
  }
  return frames;
}

/** The contents of the DATA frames. */
function bodyIn(bytes: Uint8Array): readonly Uint8Array[] {
  return framesOf(bytes)
    .filter(({ type }) => type === 0)
    .map(({ payload }) => payload);
}

/** With the body as text, which compares a hundred times faster than an array. */
function inText(step: Http2Step): unknown {
  if (step.kind !== "response") return step;
  return { ...step.response, body: Buffer.from(step.response.body).toString("base64") };
}

function brokenBy(...frames: readonly Uint8Array[]): Http2Step {
  return converse(concatBytes([SETTINGS, ...frames])).last;
}

function goAway(last: number, code = 0): Uint8Array {
  return encodeFrame(7, 0, 0, concatBytes([uint32Bytes(last), uint32Bytes(code), latin1Bytes("why")]));
}

/** `before`, then the same frame `count` times. */
function flood(count: number, frame: Uint8Array, before: readonly Uint8Array[]): Http2Step {
  return brokenBy(...before, ...Array.from({ length: count }, () => frame));
}

describe("openHttp2Call()", () => {
  it("opens with preface, SETTINGS, WINDOW_UPDATE, HEADERS and DATA", () => {
    const { opening } = converse(EMPTY);
    expect(opening.subarray(0, PREFACE.length)).toEqual(latin1Bytes(PREFACE));
    expect(framesOf(opening.subarray(PREFACE.length))).toEqual([
      {
        type: 4,
        flags: 0,
        streamId: 0,
        payload: Uint8Array.from([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0x80, 0, 0, 0, 6, 0, 1, 0, 0]),
      },
      { type: 8, flags: 0, streamId: 0, payload: uint32Bytes(0x80_00_00 - 65_535) },
      { type: 1, flags: 4, streamId: 1, payload: encodeHeaders([{ name: ":method", value: "POST" }]) },
      { type: 0, flags: 1, streamId: 1, payload: Uint8Array.of(1) },
    ]);
  });

  it("cuts headers that are longer than a frame", () => {
    const long = [{ name: "x", value: "v".repeat(40_000) }];
    const frames = framesOf(openHttp2Call(long, Uint8Array.of(1)).opening.subarray(PREFACE.length)).slice(2);
    expect(frames.map(({ type, flags }) => [type, flags])).toEqual([
      [1, 0],
      [9, 0],
      [9, 4],
      [0, 1],
    ]);
    expect(concatBytes(frames.slice(0, 3).map(({ payload }) => payload))).toEqual(encodeHeaders(long));
  });

  it("sends a large body only as far as the server's windows go", () => {
    const body = new Uint8Array(200_000).map((_, index) => index);
    const call = openHttp2Call([], body);
    const first = bodyIn(call.opening.subarray(PREFACE.length));
    expect(first.map(({ length }) => length)).toEqual([16_384, 16_384, 16_384, 16_383]);
    const steps = [
      encodeSettings([[4, 100_000]]), // The stream's window grows, the connection's does not.
      encodeFrame(8, 0, 0, uint32Bytes(150_000)), // Now the stream's is the smaller one.
      encodeSettings([[4, 65_535]]), // Negative window: nothing may be sent.
      encodeFrame(8, 0, 1, uint32Bytes(34_465)), // Back at zero.
      encodeFrame(8, 0, 1, uint32Bytes(200_000)),
    ].map((bytes) => {
      const step = call.feed(bytes);
      if (step.kind !== "more") throw new Error(JSON.stringify(step));
      return bodyIn(step.send);
    });
    const sizes = steps.map((parts) => parts.reduce((sum, part) => sum + part.length, 0));
    expect(sizes).toEqual([0, 34_465, 0, 0, 100_000]);
    expect(Buffer.concat([...first, ...steps.flat()]).equals(body)).toBe(true);
  });
});

describe("Http2Call.feed()", () => {
  const BODY = new Uint8Array(40_000).map((_, index) => index % 251);
  const block = encodeHeaders(TRAILERS);
  const everything = concatBytes([
    encodeSettings([[3, 100]]),
    encodeFrame(4, 1, 0, EMPTY),
    encodeFrame(8, 0, 0, uint32Bytes(10)),
    encodeFrame(6, 0, 0, latin1Bytes("12345678")),
    encodeFrame(6, 1, 0, latin1Bytes("notasked")),
    encodeFrame(0x2a, 0xff, 7, latin1Bytes("unknown")),
    headers(4, [{ name: ":status", value: "100" }]),
    encodeFrame(
      1,
      0x4 | 0x8 | 0x20,
      1,
      concatBytes([Uint8Array.of(2), new Uint8Array(5), encodeHeaders(HEADERS), new Uint8Array(2)]),
    ),
    data(0, BODY.subarray(0, 16_384)),
    encodeFrame(0, 8, 1, concatBytes([Uint8Array.of(3), BODY.subarray(16_384, 30_000), new Uint8Array(3)])),
    encodeFrame(7, 0, 0, concatBytes([uint32Bytes(1), uint32Bytes(0)])),
    data(0, BODY.subarray(30_000)),
    encodeFrame(1, 1, 1, block.subarray(0, 3)),
    encodeFrame(9, 0, 1, block.subarray(3, 5)),
    encodeFrame(9, 4, 1, block.subarray(5)),
  ]);

  it("reads an answer with every frame, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(everything.length), { maxLength: 30 }), (cuts) => {
        const { last, sent } = converse(everything, cuts);
        expect(inText(last)).toEqual(inText(response(BODY)));
        // What is due is sent before the end only where a cut comes between.
        for (const frame of framesOf(sent)) expect([4, 6]).toContain(frame.type);
      }),
    );
    const oneByOne = converse(
      everything,
      Array.from({ length: everything.length }, (_, index) => index),
    );
    expect(inText(oneByOne.last)).toEqual(inText(response(BODY)));
    expect(oneByOne.sent).toEqual(
      concatBytes([encodeFrame(4, 1, 0, EMPTY), encodeFrame(6, 1, 0, latin1Bytes("12345678"))]),
    );
  });

  it("takes headers that end the answer, and DATA that does", () => {
    expect(brokenBy(headers(5))).toEqual({
      kind: "response",
      response: { headers: HEADERS, body: EMPTY, trailers: HEADERS },
    });
    expect(brokenBy(headers(4), data(1, BODY.subarray(0, 3)))).toEqual(
      response(BODY.subarray(0, 3), HEADERS),
    );
  });

  it("repeats its end", () => {
    const call = openHttp2Call([], Uint8Array.of(1));
    const end = call.feed(concatBytes([SETTINGS, headers(5)]));
    expect(call.feed(SETTINGS)).toEqual(end);
  });

  it("tells that the server gave up", () => {
    expect(brokenBy(encodeFrame(3, 0, 1, uint32Bytes(7)))).toEqual({
      kind: "refused",
      begun: false,
      reason: "the call was reset (REFUSED_STREAM)",
    });
    expect(brokenBy(encodeFrame(3, 0, 1, uint32Bytes(2)))).toEqual({
      kind: "refused",
      begun: true,
      reason: "the call was reset (INTERNAL_ERROR)",
    });
    expect(brokenBy(encodeFrame(7, 0, 0, concatBytes([uint32Bytes(0), uint32Bytes(0)])))).toEqual({
      kind: "refused",
      begun: false,
      reason: "the connection is being closed (NO_ERROR)",
    });
    expect(brokenBy(encodeFrame(7, 0, 0, concatBytes([uint32Bytes(1), uint32Bytes(99)])))).toEqual({
      kind: "refused",
      begun: true,
      reason: "the connection is being closed (error 99)",
    });
  });

  it("waits for the answer after a GOAWAY that includes the call, until one that does not", () => {
    expect(brokenBy(goAway(0x7f_ff_ff_ff), goAway(1), headers(5)).kind).toBe("response");
    expect(brokenBy(goAway(0x7f_ff_ff_ff)).kind).toBe("more");
    expect(brokenBy(goAway(0x7f_ff_ff_ff), goAway(0))).toEqual({
      kind: "refused",
      begun: false,
      reason: "the connection is being closed (NO_ERROR)",
    });
    expect(brokenBy(goAway(0, 11))).toMatchObject({ begun: false });
  });

  it("passes over what comes after the end of the answer", () => {
    const end = brokenBy(headers(5));
    for (const later of [
      headers(5),
      data(0, EMPTY),
      encodeFrame(3, 0, 1, uint32Bytes(0)),
      Uint8Array.of(1),
    ]) {
      expect(brokenBy(headers(5), later)).toEqual(end);
    }
  });

  it("names the rule that was broken", () => {
    const table: readonly (readonly [string, readonly Uint8Array[]])[] = [
      ["a frame is too long", [encodeFrame(0, 0, 1, new Uint8Array(16_385))]],
      ["DATA before HEADERS", [data(0, EMPTY)]],
      ["a malformed DATA", [headers(4), encodeFrame(0, 0, 3, EMPTY)]],
      ["a malformed DATA", [headers(4), encodeFrame(0, 8, 1, Uint8Array.of(1))]],
      ["a malformed DATA", [headers(4), encodeFrame(0, 8, 1, EMPTY)]],
      ["a malformed HEADERS", [encodeFrame(1, 4, 3, EMPTY)]],
      ["a malformed HEADERS", [encodeFrame(1, 0x24, 1, new Uint8Array(4))]],
      [
        "a header that is cut off, or that refers to an unknown one",
        [encodeFrame(1, 4, 1, Uint8Array.of(0x80))],
      ],
      ["a header block is interrupted", [headers(0), encodeFrame(6, 0, 0, new Uint8Array(8))]],
      ["a CONTINUATION without HEADERS", [encodeFrame(9, 4, 1, EMPTY)]],
      ["a malformed CONTINUATION", [headers(0), encodeFrame(9, 4, 3, EMPTY)]],
      [
        "a header block is too long",
        [headers(0), ...Array.from({ length: 4 }, () => encodeFrame(9, 0, 1, new Uint8Array(16_384)))],
      ],
      ["trailers that do not end the answer", [headers(4), headers(4)]],
      ["a malformed RST_STREAM", [encodeFrame(3, 0, 1, EMPTY)]],
      ["a malformed RST_STREAM", [encodeFrame(3, 0, 0, uint32Bytes(0))]],
      ["a malformed SETTINGS", [encodeFrame(4, 0, 0, new Uint8Array(5))]],
      ["a malformed SETTINGS", [encodeFrame(4, 0, 1, EMPTY)]],
      ["a malformed SETTINGS", [encodeFrame(4, 1, 0, new Uint8Array(6))]],
      ["a window that is too large", [encodeSettings([[4, 0x80_00_00_00]])]],
      ["a window that is too large", [encodeFrame(8, 0, 0, uint32Bytes(0x7f_ff_ff_ff))]],
      ["a malformed WINDOW_UPDATE", [encodeFrame(8, 0, 0, uint32Bytes(0))]],
      ["a malformed WINDOW_UPDATE", [encodeFrame(8, 0, 0, EMPTY)]],
      ["a malformed PING", [encodeFrame(6, 0, 0, EMPTY)]],
      ["a malformed PING", [encodeFrame(6, 0, 1, new Uint8Array(8))]],
      ["a malformed GOAWAY", [encodeFrame(7, 0, 0, new Uint8Array(7))]],
      ["a malformed WINDOW_UPDATE", [encodeFrame(8, 0, 3, uint32Bytes(1))]],
      ["a setting that is not allowed", [encodeSettings([[2, 1]])]],
      ["a setting that is not allowed", [encodeSettings([[5, 16_383]])]],
      ["a setting that is not allowed", [encodeSettings([[5, 0x1_00_00_00]])]],
      [
        "a window that is too large",
        [
          encodeFrame(8, 0, 1, uint32Bytes(0x7f_ff_ff_ff - 65_535)),
          encodeSettings([
            [4, 65_537],
            [4, 0],
          ]),
        ],
      ],
      ["trailers with a status", [headers(4), headers(5)]],
      ["an informational answer that ends the call", [headers(5, [{ name: ":status", value: "100" }])]],
      ["DATA before HEADERS", [headers(4, [{ name: ":status", value: "103" }]), data(1, EMPTY)]],
      ["a PUSH_PROMISE, which was forbidden", [encodeFrame(5, 4, 1, new Uint8Array(4))]],
    ];
    for (const [reason, frames] of table)
      expect(brokenBy(...frames), reason).toEqual({ kind: "broken", reason });
    const reason = "it does not begin with SETTINGS";
    expect(converse(encodeFrame(6, 0, 0, new Uint8Array(8))).last).toEqual({ kind: "broken", reason });
    expect(converse(encodeFrame(4, 1, 0, EMPTY)).last).toEqual({ kind: "broken", reason });
  });

  it("bounds the answer and the number of frames", () => {
    const part = data(0, new Uint8Array(16_384));
    const table: readonly (readonly [string, number, Uint8Array, ...(readonly Uint8Array[])])[] = [
      ["an answer of more than 4194309 bytes", 256, part, headers(4)],
      ["too many frames", 19_999, encodeFrame(0x2a, 0, 0, EMPTY)],
      ["too many SETTINGS and PING", 999, encodeFrame(6, 0, 0, new Uint8Array(8))],
      ["too many SETTINGS and PING", 999, SETTINGS],
      ["a header block of too many frames", 63, encodeFrame(9, 0, 1, EMPTY), headers(0)],
      ["too many informational answers", 16, headers(4, [{ name: ":status", value: "103" }])],
      // Of 450 bytes 256 are padding.
      [
        "more DATA than the window lets through",
        18_641,
        encodeFrame(0, 8, 1, concatBytes([Uint8Array.of(255), new Uint8Array(449)])),
        headers(4),
      ],
      ["more than 16777216 bytes", 1_023, encodeFrame(0x2a, 0, 0, new Uint8Array(16_384 - 9))],
    ];
    for (const [reason, count, frame, ...before] of table) {
      expect(flood(count, frame, before).kind, reason).toBe("more");
      expect(flood(count + 1, frame, before), reason).toEqual({ kind: "broken", reason });
    }
  });

  it("is quick where the server writes byte by byte", () => {
    const call = openHttp2Call([], Uint8Array.of(1));
    let step: Http2Step = call.feed(concatBytes([SETTINGS, headers(4)]));
    const startedMs = performance.now();
    const frame = data(0, new Uint8Array(16_384));
    for (const byte of concatBytes([frame, frame, data(1, EMPTY)])) step = call.feed(Uint8Array.of(byte));
    expect(step.kind).toBe("response");
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });

  it("ends or waits for any bytes, and for any well-formed frames, the same however they are cut", () => {
    const frame = fc.record({
      type: fc.nat(11),
      flags: fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d, 0xff),
      streamId: fc.constantFrom(0, 1, 1, 2),
      payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(encodeHeaders(HEADERS))),
    });
    const frames = fc
      .array(frame, { maxLength: 12 })
      .map((list) =>
        concatBytes([SETTINGS, ...list.map((f) => encodeFrame(f.type, f.flags, f.streamId, f.payload))]),
      );
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 200 }), frames),
        fc.array(fc.nat(), { maxLength: 8 }),
        (bytes, cuts) => {
          const whole = converse(bytes).last;
          const cut = converse(bytes, cuts).last;
          expect(cut.kind).toBe(whole.kind);
          if (whole.kind !== "more") expect(cut).toEqual(whole);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
