import { describe, expect, it } from "vitest";
import * as fc from "fast-check";
import { type Mac, macBytes, parseMac } from "../../proto/addr.ts";
import { ipBytes, type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { linkLocal, neighbourAnswer, neighbourSolicitation } from "./ndp.ts";

const question = { senderMac: mac("00:16:3e:00:00:02"), target: ip("2001:db8::fd") };
const gateway = mac("ee:ff:ff:ff:ff:fe");

function mac(text: string): Mac {
  return parseMac(text) ?? raise(text);
}

function ip(text: string): Ipv6 {
  return parseIpv6(text) ?? raise(text);
}

function raise(text: string): never {
  throw new Error(text);
}

/** The advertisement that the asked one sends, with these options. */
function advertisement(
  options: readonly number[],
  target = question.target,
  to = question.senderMac,
): Uint8Array {
  const icmp = [136, 0, 0, 0, 0x60, 0, 0, 0, ...ipBytes(target), ...options];
  const ethernet = [...macBytes(to), ...macBytes(gateway), 0x86, 0xdd];
  const header = [0x60, 0, 0, 0, 0, icmp.length, 58, 255, ...ipBytes(target), ...ipBytes(linkLocal(to))];
  return Uint8Array.from([...ethernet, ...header, ...icmp]);
}

describe("linkLocal()", () => {
  it("is the modified EUI-64 of RFC 4291, appendix A", () => {
    expect(linkLocal(mac("34:56:78:9a:bc:de"))).toBe("fe80::3656:78ff:fe9a:bcde");
  });
});

describe("neighbourSolicitation()", () => {
  it("goes to the target's group, with the sender's MAC and a checksum that holds", () => {
    const frame = neighbourSolicitation(question);
    expect(Buffer.from(frame).toString("hex")).toBe(
      "3333ff0000fd" +
        "00163e000002" +
        "86dd" +
        "6000000000203aff" +
        "fe8000000000000002163efffe000002" +
        "ff0200000000000000000001ff0000fd" +
        "8700ce3a00000000" +
        "20010db80000000000000000000000fd" +
        "010100163e000002",
    );
  });
});

describe("neighbourAnswer()", () => {
  it("gives the MAC of the option, or the sender's, and of nothing else", () => {
    const other = mac("02:00:00:00:00:77");
    const option = [2, 1, ...macBytes(other)];
    expect(neighbourAnswer(advertisement(option), question)).toBe(other);
    expect(neighbourAnswer(advertisement([14, 1, 0, 0, 0, 0, 0, 0, ...option]), question)).toBe(other);
    expect(neighbourAnswer(advertisement([]), question)).toBe(gateway);
    expect(neighbourAnswer(advertisement([9, 0, 0, 0, 0, 0, 0, 0]), question)).toBe(gateway);
    expect(neighbourAnswer(neighbourSolicitation(question), question)).toBeUndefined();
    expect(neighbourAnswer(advertisement(option, ip("2001:db8::fc")), question)).toBeUndefined();
    expect(neighbourAnswer(advertisement(option, question.target, other), question)).toBeUndefined();
    // Somebody has forwarded it.
    expect(neighbourAnswer(advertisement(option).with(21, 64), question)).toBeUndefined();
    for (let length = 0; length < 78; length++)
      expect(neighbourAnswer(advertisement(option).subarray(0, length), question)).toBeUndefined();
  });

  it("never throws, whatever the frame", () => {
    const start = advertisement([]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(78), (rest, kept) => {
        neighbourAnswer(Uint8Array.of(...start.subarray(0, kept), ...rest), question);
      }),
    );
  });
});
