import { describe, expect, it } from "vitest";
import { planSiteNamespaces, planSiteNode, planSiteOutside, planSiteRouter } from "./plan.ts";
import { type OnPremSpec, siteOf, threeNodes } from "./site.ts";

const SPEC: OnPremSpec = {
  name: "lab",
  subnets: [{ name: "r", cidr: "10.1.0.0/24", ipv6Cidr: "fd00:0:0:1::/64" }],
  nodes: [
    { name: "a", subnet: "r" },
    {
      name: "b",
      subnet: "r",
      uplink: "ens5",
      address: "10.1.0.77",
      ipv6Address: "fd00:0:0:1::77",
      mtu: 1400,
    },
  ],
};

describe("the plan of a site", () => {
  const site = siteOf(SPEC);

  it("is namespaces, a bridge with its cables, and the outside", () => {
    expect(planSiteNamespaces(site)).toEqual([
      "netns add lab-router",
      "netns add lab-outside",
      "netns add lab-a",
      "netns add lab-b",
    ]);
    expect(planSiteRouter(site)).toEqual([
      "link set lo up",
      "link add br0 type bridge forward_delay 0 mcast_snooping 0",
      "link set br0 mtu 1500 up",
      "addr add 10.1.0.1/24 dev br0",
      "addr add fd00:0:0:1::1/64 dev br0 nodad",
      "link add name port0 mtu 1500 type veth peer name eth0 mtu 1500 netns lab-a",
      "link set port0 master br0 up",
      "link add name port1 mtu 1400 type veth peer name ens5 mtu 1400 netns lab-b",
      "link set port1 master br0 up",
      "link add name out0 up type veth peer name eth0 netns lab-outside",
      "addr add 198.51.100.1/24 dev out0",
      "addr add 2001:db8:100::1/64 dev out0 nodad",
    ]);
    expect(planSiteOutside(site)).toEqual([
      "link set lo up",
      "link set eth0 up",
      "addr add 198.51.100.10/24 dev eth0",
      "addr add 2001:db8:100::10/64 dev eth0 nodad",
      "route add 10.1.0.0/24 via 198.51.100.1 dev eth0",
      "route add fd00:0:0:1::/64 via 2001:db8:100::1 dev eth0",
    ]);
  });

  it("gives nodes the addresses that were asked for, or numbered ones", () => {
    expect(site.nodes.map(planSiteNode)).toEqual([
      [
        "link set lo up",
        "link set eth0 addrgenmode none",
        "link set eth0 up",
        "addr add 10.1.0.11/24 dev eth0",
        "route add default via 10.1.0.1 dev eth0",
        "addr add fe80::11/64 dev eth0 nodad",
        "addr add fd00:0:0:1::11/64 dev eth0 nodad",
        "route add default via fd00:0:0:1::1 dev eth0",
      ],
      [
        "link set lo up",
        "link set ens5 addrgenmode none",
        "link set ens5 up",
        "addr add 10.1.0.77/24 dev ens5",
        "route add default via 10.1.0.1 dev ens5",
        "addr add fe80::77/64 dev ens5 nodad",
        "addr add fd00:0:0:1::77/64 dev ens5 nodad",
        "route add default via fd00:0:0:1::1 dev ens5",
      ],
    ]);
    const [plain] = siteOf(threeNodes({ name: "lab" })).nodes.map(planSiteNode);
    expect(plain).toHaveLength(4);
  });
});

describe("siteOf()", () => {
  const [subnet] = SPEC.subnets;
  const [node] = SPEC.nodes;
  if (subnet === undefined || node === undefined) throw new Error("an empty specification");

  it.each<[Partial<OnPremSpec>, string]>([
    [{ subnets: [{ ...subnet, cidr: "10.1.0.1/24" }] }, "10.1.0.1/24 is not an IPv4 network"],
    [{ subnets: [{ ...subnet, ipv6Cidr: "10.1.0.0/24" }] }, "10.1.0.0/24 is not an IPv6 network"],
    [{ subnets: [{ ...subnet, mtu: 100 }] }, "mtu 100 of r: 1280 to 65535"],
    [{ subnets: [subnet, { name: "s", cidr: "10.1.0.0/16" }] }, "10.1.0.0/16 of s overlaps with 10.1.0.0/24"],
    [{ nodes: [{ ...node, subnet: "x" }] }, "a: there is no subnet x"],
    [{ nodes: [node, node] }, "a is there twice"],
    [{ nodes: [{ ...node, name: "router" }] }, "router is there twice"],
    [{ nodes: [{ ...node, name: "A" }] }, "A: a node has a lower-case name"],
    [{ nodes: [{ ...node, uplink: "a-device-too-long" }] }, "a device has a name of at most 15 characters"],
    [{ nodes: [{ ...node, address: "10.2.0.1" }] }, "10.2.0.1 of a is not in 10.1.0.0/24"],
    [{ nodes: [{ ...node, address: "10.1.0.1" }] }, "10.1.0.1 is there twice"],
    [{ nodes: [{ ...node, ipv6Address: "fd00:0:0:2::1" }] }, "fd00:0:0:2::1 is not in fd00:0:0:1::/64"],
    [
      { subnets: [{ name: "r", cidr: "10.1.0.0/24" }], nodes: [{ ...node, ipv6Address: "fd00::1" }] },
      "fd00::1 is not in r, which has no IPv6",
    ],
  ])("refuses %j", (part, message) => {
    expect(() => siteOf({ ...SPEC, ...part })).toThrow(message);
  });
});
