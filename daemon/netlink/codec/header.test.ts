import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex } from "../../../test/captures/literals.ts";
import { frame, messagesOf, NLM_F } from "./header.ts";
import { batch, nextSeq } from "./request.ts";
import { DecodeError } from "./wire.ts";

describe("frame()", () => {
  it("counts the payload and not the padding", () => {
    expect(frame({ type: 16, flags: NLM_F.REQUEST | NLM_F.ACK, seq: 7 }, hex("aabbccddee"))).toEqual(
      hex("15000000 1000 0500 07000000 00000000 aabbccdd ee000000"),
    );
  });
});

describe("messagesOf()", () => {
  it("splits what frame() made", () => {
    const message = fc.record({
      type: fc.nat(0xffff),
      flags: fc.nat(0xffff),
      seq: fc.nat(0xffffffff),
      port: fc.nat(0xffffffff),
      payload: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const bytes = Buffer.concat(messages.map(({ payload, ...header }) => frame(header, payload)));
        const split = [...messagesOf(Uint8Array.from(bytes))];
        expect(split.map(({ payload, ...header }) => ({ ...header, payload: [...payload] }))).toEqual(
          messages.map(({ payload, ...header }) => ({ ...header, payload: [...payload] })),
        );
      }),
    );
  });

  it("yields the messages before a bad one", () => {
    const good = frame({ type: 16, flags: 0, seq: 1 }, hex("01020304"));
    const messages = messagesOf(Uint8Array.from([...good, ...hex("ff000000 1000 0000 02000000 00000000")]));
    expect(messages.next().value?.seq).toBe(1);
    expect(() => messages.next()).toThrow(new DecodeError("message length 255 of 16 left", 20));
  });

  it.each([
    ["00", "message header cut off"],
    ["0f000000 1000 0000 02000000 00000000", "message length 15 of 16 left"],
    ["00000000 1000 0000 02000000 00000000", "message length 0 of 16 left"],
  ])("refuses %s", (bytes, reason) => {
    expect(() => [...messagesOf(hex(bytes))]).toThrow(new DecodeError(reason, 0));
  });
});

describe("batch()", () => {
  const request = { type: 16, flags: NLM_F.REQUEST, payload: hex("0102030405") };

  it.each([
    ["each", [5, 5, 5]],
    ["last", [1, 1, 5]],
    ["as-is", [1, 1, 1]],
  ] as const)("asks for an answer to: %s", (ack, flags) => {
    const { bytes, seqs } = batch([request, request, request], 7, ack);
    expect(seqs).toEqual([7, 8, 9]);
    expect([...messagesOf(bytes)]).toEqual(
      flags.map((flag, index) => ({ ...request, flags: flag, seq: 7 + index, port: 0 })),
    );
  });

  it("passes over sequence number 0, which notifications bear", () => {
    expect(batch([request, request, request], 0xfffffffe).seqs).toEqual([0xfffffffe, 0xffffffff, 1]);
    expect(nextSeq(1)).toBe(2);
  });

  it("is nothing for nothing", () => {
    expect(batch([], 1)).toEqual({ bytes: new Uint8Array(), seqs: [] });
  });
});
