import { describe, expect, it } from "vitest";
import { type Mac, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, parseIp } from "../../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../../proto/cidr6.ts";
import { describeThing, nameThing, placeOf, type Plan, type Thing } from "./thing.ts";

const device = { name: "tw0", ifIndex: 20_000 };
const uplink = { name: "eth0", ifIndex: 2 };

function ip(text: string): IpAddress {
  return parseIp(text) ?? raise(text);
}

function mac(text: string): Mac {
  return parseMac(text) ?? raise(text);
}

function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  return parsed.ok ? parsed.value : raise(text);
}

function raise(text: string): never {
  throw new Error(text);
}

const host = { ...device, mac: mac("02:00:00:00:00:01") };
const pod = { name: "eth0", ifIndex: 30_000, mac: mac("02:00:00:00:00:02") };

/** A thing, its whole text, and its name. */
const CASES: readonly (readonly [thing: Thing, text: string, name: string])[] = [
  [
    { kind: "veth", host, pod, mtu: 1500, group: 21_504 },
    "link tw0 index 20000 address 02:00:00:00:00:01 type veth mtu 1500 group 21504 peer eth0 index 30000 address 02:00:00:00:00:02 in the pod",
    "device tw0",
  ],
  [
    { kind: "ipvlan", place: "pod", device: { ...pod }, parent: uplink, mtu: 1500, group: 0 },
    "link eth0@eth0 index 30000 type ipvlan mode l2 bridge mtu 1500 group 0",
    "device eth0",
  ],
  [
    {
      kind: "vxlan",
      device: host,
      vni: 1,
      port: 8472,
      local: ip("192.0.2.1"),
      underlay: uplink,
      mtu: 1450,
    },
    "link tw0 index 20000 address 02:00:00:00:00:01 type vxlan id 1 dstport 8472 local 192.0.2.1 dev eth0 nolearning mtu 1450",
    "device tw0",
  ],
  [
    {
      kind: "settings",
      place: "node",
      device,
      settings: {
        up: true,
        mtu: 1500,
        group: 21_504,
        alias: "terway:10.0.0.7",
        linkLocal: false,
        ipv4: { forwarding: true, rpFilter: 1, srcValidMark: false, acceptLocal: true, arpIgnore: 8 },
        ipv6: { enabled: true, acceptRa: false, forwarding: true },
      },
    },
    "link tw0 up mtu 1500 group 21504 alias terway:10.0.0.7 addrgenmode none ipv4.forwarding 1 ipv4.rp_filter 1 ipv4.src_valid_mark 0 ipv4.accept_local 1 ipv4.arp_ignore 8 ipv6.disable_ipv6 0 ipv6.accept_ra 0 ipv6.force_forwarding 1",
    "device tw0",
  ],
  [{ kind: "settings", place: "node", device, settings: { up: false } }, "link tw0 down", "device tw0"],
  [
    { kind: "address", place: "pod", device, address: ip("10.0.0.7"), prefixLength: 32 },
    "address 10.0.0.7/32 dev tw0",
    "address 10.0.0.7/32 dev tw0",
  ],
  [
    { kind: "address", place: "pod", device, address: ip("fd00::7"), prefixLength: 128 },
    "address fd00::7/128 dev tw0 nodad",
    "address fd00::7/128 dev tw0",
  ],
  [
    { kind: "route", place: "pod", table: 254, to: cidr("::/0"), via: ip("fe80::1"), device, onlink: true },
    "route default via fe80::1 dev tw0 onlink",
    "route default via fe80::1 dev tw0",
  ],
  [
    {
      kind: "route",
      place: "node",
      table: 7400,
      to: cidr("10.1.0.0/24"),
      device,
      src: ip("10.0.0.1"),
      metric: 5,
    },
    "route 10.1.0.0/24 dev tw0 table 7400 src 10.0.0.1 metric 5",
    "route 10.1.0.0/24 dev tw0 table 7400",
  ],
  [
    { kind: "route", place: "node", table: 254, to: cidr("10.1.0.0/16"), type: "unreachable" },
    "route unreachable 10.1.0.0/16",
    "route unreachable 10.1.0.0/16",
  ],
  [
    { kind: "rule", family: 4, priority: 512, table: 7400 },
    "rule 512 from all lookup 7400",
    "rule 512 from all lookup 7400",
  ],
  [
    {
      kind: "rule",
      family: 6,
      priority: 2048,
      table: 7401,
      mark: { value: 0x100_0000, mask: 0x3f00_0000 },
    },
    "ipv6 rule 2048 fwmark 0x1000000/0x3f000000 lookup 7401",
    "ipv6 rule 2048 fwmark 0x1000000/0x3f000000 lookup 7401",
  ],
  [
    { kind: "neighbour", place: "node", device, address: ip("10.0.0.7"), mac: pod.mac },
    "neighbour 10.0.0.7 dev tw0 lladdr 02:00:00:00:00:02 nud permanent",
    "neighbour 10.0.0.7 dev tw0",
  ],
  [
    { kind: "fdb", device, mac: pod.mac, remote: ip("192.0.2.9") },
    "fdb 02:00:00:00:00:02 dev tw0 dst 192.0.2.9 self permanent",
    "fdb 02:00:00:00:00:02 dev tw0",
  ],
  [
    {
      kind: "element",
      family: "ip6",
      table: "terway",
      map: "pod_source",
      device,
      key: ip("fd00::7"),
      chain: "eni2",
    },
    "nft element ip6 terway pod_source { tw0 . fd00::7 : goto eni2 }",
    "nft element ip6 terway pod_source { tw0 . fd00::7 }",
  ],
  [
    { kind: "element", family: "ip", table: "terway", map: "pod_source", device, key: ip("10.0.0.7") },
    "nft element ip terway pod_source { tw0 . 10.0.0.7 : accept }",
    "nft element ip terway pod_source { tw0 . 10.0.0.7 }",
  ],
  [
    { kind: "rule", family: 4, priority: 2049, iif: "eth1" },
    "rule 2049 from all iif eth1 blackhole",
    "rule 2049 from all iif eth1 blackhole",
  ],
];

describe("describeThing() and nameThing()", () => {
  it("say all of it, and what tells it from others", () => {
    expect(CASES.map(([thing]) => [describeThing(thing), nameThing(thing)])).toEqual(
      CASES.map(([, text, name]) => [text, name]),
    );
  });
});

describe("placeOf()", () => {
  it("is the namespace that the message goes to", () => {
    const plan: Plan = CASES.map(([thing]) => thing);
    expect(plan.filter((thing) => placeOf(thing) === "pod").map(({ kind }) => kind)).toEqual([
      "ipvlan",
      "address",
      "address",
      "route",
    ]);
  });
});
