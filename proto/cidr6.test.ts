import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { intToIpv4 } from "./addr.ts";
import { intToIpv6, type IpAddress, parseIp } from "./addr6.ts";
import { cidrsOverlap, parseCidr } from "./cidr.ts";
import {
  addressOf,
  bitsOf,
  contains,
  firstOf,
  type IpCidr,
  isCidr6,
  lastOf,
  networkOf,
  overlap,
  parseIpCidr,
  sizeOf,
  vSwitchGateway6,
} from "./cidr6.ts";

const ips = fc.oneof(
  fc.nat(2 ** 32 - 1).map((value): IpAddress => intToIpv4(value)),
  fc.bigInt(0n, 2n ** 128n - 1n).map((value): IpAddress => intToIpv6(value)),
);
const networks = fc
  .tuple(ips, fc.nat(128))
  .map(([ip, bits]) => networkOf(ip, ip.includes(":") ? bits : bits % 33));

function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function network(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
}

describe("parseIpCidr()", () => {
  it("takes what it writes", () => {
    fc.assert(
      fc.property(networks, (cidr) => {
        expect(parseIpCidr(cidr)).toEqual({ ok: true, value: cidr });
      }),
    );
  });

  it("says which network an address with bits is in", () => {
    expect(parseIpCidr("10.245.3.7/24")).toEqual({
      ok: false,
      fault: { kind: "host-bits", corrected: "10.245.3.0/24" },
    });
    expect(parseIpCidr("FD00:1::5/64")).toEqual({
      ok: false,
      fault: { kind: "host-bits", corrected: "fd00:1::/64" },
    });
  });

  it.each(["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "fd00::/129", "10.0.0.0/8/8", "a/8"])(
    "refuses %j",
    (text) => {
      expect(parseIpCidr(text)).toEqual({ ok: false, fault: { kind: "not-a-network" } });
    },
  );
});

describe("networkOf()", () => {
  it("gives a network that holds the address, from its first to its last", () => {
    fc.assert(
      fc.property(networks, fc.bigInt(0n, 2n ** 128n - 1n), (cidr, any) => {
        const one = addressOf(cidr, any % sizeOf(cidr));
        expect(networkOf(one, bitsOf(cidr))).toBe(cidr);
        expect([firstOf(cidr), one, lastOf(cidr)].map((held) => contains(cidr, held))).toEqual([
          true,
          true,
          true,
        ]);
      }),
    );
  });
});

describe("contains()", () => {
  it("never mixes the families", () => {
    expect(contains(network("0.0.0.0/0"), ip("::1"))).toBe(false);
    expect(contains(network("::/0"), ip("1.2.3.4"))).toBe(false);
  });
});

describe("vSwitchGateway6()", () => {
  it("is the ninth address from the end of an IPv6 network", () => {
    const [cidr, other] = [network("2001:db8:0:1::/64"), network("10.0.0.0/24")];
    expect(isCidr6(cidr) ? vSwitchGateway6(cidr) : "").toBe("2001:db8:0:1:ffff:ffff:ffff:fff7");
    expect(isCidr6(other)).toBe(false);
  });
});

describe("overlap()", () => {
  it("is symmetric, and the same as for IPv4 alone", () => {
    fc.assert(
      fc.property(networks, networks, (a, b) => {
        expect(overlap(a, b)).toBe(overlap(b, a));
        const [one, other] = [parseCidr(a), parseCidr(b)];
        if (one !== undefined && other !== undefined) expect(overlap(a, b)).toBe(cidrsOverlap(one, other));
      }),
    );
    expect(overlap(network("10.244.0.0/14"), network("10.245.0.0/16"))).toBe(true);
    expect(overlap(network("fd00::/64"), network("fd00:0:0:1::/64"))).toBe(false);
  });
});
