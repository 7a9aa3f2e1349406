import { describe, expect, it } from "vitest";
import * as fc from "fast-check";
import { intToIpv4, type Ipv4, type Mac, macBytes, macFromBytes } from "../../proto/addr.ts";
import { arpAnswer, arpRequest } from "./arp.ts";

const question = { senderMac: mac([2, 0, 0, 0, 0, 1]), sender: ip(0x0a00010a), target: ip(0x0a0001fd) };

function mac(bytes: readonly number[]): Mac {
  const value = macFromBytes(Uint8Array.from(bytes));
  if (value === undefined) throw new Error("not a MAC");
  return value;
}

function ip(value: number): Ipv4 {
  return intToIpv4(value);
}

/** The frame that the asked one sends: the ends change places. */
function answerTo(request: Uint8Array, from: Mac): Uint8Array {
  return Uint8Array.of(
    ...request.subarray(6, 12),
    ...macBytes(from),
    ...request.subarray(12, 21),
    2,
    ...macBytes(from),
    ...request.subarray(38, 42),
    ...request.subarray(22, 32),
  );
}

describe("arpRequest()", () => {
  it("is a broadcast of 42 bytes as RFC 826 has it", () => {
    expect(Buffer.from(arpRequest(question)).toString("hex")).toBe(
      "ffffffffffff020000000001" +
        "0806" +
        "0001080006040001" +
        "0200000000010a00010a" +
        "0000000000000a0001fd",
    );
  });
});

describe("arpAnswer()", () => {
  it("gives the MAC of the answer, padded or not, and of nothing else", () => {
    const gateway = mac([0xee, 0xff, 0xff, 0xff, 0xff, 0xff]);
    const request = arpRequest(question);
    const answer = answerTo(request, gateway);
    expect(arpAnswer(answer, question)).toBe(gateway);
    expect(arpAnswer(Uint8Array.of(...answer, ...Array<number>(18).fill(0)), question)).toBe(gateway);
    expect(arpAnswer(request, question)).toBeUndefined();
    expect(arpAnswer(answer, { ...question, target: ip(0x0a0001fc) })).toBeUndefined();
    expect(arpAnswer(answer, { ...question, sender: ip(0x0a00010b) })).toBeUndefined();
    for (let length = 0; length < 42; length++)
      expect(arpAnswer(answer.subarray(0, length), question)).toBeUndefined();
  });

  it("never throws, whatever the frame", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (frame) => arpAnswer(frame, question) === undefined),
    );
  });
});
