import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { hex } from "../../../test/captures/literals.ts";
import { decodeAck, decodeDone, encodeAck, errnoName } from "./error.ts";
import { NLM_F, NLMSG } from "./header.ts";
import { DecodeError } from "./wire.ts";

const { ERROR, DONE } = NLMSG;
const REQUEST = "18000000 1000 0500 07000000 00000000";

describe("errnoName()", () => {
  it("agrees with the C library", () => {
    // Two names of one number, where Linux's netlink says the first.
    const other: Record<string, string> = { ENOTSUP: "EOPNOTSUPP", EWOULDBLOCK: "EAGAIN" };
    const names = Object.entries(constants.errno);
    expect(names.length).toBeGreaterThan(70);
    for (const [name, number] of names) expect(errnoName(number)).toBe(other[name] ?? name);
  });

  it("names the ends of the table and does not invent names", () => {
    expect([1, 40, 41, 42, 131, 133, 134, 0, 524].map(errnoName)).toEqual([
      "EPERM",
      "ELOOP",
      "errno 41",
      "ENOMSG",
      "ENOTRECOVERABLE",
      "EHWPOISON",
      "errno 134",
      "errno 0",
      "ENOTSUPP",
    ]);
  });
});

describe("decodeAck()", () => {
  it("finds the words behind a request that is sent back whole", () => {
    const payload = hex(`eaffffff ${REQUEST} 0102030405060708 06000100 6e6f0000 08000200 10000000`);
    expect(decodeAck({ type: ERROR, flags: NLM_F.ACK_TLVS, seq: 7, payload })).toEqual({
      errno: 22,
      request: { type: 16, seq: 7 },
      message: "no",
      offset: 16,
    });
  });

  it("finds them behind its header alone", () => {
    const payload = hex(`eaffffff ${REQUEST} 06000500 14000000 08000600 24000000`);
    const flags = NLM_F.ACK_TLVS | NLM_F.CAPPED;
    expect(decodeAck({ type: ERROR, flags, seq: 7, payload })).toEqual({
      errno: 22,
      request: { type: 16, seq: 7 },
      missingType: 20,
      missingNest: 36,
    });
  });

  it("does not look for words that are not announced", () => {
    const payload = hex(`00000000 ${REQUEST} 0102030405060708`);
    expect(decodeAck({ type: ERROR, flags: 0, seq: 7, payload })).toEqual({
      errno: 0,
      request: { type: 16, seq: 7 },
    });
  });

  it.each([
    ["eaffffff", 0, "NLMSG_ERROR of 4 bytes, not 20", 0],
    [`16000000 ${REQUEST}`, 0, "error number 22 is positive", 0],
    [`eaffffff ${REQUEST}`, NLM_F.ACK_TLVS, "the request in NLMSG_ERROR is cut off", 20],
    [
      "eaffffff ffffffff 1000 0500 07000000 00000000",
      NLM_F.ACK_TLVS,
      "the request in NLMSG_ERROR is cut off",
      20,
    ],
  ])("refuses %s", (bytes, flags, reason, offset) => {
    expect(() => decodeAck({ type: ERROR, flags, seq: 7, payload: hex(bytes) })).toThrow(
      new DecodeError(reason, offset),
    );
  });

  it("undoes encodeAck()", () => {
    const refused = { errno: 17, request: { type: 16, seq: 9 }, message: "no", offset: 40 };
    const success = { errno: 0, request: { type: 24, seq: 10 } };
    expect(decodeAck(encodeAck(refused))).toEqual(refused);
    expect(decodeAck(encodeAck(success))).toEqual(success);
    expect(encodeAck(success).flags).toBe(NLM_F.CAPPED);
  });
});

describe("decodeDone()", () => {
  it("says what ended the dump early", () => {
    expect(decodeDone({ type: DONE, flags: 2, seq: 1, payload: hex("00000000") })).toEqual({ errno: 0 });
    expect(decodeDone({ type: DONE, flags: 2, seq: 1, payload: hex("edffffff") })).toEqual({ errno: 19 });
    expect(decodeDone({ type: DONE, flags: 2, seq: 1, payload: hex("") })).toEqual({ errno: 0 });
  });
});
