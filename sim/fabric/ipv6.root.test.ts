/** IPv6 in the data plane on the kernel: two nodes, configured by hand, and everything that the VPC must refuse. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Mac } from "../../proto/addr.ts";
import { type Ipv6 } from "../../proto/addr6.ts";
import { type EniId, eniId, type InstanceId, instanceId } from "../../proto/ids.ts";
import { type FabricChange, type FabricCounters } from "../model/fabric.ts";
import {
  cidr,
  cidr6,
  configure as configureIn,
  ip,
  ip6,
  mac,
  output,
  reaches as reachesFrom,
} from "./fabric-lab.ts";
import { type Fabric, openFabric } from "./fabric.ts";
import { runProgram } from "./run.ts";

const name = `tw${process.pid}s`;
const [a, b] = [instanceId("i-a"), instanceId("i-b")];
const GATEWAY = { a: "fd00::1:ffff:ffff:ffff:fff7", b: "fd00::2:ffff:ffff:ffff:fff7" };
const eni = {
  a0: { eni: eniId("eni-a0"), mac: mac("00:16:3e:00:00:a0"), address: ip6("fd00:0:0:1::10"), instance: a },
  a1: { eni: eniId("eni-a1"), mac: mac("00:16:3e:00:00:a1"), address: ip6("fd00:0:0:1::11"), instance: a },
  b0: { eni: eniId("eni-b0"), mac: mac("00:16:3e:00:00:b0"), address: ip6("fd00:0:0:2::10"), instance: b },
};

let fabric: Fabric & AsyncDisposable;

beforeAll(async () => {
  fabric = await openFabric(
    {
      name,
      vSwitches: [cidr("10.0.0.0/24"), cidr("10.0.1.0/24")],
      vSwitches6: [cidr6("fd00:0:0:1::/64"), cidr6("fd00:0:0:2::/64")],
      services: [ip("100.100.0.10")],
      nodes: [
        { instance: a, node: "a" },
        { instance: b, node: "b" },
      ],
    },
    runProgram,
  );
  await fabric.apply(Object.values(eni).flatMap(plugged));
  await fabric.configurePrimary(a, ip("10.0.0.10"), eni.a0.address);
  await fabric.configurePrimary(b, ip("10.0.1.10"), eni.b0.address);
});

afterAll(async () => {
  await fabric[Symbol.asyncDispose]();
  const left = (await output("ip", "netns")).split("\n").filter((line) => line.startsWith(name));
  expect(left).toEqual([]);
});

function plugged(of: { eni: EniId; mac: Mac; address: Ipv6; instance: InstanceId }): readonly FabricChange[] {
  return [
    { op: "plug", eni: of.eni, instance: of.instance, mac: of.mac },
    { op: "allow", eni: of.eni, address: of.address },
  ];
}

function reaches(node: "a" | "b", to: string, from: string): Promise<boolean> {
  return reachesFrom(`${name}-${node}`, to, from);
}

function configure(node: "a" | "b", ...lines: readonly string[]): Promise<void> {
  return configureIn(`${name}-${node}`, ...lines);
}

/** What the counters grew by. Noise comes at any time and is left out. */
async function counted(act: () => Promise<void>): Promise<Omit<FabricCounters, "ipv6Packets">> {
  const before = await fabric.counters();
  await act();
  const after = await fabric.counters();
  return {
    spoofedPackets: after.spoofedPackets - before.spoofedPackets,
    spoofedArp: after.spoofedArp - before.spoofedArp,
    spoofedIpv6: after.spoofedIpv6 - before.spoofedIpv6,
  };
}

/** A packet with a source that no ENI has. */
async function echo(): Promise<void> {
  await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::50");
}

const NOTHING = { spoofedPackets: 0, spoofedArp: 0, spoofedIpv6: 0 };

