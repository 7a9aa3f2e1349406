/** The data plane on the kernel: two nodes, configured by hand, and everything that the VPC must refuse. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type EniId, eniId, type InstanceId, instanceId } from "../../proto/ids.ts";
import { type FabricChange, type FabricCounters } from "../model/fabric.ts";
import { type Fabric, openFabric } from "./fabric.ts";
import {
  cidr,
  configure as configureIn,
  ip,
  mac,
  output,
  reaches as reachesFrom,
  statusIn,
} from "./fabric-lab.ts";
import { runProgram } from "./run.ts";

const name = `tw${process.pid}`;
const [a, b] = [instanceId("i-a"), instanceId("i-b")];
const shape = {
  name,
  vSwitches: [cidr("10.0.0.0/24"), cidr("10.0.1.0/24")],
  vSwitches6: [],
  services: [ip("100.100.0.10")],
  nodes: [
    { instance: a, node: "a" },
    { instance: b, node: "b" },
  ],
};
const eni = {
  a0: { eni: eniId("eni-a0"), mac: mac("00:16:3e:00:00:a0"), address: ip("10.0.0.10"), instance: a },
  a1: { eni: eniId("eni-a1"), mac: mac("00:16:3e:00:00:a1"), address: ip("10.0.0.11"), instance: a },
  b0: { eni: eniId("eni-b0"), mac: mac("00:16:3e:00:00:b0"), address: ip("10.0.1.10"), instance: b },
};

let fabric: Fabric & AsyncDisposable;
let linksBefore: string;

beforeAll(async () => {
  linksBefore = await output("ip", "-o", "link");
  fabric = await openFabric(shape, runProgram);
  await fabric.apply(Object.values(eni).flatMap(plugged));
  await fabric.configurePrimary(a, eni.a0.address);
  await fabric.configurePrimary(b, eni.b0.address);
});

afterAll(async () => {
  await fabric[Symbol.asyncDispose]();
  const left = (await output("ip", "netns")).split("\n").filter((line) => line.startsWith(name));
  expect(left).toEqual([]);
  expect(await output("ip", "-o", "link")).toBe(linksBefore);
});

function plugged(of: { eni: EniId; mac: Mac; address: Ipv4; instance: InstanceId }): readonly FabricChange[] {
  return [
    { op: "plug", eni: of.eni, instance: of.instance, mac: of.mac },
    { op: "allow", eni: of.eni, address: of.address },
  ];
}

async function configure(node: string, ...lines: readonly string[]): Promise<void> {
  await configureIn(`${name}-${node}`, ...lines);
}

async function hasEth1(): Promise<boolean> {
  return (await statusIn(`${name}-a`, "ip link show eth1")) === 0;
}

async function reaches(node: string, to: string, from: string): Promise<boolean> {
  return reachesFrom(`${name}-${node}`, to, from);
}

/** What the counters grew by. IPv6 is in `ipv6.root.test.ts`. */
async function counted(
  act: () => Promise<void>,
): Promise<Omit<FabricCounters, "ipv6Packets" | "spoofedIpv6">> {
  const before = await fabric.counters();
  await act();
  const after = await fabric.counters();
  return {
    spoofedPackets: after.spoofedPackets - before.spoofedPackets,
    spoofedArp: after.spoofedArp - before.spoofedArp,
  };
}

const NOTHING = { spoofedPackets: 0, spoofedArp: 0 };

