import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  intToIpv4,
  ipv4Bytes,
  ipv4FromBytes,
  ipv4ToInt,
  macBytes,
  macFromBytes,
  parseIpv4,
  parseMac,
} from "./addr.ts";
import { cidrContains, cidrsOverlap, firstAddress, lastAddress, parseCidr, vSwitchGateway } from "./cidr.ts";

describe("parseIpv4()", () => {
  it("refuses what C libraries read as something else", () => {
    for (const text of [
      "010.1.1.1",
      "10.1",
      "0x7f.1",
      "1.2.3.4.5",
      "256.1.1.1",
      "1.2.3",
      "",
      "1.2.3.4 ",
      "1..2.3",
    ]) {
      expect(parseIpv4(text), text).toBeUndefined();
    }
  });

  it("agrees with its inverses", () => {
    fc.assert(
      fc.property(fc.nat(0xff_ff_ff_ff), (value) => {
        const ip = intToIpv4(value);
        expect(parseIpv4(ip)).toBe(ip);
        expect(ipv4ToInt(ip)).toBe(value);
        expect(ipv4FromBytes(ipv4Bytes(ip))).toBe(ip);
      }),
    );
  });
});

describe("parseMac()", () => {
  it("makes lower case and agrees with its inverse", () => {
    const mac = parseMac("00:16:3E:0A:1B:2C");
    expect(mac).toBe("00:16:3e:0a:1b:2c");
    expect(mac && macFromBytes(macBytes(mac))).toBe(mac);
    expect(parseMac("00:16:3e:0a:1b")).toBeUndefined();
  });
});

describe("parseCidr()", () => {
  it("refuses host bits, bad lengths and other families", () => {
    for (const text of ["10.0.0.1/24", "10.0.0.0/33", "10.0.0.0", "10.0.0.0/08", "::/0", "10.0.0.0/8/8"]) {
      expect(parseCidr(text), text).toBeUndefined();
    }
  });

  it("knows its ends, its gateway and its neighbours", () => {
    const [a, b, c] = [parseCidr("10.0.1.0/24"), parseCidr("10.0.0.0/16"), parseCidr("10.0.2.0/24")];
    if (a === undefined || b === undefined || c === undefined) throw new Error("not parsed");
    expect([firstAddress(a), lastAddress(a), vSwitchGateway(a)]).toEqual([
      "10.0.1.0",
      "10.0.1.255",
      "10.0.1.253",
    ]);
    expect([cidrsOverlap(a, b), cidrsOverlap(b, a), cidrsOverlap(a, c)]).toEqual([true, true, false]);
    const ip = parseIpv4("10.0.1.7");
    expect(ip && [cidrContains(a, ip), cidrContains(c, ip)]).toEqual([true, false]);
  });
});