describe("openFabric() with IPv6", () => {
  it("joins nodes and gateways of two vSwitches, with the MAC of a VPC", async () => {
    expect(
      await counted(async () => {
        expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::10")).toBe(true);
        expect(await reaches("b", "fd00:0:0:1::10", "fd00:0:0:2::10")).toBe(true);
        expect(await reaches("b", GATEWAY.b, "fd00:0:0:2::10")).toBe(true);
        expect(await reaches("b", "fd00:0:0:1::99", "fd00:0:0:2::10")).toBe(false);
      }),
    ).toEqual(NOTHING);
    expect(await output("ip", "-n", `${name}-a`, "-6", "neigh", "show", GATEWAY.a)).toContain(
      "ee:ff:ff:ff:ff:ff",
    );
  });

  it("answers for the addresses of other ENIs, which a guest may take for neighbours, and for no others", async () => {
    const [assigned, free] = ["fd00:0:0:1::10", "fd00:0:0:1::99"];
    await configure("b", `route add ${assigned}/128 dev eth0`, `route add ${free}/128 dev eth0`);
    expect(await reaches("b", assigned, "fd00:0:0:2::10")).toBe(true);
    expect(await reaches("b", free, "fd00:0:0:2::10")).toBe(false);
    expect(await output("ip", "-n", `${name}-b`, "-6", "neigh", "show", assigned)).toContain(
      "ee:ff:ff:ff:ff:ff",
    );
    await configure("b", `route del ${assigned}/128 dev eth0`, `route del ${free}/128 dev eth0`);
  });

  it("answers for the gateway to an ENI that has only its link-local address; the rest is noise", async () => {
    const { ipv6Packets } = await fabric.counters();
    expect(
      await counted(async () => {
        await configure("a", "link set eth1 up", `route add ${GATEWAY.a}/128 dev eth1 table 11`);
        await configure("a", "-6 rule add oif eth1 table 11");
        const addresses = (): Promise<string> =>
          output("ip", "-n", `${name}-a`, "-6", "addr", "show", "dev", "eth1");
        await expect.poll(addresses, { timeout: 5000 }).toMatch(/fe80::.* scope link *\n/);
        expect(await reaches("a", GATEWAY.a, "fe80::216:3eff:fe00:a1%eth1")).toBe(false);
        expect(await output("ip", "-n", `${name}-a`, "-6", "neigh", "show", "dev", "eth1")).toContain(
          `${GATEWAY.a} lladdr ee:ff:ff:ff:ff:ff`,
        );
      }),
    ).toEqual(NOTHING);
    expect((await fabric.counters()).ipv6Packets).toBeGreaterThan(ipv6Packets);
  });

  it("routes a second ENI, and within a vSwitch", async () => {
    await configure(
      "a",
      "addr add fd00:0:0:1::11/128 dev eth1 nodad",
      "-6 rule add from fd00:0:0:1::11 table 12",
      // Not `onlink`: with IPv6 the kernel refuses that where the main table reaches the gateway by another device.
      `route add ${GATEWAY.a}/128 dev eth1 table 12`,
      `route add default via ${GATEWAY.a} dev eth1 table 12`,
    );
    expect(await reaches("b", "fd00:0:0:1::11", "fd00:0:0:2::10")).toBe(true);
    expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::11")).toBe(true);
  });

  it("drops and counts a source that is not assigned", async () => {
    await configure("a", "addr add fd00:0:0:1::50/128 dev lo nodad");
    expect(
      await counted(async () => {
        expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::50")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedIpv6: 1 });
  });

  it("drops and counts an address that is another ENI's", async () => {
    await configure("a", "-6 rule add from fd00:0:0:1::11 lookup main priority 1");
    expect(
      await counted(async () => {
        expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::11")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedIpv6: 1 });
    await configure("a", "-6 rule del priority 1");
  });

  it("drops and counts another MAC, of packets and of neighbour discovery", async () => {
    await configure("b", "link set eth0 address 00:16:3e:00:00:bb");
    // A permanent neighbour, so that nobody is asked by the way.
    await configure("b", `neigh replace ${GATEWAY.b} lladdr ee:ff:ff:ff:ff:ff dev eth0 nud permanent`);
    const packets = await counted(async () => {
      expect(await reaches("b", "fd00:0:0:1::10", "fd00:0:0:2::10")).toBe(false);
    });
    expect(packets).toMatchObject({ spoofedPackets: 0, spoofedArp: 0 });
    expect(packets.spoofedIpv6).toBeGreaterThan(0);
    await configure("b", `neigh del ${GATEWAY.b} dev eth0`);
    const solicited = await counted(async () => {
      expect(await reaches("b", GATEWAY.b, "fd00:0:0:2::10")).toBe(false);
    });
    expect(solicited.spoofedIpv6).toBeGreaterThan(0);
    await configure("b", "link set eth0 address 00:16:3e:00:00:b0");
    await expect.poll(() => reaches("b", "fd00:0:0:1::10", "fd00:0:0:2::10")).toBe(true);
  });

  it("lets any source through where SourceDestCheck is off", async () => {
    await fabric.apply([{ op: "check-source", eni: eni.a0.eni, on: false }]);
    expect(await counted(echo)).toEqual(NOTHING);
    await fabric.apply([{ op: "check-source", eni: eni.a0.eni, on: true }]);
    expect(await counted(echo)).toEqual({ ...NOTHING, spoofedIpv6: 1 });
  });

  it("takes back an address, twice or not, and unplugs", async () => {
    const revoke: FabricChange = { op: "revoke", eni: eni.a1.eni, address: eni.a1.address };
    await fabric.apply([revoke, revoke]);
    await fabric.apply([revoke]);
    expect(
      await counted(async () => {
        expect(await reaches("b", "fd00:0:0:1::11", "fd00:0:0:2::10")).toBe(false);
        expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::11")).toBe(false);
      }),
    ).toEqual({ ...NOTHING, spoofedIpv6: 1 });
    await fabric.apply([{ op: "allow", eni: eni.a1.eni, address: eni.a1.address }]);
    expect(await reaches("a", "fd00:0:0:2::10", "fd00:0:0:1::11")).toBe(true);
    await fabric.apply([{ op: "unplug", eni: eni.a1.eni }, ...plugged(eni.a1)]);
    await fabric.apply([{ op: "unplug", eni: eni.a1.eni }]);
    const sets = await output("ip", "netns", "exec", `${name}-vpc`, "nft", "list", "table", "ip6", "fabric");
    expect(sets).toContain("00:16:3e:00:00:a0");
    expect(sets).not.toContain("00:16:3e:00:00:a1");
  });
});