describe("openFabric()", () => {
  it("names the namespaces of the nodes, and leaves alone what is there", async () => {
    expect([...fabric.nodes]).toEqual([
      [a, `${name}-a`],
      [b, `${name}-b`],
    ]);
    await expect(openFabric(shape, runProgram)).rejects.toThrow(`${name}-vpc, ${name}-a, ${name}-b`);
    expect(await reaches("a", "10.0.0.253", "10.0.0.10")).toBe(true);
  });

  it("shows a new device down, without address, with the MAC of the ENI and the lowest free name", async () => {
    const link: unknown = JSON.parse(await output("ip", "-n", `${name}-a`, "-j", "addr", "show", "eth1"));
    expect(link).toMatchObject([
      { ifname: "eth1", address: "00:16:3e:00:00:a1", operstate: "DOWN", addr_info: [] },
    ]);
  });

  it("joins nodes, gateways and services, with the MAC of a VPC", async () => {
    expect(
      await counted(async () => {
        expect(await reaches("a", "10.0.1.10", "10.0.0.10")).toBe(true);
        expect(await reaches("b", "10.0.0.10", "10.0.1.10")).toBe(true);
        expect(await reaches("b", "100.100.0.10", "10.0.1.10")).toBe(true);
        expect(await reaches("b", "10.0.0.99", "10.0.1.10")).toBe(false);
      }),
    ).toEqual(NOTHING);
    expect(await output("ip", "-n", `${name}-a`, "neigh", "show", "10.0.0.253")).toContain(
      "ee:ff:ff:ff:ff:ff",
    );
  });

  it("counts IPv6 apart", async () => {
    await configure("a", "link set eth1 up");
    await expect.poll(async () => (await fabric.counters()).ipv6Packets).toBeGreaterThan(0);
  });

  it("routes a second ENI, and within a vSwitch", async () => {
    await configure(
      "a",
      "link set eth1 up",
      "addr replace 10.0.0.11/32 dev eth1",
      "rule add from 10.0.0.11 table 11",
    );
    await configure("a", "route add default via 10.0.0.253 dev eth1 onlink table 11");
    expect(await reaches("b", "10.0.0.11", "10.0.1.10")).toBe(true);
    expect(await reaches("a", "10.0.1.10", "10.0.0.11")).toBe(true);
  });

  it("drops and counts a source that is not assigned", async () => {
    await configure("a", "addr add 10.0.0.50/32 dev lo");
    expect(
      await counted(async () => {
        expect(await reaches("a", "10.0.1.10", "10.0.0.50")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedPackets: 1 });
  });

  it("drops and counts an address that is another ENI's", async () => {
    await configure("a", "rule add from 10.0.0.11 lookup main priority 1");
    expect(
      await counted(async () => {
        expect(await reaches("a", "10.0.1.10", "10.0.0.11")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedPackets: 1 });
    await configure("a", "rule del priority 1");
  });

  it("drops and counts another MAC, of packets and of ARP", async () => {
    await configure("b", "link set eth0 address 00:16:3e:00:00:bb");
    // A permanent neighbour, so that no ARP is sent by the way.
    await configure("b", "neigh replace 10.0.1.253 lladdr ee:ff:ff:ff:ff:ff dev eth0 nud permanent");
    expect(
      await counted(async () => {
        expect(await reaches("b", "10.0.0.10", "10.0.1.10")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedPackets: 1 });
    await configure("b", "neigh del 10.0.1.253 dev eth0");
    const arp = await counted(async () => {
      expect(await reaches("b", "10.0.0.10", "10.0.1.10")).toBe(false);
    });
    expect(arp.spoofedPackets).toBe(0);
    expect(arp.spoofedArp).toBeGreaterThan(0);
    await configure("b", "link set eth0 address 00:16:3e:00:00:b0");
    expect(await reaches("b", "10.0.0.10", "10.0.1.10")).toBe(true);
  });

  it("lets any source through where SourceDestCheck is off", async () => {
    const echo = "ping -n -c 1 -W 1 -I 10.0.0.50 10.0.1.10";
    await fabric.apply([{ op: "check-source", eni: eni.a0.eni, on: false }]);
    expect(await counted(async () => void (await statusIn(`${name}-a`, echo)))).toEqual(NOTHING);
    await fabric.apply([{ op: "check-source", eni: eni.a0.eni, on: true }]);
    expect(await counted(async () => void (await statusIn(`${name}-a`, echo)))).toEqual({
      ...NOTHING,
      spoofedPackets: 1,
    });
  });

  it("takes back an address, twice or not", async () => {
    const revoke: FabricChange = { op: "revoke", eni: eni.a1.eni, address: eni.a1.address };
    await fabric.apply([revoke, revoke]);
    await fabric.apply([revoke]);
    expect(
      await counted(async () => {
        expect(await reaches("b", "10.0.0.11", "10.0.1.10")).toBe(false);
        expect(await reaches("a", "10.0.1.10", "10.0.0.11")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedPackets: 1 });
    await fabric.apply([{ op: "allow", eni: eni.a1.eni, address: eni.a1.address }]);
    expect(await reaches("a", "10.0.1.10", "10.0.0.11")).toBe(true);
  });

  it("unplugs and plugs again, also where the node deleted the device", async () => {
    await fabric.apply([{ op: "unplug", eni: eni.a1.eni }]);
    expect(await hasEth1()).toBe(false);
    await fabric.apply(plugged(eni.a1));
    expect(await hasEth1()).toBe(true);
    await configure("a", "link del eth1");
    await fabric.apply([{ op: "revoke", eni: eni.a1.eni, address: eni.a1.address }]);
    await fabric.apply([{ op: "unplug", eni: eni.a1.eni }, ...plugged(eni.a1)]);
    expect(await hasEth1()).toBe(true);
  });

  it("says what the kernel refused, does the rest, and tries again when asked again", async () => {
    const c = instanceId("i-c");
    const wide = { ...shape, name: `${name}w`, nodes: [...shape.nodes, { instance: c, node: "c" }] };
    await using other = await openFabric(wide, runProgram);
    await output("ip", "netns", "del", `${name}w-c`);
    const lost = { ...eni.a1, instance: c };
    const changes = [...plugged(lost), ...plugged(eni.b0)];
    await expect(other.apply(changes)).rejects.toThrow(/link add name ea1 .* is gone/);
    expect(await output("ip", "-n", `${name}w-b`, "-o", "link")).toContain("00:16:3e:00:00:b0");
    await output("ip", "netns", "add", `${name}w-c`);
    await other.apply(changes);
    expect(await output("ip", "-n", `${name}w-c`, "-o", "link")).toContain("00:16:3e:00:00:a1");
  });
});
