import { describe, expect, it } from "vitest";
import { hex } from "../../../test/captures/literals.ts";
import {
  be16,
  be32,
  mac,
  NLA_F_NESTED,
  nested,
  readFields,
  schema,
  text,
  u16,
  u32,
  u8,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { DecodeError, spanOf, Writer } from "./wire.ts";

const INNER = schema({ small: u8(1), port: be16(2) });
const TABLE = schema({
  name: text(3),
  mtu: u32(4),
  short: u16(5),
  id: be32(6),
  address: mac(7),
  inner: nested(8 | NLA_F_NESTED, INNER),
});

function encode(values: ValuesOf<typeof TABLE>): Uint8Array {
  const writer = new Writer();
  writeFields(writer, TABLE, values);
  return writer.take();
}

function decode(bytes: Uint8Array): ValuesOf<typeof TABLE> {
  return readFields(spanOf(bytes), TABLE);
}

describe("writeFields()", () => {
  it("pads to 4 bytes and counts the padding in nests, not in lengths of values", () => {
    expect(encode({ name: "lo", inner: { small: 7, port: 80 } })).toEqual(
      hex("07000300 6c6f0000 14000880 05000100 07000000 06000200 00500000"),
    );
  });

  it("writes host order little-endian and network order big-endian", () => {
    expect(encode({ mtu: 0x01020304, short: 0x0506, id: 0x01020304 })).toEqual(
      hex("08000400 04030201 06000500 06050000 08000600 01020304"),
    );
  });

  it("throws for what does not fit: that is a bug of the caller", () => {
    expect(() => encode({ mtu: -1 })).toThrow(RangeError);
    expect(() => encode({ mtu: 2 ** 32 })).toThrow(RangeError);
    expect(() => encode({ short: 1.5 })).toThrow(RangeError);
    expect(() => encode({ inner: { small: 256 } })).toThrow(RangeError);
    expect(() => encode({ name: "a\0b" })).toThrow(RangeError);
    expect(() => encode({ unknown: [{ type: 99, bytes: new Uint8Array(65_532) }] })).toThrow(RangeError);
  });

  it("writes the longest attribute there can be", () => {
    const unknown = [{ type: 99, bytes: new Uint8Array(65_531).fill(1) }];
    expect(decode(encode({ unknown }))).toEqual({ unknown });
  });
});

describe("readFields()", () => {
  it("keeps what it does not know, flags and all", () => {
    const bytes = hex("08000400 78050000 0600e7c3 aabb0000 04006300");
    const values = {
      mtu: 1400,
      unknown: [
        { type: 0xc3e7, bytes: hex("aabb") },
        { type: 99, bytes: hex("") },
      ],
    };
    expect(decode(bytes)).toEqual(values);
    expect(encode(values)).toEqual(bytes);
  });

  it("keeps an address and a text of another form as unknown", () => {
    expect(decode(hex("08000700 01020304 08000300 ff6f6f00"))).toEqual({
      unknown: [
        { type: 7, bytes: hex("01020304") },
        { type: 3, bytes: hex("ff6f6f00") },
      ],
    });
  });

  it("takes a nest with or without its flag, and a text with or without its NUL", () => {
    expect(decode(hex("0c000800 05000100 07000000 06000300 6c6f0000"))).toEqual({
      inner: { small: 7 },
      name: "lo",
    });
  });

  it("swaps an integer that says it is in network order", () => {
    expect(decode(hex("08000440 00000578 06000540 05780000 08000640 00000578"))).toEqual({
      mtu: 1400,
      short: 1400,
      id: 1400,
    });
  });

  it("takes the last of two, as the kernel does", () => {
    expect(decode(hex("08000400 01000000 08000400 02000000"))).toEqual({ mtu: 2 });
  });

  it("takes a last attribute whose padding is cut off", () => {
    expect(decode(hex("07000300 6c6f00"))).toEqual({ name: "lo" });
  });

  it.each([
    ["ff000300 6c6f0000", "attribute length 255 of 8 left", 0],
    ["08000400 78050000 030003", "attribute header cut off", 8],
    ["08000400 78050000 03000300", "attribute length 3 of 4 left", 8],
    ["07000400 78050000", "payload of 3 bytes, not 4", 4],
    ["0c000880 06000100 07000000", "payload of 2 bytes, not 1", 8],
    ["0c000880 09000100 07000000", "attribute length 9 of 8 left", 4],
  ])("refuses %s", (bytes, reason, offset) => {
    expect(() => decode(hex(bytes))).toThrow(new DecodeError(reason, offset));
  });

  it("copies: what was read stays when the buffer is used again", () => {
    const bytes = hex("06006300 aabb0000");
    const values = decode(bytes);
    bytes.fill(0);
    expect(values).toEqual({ unknown: [{ type: 99, bytes: hex("aabb") }] });
  });
});
