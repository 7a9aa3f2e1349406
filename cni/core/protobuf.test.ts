import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes } from "./bytes.ts";
import { encodeBytes, encodeMessage, encodeUint, readFields } from "./protobuf.ts";

describe("readFields()", () => {
  it("reads back what was written", () => {
    const field = fc.record({
      number: fc.integer({ min: 1, max: 0x1f_ff_ff_ff }),
      value: fc.nat(0xff_ff_ff_ff),
    });
    fc.assert(
      fc.property(fc.array(field), fc.uint8Array({ maxLength: 300 }), (fields, bytes) => {
        const message = concatBytes([
          ...fields.map(({ number, value }) => encodeUint(number, value)),
          encodeMessage(7, [bytes]),
        ]);
        expect(readFields(message)).toEqual({
          ok: true,
          value: [
            ...fields.filter(({ value }) => value !== 0).map((field) => ({ kind: "varint", ...field })),
            { kind: "bytes", number: 7, bytes },
          ],
        });
      }),
    );
  });

  it("keeps the lower 32 bits of a long varint and passes over fixed fields", () => {
    const minusOne = [0x08, ...Array.from({ length: 9 }, () => 0xff), 0x01];
    const message = Uint8Array.from([...minusOne, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4]);
    expect(readFields(message)).toEqual({
      ok: true,
      value: [
        { kind: "varint", number: 1, value: 0xff_ff_ff_ff },
        { kind: "other", number: 2 },
        { kind: "other", number: 3 },
      ],
    });
  });

  it("says what is wrong", () => {
    const cutOff = "field 1 is cut off or has a wrong type";
    for (const [bytes, reason] of [
      [[0x80], "a field without its key"],
      [[0x00, 0x00], "a field with number 0"],
      [[0x08], cutOff],
      [[0x08, ...Array.from({ length: 10 }, () => 0x80), 0], cutOff],
      [[0x0a, 0x05, 1], cutOff],
      [[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], cutOff],
      [[0x09, 1, 2], cutOff],
      [[0x0b], cutOff],
      [[0x0e, 0], cutOff],
    ] as const) {
      expect(readFields(Uint8Array.from(bytes)), String(bytes)).toEqual({ ok: false, fault: reason });
    }
  });

  it("ends for any bytes, and bounds the fields", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const read = readFields(bytes);
        if (read.ok) expect(read.value.length).toBeLessThanOrEqual(bytes.length / 2);
        else expect(read.fault).not.toBe("");
      }),
    );
    const many = new Uint8Array(2 * 4_097).map((_, index) => (index % 2 === 0 ? 0x08 : 1));
    expect(readFields(many)).toEqual({ ok: false, fault: "a message of more than 4096 fields" });
  });
});

describe("encodeBytes()", () => {
  it("does not write what is empty, as proto3 has it", () => {
    expect(encodeBytes(1, new Uint8Array(0))).toEqual(new Uint8Array(0));
    expect(encodeUint(1, 0)).toEqual(new Uint8Array(0));
    expect(encodeMessage(1, [])).toEqual(Uint8Array.of(0x0a, 0));
  });
});
