import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../../proto/addr.ts";
import { parseIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../../proto/cidr6.ts";
import { eniNetworks, hostStackOf, hostStackOverlaps } from "./host-stack.ts";

function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
}

describe("hostStackOf()", () => {
  it("names each network once, Services first", () => {
    const dns = cidr("169.254.20.10/32");
    expect(hostStackOf([cidr("172.21.0.0/20"), dns], [dns, cidr("fd00:5::/112")])).toEqual([
      "172.21.0.0/20",
      "169.254.20.10/32",
      "fd00:5::/112",
    ]);
  });
});

describe("eniNetworks()", () => {
  it("are the vSwitch's, of the families that the ENI has", () => {
    const [gateway, gateway6] = [parseIpv4("10.0.15.253"), parseIpv6("fd00:0:0:1::fd")];
    if (gateway === undefined || gateway6 === undefined) throw new Error("no gateway");
    expect(eniNetworks({ gateway, prefixLength: 20 })).toEqual(["10.0.0.0/20"]);
    expect(eniNetworks({ gateway, prefixLength: 20, v6: { gateway: gateway6 } })).toEqual([
      "10.0.0.0/20",
      "fd00:0:0:1::/64",
    ]);
  });
});

describe("hostStackOverlaps()", () => {
  it("says each pair that has addresses in common, whichever holds the other, and no other pair", () => {
    const networks = [
      { cidr: cidr("10.0.0.0/20"), owner: "vSwitch vsw-1" },
      { cidr: cidr("fd00:0:0:1::/64"), owner: "vSwitch vsw-1" },
    ];
    const hostStack = ["10.0.3.0/24", "10.0.0.0/8", "10.0.16.0/24", "fd00::/32", "fd00:1::/64"].map(cidr);
    expect(hostStackOverlaps(hostStack, networks)).toEqual([
      "10.0.3.0/24 overlaps with 10.0.0.0/20 of vSwitch vsw-1, where pods have their addresses",
      "10.0.0.0/8 overlaps with 10.0.0.0/20 of vSwitch vsw-1, where pods have their addresses",
      "fd00::/32 overlaps with fd00:0:0:1::/64 of vSwitch vsw-1, where pods have their addresses",
    ]);
  });
});
