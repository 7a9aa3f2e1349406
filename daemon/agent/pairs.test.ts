/** Pods with IPv6: what the lease keeps, what the kernel is asked for, what the runtime is told. */
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { parseIpv6 } from "../../proto/addr6.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { parseCidr6 } from "../../proto/cidr6.ts";
import { ok } from "../../proto/result.ts";
import { type LeaseRow } from "../store/schema.ts";
import { eniLink } from "./datapath.ts";
import { podLink } from "./leases.ts";
import { recordsOf } from "./persist.ts";
import { openPodsLab, podCall } from "./pods-lab.ts";
import { openLab } from "./test-lab.ts";

const LEASE: LeaseRow = {
  network: "terway",
  containerId: "a",
  ifName: "eth0",
  address: "10.0.0.10",
  address6: "fd00::10",
  stack: "dual",
  slot: 0,
  state: "done",
  hostName: "tw0",
  netns: "/run/netns/a",
  pod: "",
  hostMac: "02:00:00:00:00:01",
  podMac: "02:00:00:00:00:02",
};

describe("openPods() with pairs", () => {
  it("answers with both addresses and two default routes, IPv4 first", async () => {
    const { pods, links, links6, addresses } = openPodsLab([], "dual");
    expect(await pods.add(podCall("a"))).toMatchObject({
      value: {
        result: {
          ips: [
            { address: "10.0.0.10/32", gateway: "169.254.1.1", interface: 1 },
            { address: "fd00::10/128", gateway: "fe80::1", interface: 1 },
          ],
          routes: [
            { dst: "0.0.0.0/0", gw: "169.254.1.1" },
            { dst: "::/0", gw: "fe80::1" },
          ],
        },
      },
    });
    expect([[...links.values()], [...links6.values()]]).toEqual([["10.0.0.10"], ["fd00::10"]]);
    expect(addresses()).toEqual(["used", "idle", "used", "idle"]);
    expect(await pods.del(podCall("a"))).toEqual(ok(undefined));
    expect([links.size, links6.size, addresses()]).toEqual([0, 0, ["idle", "idle", "idle", "idle"]]);
  });

  it("gives the IPv6 address alone where ip_stack is ipv6; the other half stays with the pod, unused", async () => {
    const { pods, links, links6, addresses } = openPodsLab([], "ipv6");
    const added = await pods.add(podCall("a"));
    expect(added.ok && added.value.result.ips).toEqual([
      { address: "fd00::10/128", gateway: "fe80::1", interface: 1 },
    ]);
    expect(added.ok && added.value.result.routes).toEqual([{ dst: "::/0", gw: "fe80::1" }]);
    expect([links.size, links6.size, addresses()]).toEqual([0, 1, ["used", "idle", "used", "idle"]]);
    expect(await pods.checkAll()).toEqual([]);
    // Garbage collection knows the pod by the address that it has.
    expect((await pods.gc({ network: "terway", valid: undefined })).ok).toBe(true);
    expect(addresses()).toEqual(["used", "idle", "used", "idle"]);
  });
});

function addressesOf(lease: LeaseRow): unknown {
  return podLink(lease, { onEnis: true }).addresses;
}

describe("podLink()", () => {
  it("has what the lease says, whatever ip_stack is now", () => {
    const [v4, v6] = [parseIpv4("10.0.0.10"), parseIpv6("fd00::10")];
    expect(addressesOf(LEASE)).toEqual({ v4, v6 });
    expect(addressesOf({ ...LEASE, stack: "ipv6" })).toEqual({ v6 });
    expect(addressesOf({ ...LEASE, stack: "ipv4", address6: "" })).toEqual({ v4 });
    expect(() => addressesOf({ ...LEASE, address6: "" })).toThrow('the addresses "10.0.0.10", ""');
  });
});

describe("recordsOf()", () => {
  const stored = { enis: [], meta: {}, cooldowns: [{ address: "fd00::7", untilMs: 5 }] };

  it("reads pairs and cooldowns of both families back, and names what it cannot read", () => {
    const bad = { ...LEASE, containerId: "b", address6: "fd00::g" };
    expect(recordsOf({ ...stored, leases: [LEASE, bad] }, "t")).toMatchObject({
      leases: [{ address: "10.0.0.10", address6: "fd00::10", slot: 0 }],
      cooldowns: [{ address: "fd00::7", untilMs: 5 }],
      unreadable: ["lease of b: fd00::g is no IPv6 address"],
    });
  });
});

describe("eniLink()", () => {
  it("has IPv6 where pods get it, and where an address of it is still there", () => {
    const view = { vpc: "v", zone: "z", cidr: parseCidr("10.0.0.0/24"), cidr6: parseCidr6("fd00::/64") };
    const { cidr, cidr6 } = view;
    if (cidr === undefined || cidr6 === undefined) throw new Error("networks");
    const v6Of = (stack: "ipv4" | "dual", of: "ipv4" | "dual"): unknown => {
      const pool = openLab(of).loop.pool();
      const eni = pool.enis.get(0);
      const now = { ...pool, settings: { ...pool.settings, ipStack: stack } };
      if (eni === undefined) throw new Error("no ENI");
      const device = { ifIndex: 7, mtu: 1500 };
      return eniLink(eni, device, {
        pool: () => now,
        vSwitchOf: (id) => ({ id, vpc: "v", zone: "z", cidr, cidr6, availableAddresses: 1 }),
      })?.v6;
    };
    const v6 = { gateway: "fd00::ffff:ffff:ffff:fff7" };
    expect([v6Of("ipv4", "ipv4"), v6Of("dual", "ipv4"), v6Of("ipv4", "dual")]).toEqual([undefined, v6, v6]);
  });
});
