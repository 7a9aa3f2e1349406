import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { eniId, instanceId } from "../../proto/ids.ts";
import { cidr6, ip6 } from "./fabric-lab.ts";
import { countersFrom } from "./fabric.ts";
import { planNamespaces, planPrimary, planRouter, sysctlScript } from "./router.ts";
import { batchFailures } from "./run.ts";
import { routerDevice } from "./shape.ts";

const [cidr, api, address] = [parseCidr("10.0.0.0/24"), parseIpv4("100.100.0.10"), parseIpv4("10.0.0.7")];
if (cidr === undefined || api === undefined || address === undefined) throw new Error("not parsed");
const shape = {
  name: "sim",
  vSwitches: [cidr],
  vSwitches6: [],
  services: [api],
  nodes: [{ instance: instanceId("i-a"), node: "node-a" }],
};

describe("planNamespaces()", () => {
  it("makes the router first", () => {
    expect(planNamespaces(shape)).toEqual(["netns add sim-vpc", "netns add sim-node-a"]);
  });
});

describe("planRouter()", () => {
  it("has the services, and gateway and blackhole of each vSwitch", () => {
    expect(planRouter(shape)).toEqual([
      "link set lo up",
      "addr add 100.100.0.10/32 dev lo",
      "addr add 10.0.0.253/32 dev lo",
      "route add blackhole 10.0.0.0/24",
    ]);
  });
});

describe("planPrimary()", () => {
  it("gives eth0 the address of its vSwitch and the way out", () => {
    expect(planPrimary(shape, address)).toEqual([
      "link set lo up",
      "link set eth0 up",
      "addr replace 10.0.0.7/24 dev eth0",
      "route replace default via 10.0.0.253 dev eth0",
    ]);
  });

  it("gives eth0 an IPv6 address without a network", () => {
    const both = { ...shape, vSwitches6: [cidr6("fd00:0:0:1::/64")] };
    expect(planPrimary(both, address, ip6("fd00:0:0:1::9")).slice(-3)).toEqual([
      "addr replace fd00:0:0:1::9/128 dev eth0 nodad",
      "route replace fd00::1:ffff:ffff:ffff:fff7/128 dev eth0",
      "route replace default via fd00::1:ffff:ffff:ffff:fff7 dev eth0",
    ]);
    expect(() => planPrimary(shape, address, ip6("fd00:0:0:1::9"))).toThrow("is in no vSwitch");
    expect(planRouter(both).at(-1)).toBe("route add blackhole fd00:0:0:1::/64");
  });

  it("refuses an address of no vSwitch", () => {
    expect(() => planPrimary({ vSwitches: [], vSwitches6: [] }, address)).toThrow(
      "10.0.0.7 is in no vSwitch",
    );
  });
});

describe("sysctlScript()", () => {
  it("lets a kernel be without IPv6, and nothing else", () => {
    expect(sysctlScript({ "ipv4/ip_forward": 1, "ipv6/x": 2 })).toBe(
      "set -e\necho 1 > /proc/sys/net/ipv4/ip_forward\n[ ! -e /proc/sys/net/ipv6/x ] || echo 2 > /proc/sys/net/ipv6/x\n",
    );
  });
});

describe("routerDevice()", () => {
  it("is an interface name, from the random end of the id", () => {
    expect(routerDevice(eniId("eni-bp1abcdefghijklmnopq"))).toBe("edefghijklmnopq");
    expect(routerDevice(eniId("eni-1"))).toBe("e1");
  });
});

describe("batchFailures()", () => {
  it("gives each message its line, and one that ended the batch line -1", () => {
    const stderr =
      'Cannot find device "e7"\nCommand failed -:8\nError: a.\nError: b.\nCommand failed -:12\nEnd\n';
    expect(batchFailures(stderr)).toEqual([
      { line: 7, message: 'Cannot find device "e7"' },
      { line: 11, message: "Error: a.; Error: b." },
      { line: -1, message: "End" },
    ]);
    expect(batchFailures("")).toEqual([]);
  });
});

function counter(family: string, name: string, packets: number): object {
  return { counter: { family, name, packets } };
}

describe("countersFrom()", () => {
  it("reads the counters of the router", () => {
    const nftables = [{ metainfo: {} }, counter("ip", "spoofed", 1), counter("arp", "spoofed", 2)];
    const ipv6 = [counter("ip6", "noise", 3), counter("ip6", "spoofed", 4)];
    const json = JSON.stringify({ nftables: [...nftables, ...ipv6] });
    expect(countersFrom(json)).toEqual({
      spoofedPackets: 1,
      spoofedArp: 2,
      spoofedIpv6: 4,
      ipv6Packets: 3,
    });
    expect(() => countersFrom(JSON.stringify({ nftables }))).toThrow(
      "counter spoofed of family ip6 is missing",
    );
  });
});
