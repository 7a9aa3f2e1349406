import { isIPv6 } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCidr } from "../../../proto/cidr.ts";
import { v4, v6 } from "../../../test/captures/literals.ts";
import { hostPrefix, ipBytes, ipFromBytes, parseIpv6, prefixOf } from "./ip.ts";

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

describe("prefixOf() and hostPrefix()", () => {
  it("are what a route wants", () => {
    const cidr = parseCidr("10.1.0.0/16");
    if (cidr === undefined) throw new Error("the test is wrong");
    expect(prefixOf(cidr)).toEqual({ ip: v4("10.1.0.0"), bits: 16 });
    expect(hostPrefix(v4("10.0.0.1"))).toEqual({ ip: v4("10.0.0.1"), bits: 32 });
    expect(hostPrefix(v6("fe80::1"))).toEqual({ ip: v6("fe80::1"), bits: 128 });
  });
});
