import { isIPv6 } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { intToIpv6, ipBytes, ipFromBytes, ipv6ToInt, parseIp, parseIpv6 } from "./addr6.ts";

describe("parseIpv6()", () => {
  it.each([
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["FE80::0A:0", "fe80::a:0"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0:1:2:3:4:5:6", "2001:0:1:2:3:4:5:6"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ])("writes %s as %s (RFC 5952)", (text, canonical) => {
    expect(parseIpv6(text)).toBe(canonical);
  });

  it.each([
    "",
    ":",
    "1",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "::1.2.3.4",
    "fe80::1%eth0",
  ])("refuses %j", (text) => {
    expect(parseIpv6(text)).toBeUndefined();
  });
});

describe("ipBytes()", () => {
  it("is undone by ipFromBytes(), for each address of 4 and of 16 bytes", () => {
    // Zeros are likely, so that runs of them are met.
    const byte = fc.oneof(fc.constant(0), fc.nat(255));
    const address = fc
      .constantFrom(4, 16)
      .chain((length) => fc.array(byte, { minLength: length, maxLength: length }));
    fc.assert(
      fc.property(address, (given) => {
        const bytes = Uint8Array.from(given);
        const ip = ipFromBytes(bytes);
        if (ip === undefined) throw new Error("no address");
        expect(ipBytes(ip)).toEqual(bytes);
        if (bytes.length === 16) {
          expect(isIPv6(ip)).toBe(true);
          expect(new URL(`http://[${ip}]`).hostname).toBe(`[${ip}]`);
        }
      }),
    );
  });

  it("leaves other lengths alone", () => {
    for (const length of [0, 3, 5, 15, 17]) expect(ipFromBytes(new Uint8Array(length))).toBeUndefined();
  });
});

describe("parseIp()", () => {
  it("takes either family, strictly", () => {
    expect(["10.0.0.1", "FD00::01", "10.0.0.01", "fd00::g", ""].map(parseIp)).toEqual([
      "10.0.0.1",
      "fd00::1",
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("ipv6ToInt()", () => {
  it("is undone by intToIpv6()", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 128n - 1n), (value) => {
        expect(ipv6ToInt(intToIpv6(value))).toBe(value);
      }),
    );
    expect(intToIpv6(0xfd00n << 112n)).toBe("fd00::");
  });
});
