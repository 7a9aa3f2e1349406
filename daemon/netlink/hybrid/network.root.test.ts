/** What of the network is in the kernel, and what is left alone. Packets are in packets.root.test.ts, damage in repair.root.test.ts. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { cidr, type HybridLab, labDesired, labPeer, openHybridLab, sh } from "./lab.ts";
import { type LabNetworks, must, openLabNetworks } from "./lab-networks.ts";

let lab: HybridLab;
let networks: LabNetworks;
let before: string;

beforeEach(async () => {
  lab = openHybridLab();
  before = lab.snapshot(1);
  networks = await openLabNetworks(lab, [1]);
});

afterEach(async () => {
  await networks[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

function ours(): readonly string[] {
  const node = lab.node(1);
  return [
    sh(`ip -n ${node} route show proto 84`),
    sh(`ip -n ${node} -6 route show proto 84`),
    sh(`ip -n ${node} neighbour show nud permanent`),
    sh(`ip netns exec ${node} bridge fdb show dev terway.1`).split("\n").sort().join("\n"),
    sh(`ip netns exec ${node} nft list set ip terway_hybrid vteps`),
  ].map((text) => text.replaceAll(/[ \t]+$/gm, ""));
}

describe("openHybridNetwork()", () => {
  it("makes the device as Flannel's vxlan backend does", async () => {
    await networks.apply(1);
    const [link]: readonly {
      readonly mtu: number;
      readonly address: string;
      readonly group: string;
      readonly linkinfo: {
        readonly info_kind: string;
        readonly info_data: Readonly<Record<string, unknown>>;
      };
    }[] = JSON.parse(sh(`ip -n ${lab.node(1)} -d -j link show terway.1`));
    expect(link).toMatchObject({ mtu: 1450, address: "0a:58:00:00:00:01", group: "21507" });
    expect(link?.linkinfo).toMatchObject({
      info_kind: "vxlan",
      info_data: {
        id: 1,
        local: "10.10.0.1",
        link: "eth0",
        port: 8472,
        learning: false,
        udp_csum: true,
        ttl: 0,
      },
    });
    expect(link?.linkinfo.info_data).not.toHaveProperty("group");
    expect(sh(`ip -n ${lab.node(1)} -br address show dev terway.1`)).toContain("10.245.1.0/32");
  });

  it("has neighbour, forwarding entry and route of each peer, and an end for the own block", async () => {
    await networks.apply(1, { ipv6: true });
    expect(ours()).toEqual([
      [
        "unreachable 10.245.1.0/24 metric 4278198272",
        "10.245.2.0/24 via 10.245.2.0 dev terway.1 onlink",
        "10.245.3.0/24 via 10.245.3.0 dev terway.1 onlink",
        "",
      ].join("\n"),
      [
        "unreachable fd00:245:1::/64 dev lo metric 4278198272 pref medium",
        "fd00:245:2::/64 via fd00:245:2:: dev terway.1 metric 1024 onlink pref medium",
        "fd00:245:3::/64 via fd00:245:3:: dev terway.1 metric 1024 onlink pref medium",
        "",
      ].join("\n"),
      expect.stringContaining("10.245.2.0 dev terway.1 lladdr 0a:58:00:00:00:02 PERMANENT proto 84"),
      [
        "",
        "0a:58:00:00:00:02 dst 10.10.0.2 self permanent",
        "0a:58:00:00:00:03 dst 10.20.0.3 self permanent",
      ].join("\n"),
      expect.stringContaining("10.10.0.2, 10.20.0.3"),
    ]);
  });

  it("does nothing twice, and finds nothing to put right in what it made", async () => {
    await networks.apply(1, { ipv6: true });
    const { messages } = (await networks.of(1).state()).counters;
    await networks.apply(1, { ipv6: true });
    await networks.apply(1, { ipv6: true, mtu: 1400 });
    const after = (await networks.of(1).state()).counters;
    expect(after).toMatchObject({ messages, repaired: {}, removed: 0 });
    expect(after.looks).toBeGreaterThanOrEqual(2);
  });

  it("takes over what an agent before it left, and takes nothing away before it knows all peers", async () => {
    await networks.apply(1);
    const whole = ours();
    await networks[Symbol.asyncDispose]();
    networks = await openLabNetworks(lab, [1]);
    await networks.apply(1, { peers: [2], complete: false });
    expect(ours()).toEqual(whole);
    expect((await networks.of(1).state()).counters.messages).toBe(0);
    await networks.apply(1, { peers: [2] });
    const [routes = "", , neighbours = "", fdb = "", vteps = ""] = ours();
    for (const text of [routes, neighbours, fdb, vteps]) {
      expect(text).not.toMatch(/10\.245\.3\.0|10\.20\.0\.3/);
      expect(text).toMatch(/10\.245\.2\.0|10\.10\.0\.2/);
    }
  });

  it("converges from any network to any other, and back to nothing", async () => {
    const kinds: readonly HybridDesired[] = [
      labDesired(lab, 1),
      labDesired(lab, 1, { path: "direct", peers: [2] }),
      labDesired(lab, 1, { ipv6: true, sourceNat: false }),
      labDesired(lab, 1, { peers: [3] }),
      { ...labDesired(lab, 1, { peers: [] }), peers: [labPeer(2, "direct"), labPeer(3, "vxlan")] },
      { ...labDesired(lab, 1), blocks: [cidr("10.245.7.0/24")] },
      vniOf(labDesired(lab, 1), 77),
    ];
    const fresh: string[] = [];
    for (const desired of kinds) {
      must(await networks.of(1).apply(desired));
      fresh.push(lab.snapshot(1));
      must(await networks.of(1).clean());
      expect(lab.snapshot(1)).toBe(before);
    }
    // Each after each other: eight steps through pairs that are all different.
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 0],
      [3, 4],
      [4, 5],
      [5, 6],
      [6, 3],
      [1, 0],
    ] as const) {
      for (const index of [from, to]) {
        const desired = kinds[index];
        if (desired !== undefined) must(await networks.of(1).apply(desired));
      }
      expect(unnumbered(lab.snapshot(1)), `${from} to ${to}`).toBe(unnumbered(fresh[to] ?? ""));
    }
    must(await networks.of(1).clean());
    expect(lab.snapshot(1)).toBe(before);
  });

  it("refuses to stand beside flanneld, and says whose the device is", async () => {
    const node = lab.node(1);
    sh(`ip -n ${node} link add flannel.1 type vxlan id 1 local 10.10.0.1 dev eth0 dstport 8472 nolearning`);
    const there = lab.snapshot(1);
    const refused = await networks.of(1).apply(labDesired(lab, 1));
    expect(refused).toEqual({
      ok: false,
      fault: {
        kind: "foreign-device",
        device: "flannel.1",
        owner: "flanneld",
        reason: "it has VNI 1 on UDP 8472, which the overlay is to have (VNI 1)",
      },
    });
    expect(await networks.of(1).state()).toMatchObject({ ready: false, fault: { kind: "foreign-device" } });
    expect(lab.snapshot(1)).toBe(there);
    sh(`ip -n ${node} link delete flannel.1`);
    await networks.apply(1);
  });

  it("leaves a device alone that has our name and is not ours", async () => {
    sh(`ip -n ${lab.node(1)} link add terway.1 type bridge`);
    const there = lab.snapshot(1);
    const refused = await networks.of(1).apply(labDesired(lab, 1));
    expect(refused).toMatchObject({ ok: false, fault: { kind: "foreign-device", device: "terway.1" } });
    expect(lab.snapshot(1)).toBe(there);
  });

  it("leaves routes of others alone, and only the peer that they keep out stands back", async () => {
    const node = lab.node(1);
    sh(`ip -n ${node} route add 10.245.2.0/24 via 10.10.0.254 proto static`);
    sh(`ip -n ${node} route add 10.99.0.0/16 via 10.10.0.254 proto 84 table 7400`);
    sh(`ip -n ${node} neighbour add 10.10.0.77 lladdr 0a:00:00:00:00:77 dev eth0 nud permanent`);
    must(await networks.of(1).apply(labDesired(lab, 1)));
    const { failures, ready } = await networks.of(1).state();
    expect({ failures, ready }).toEqual({
      ready: true,
      failures: [
        {
          peer: "node2",
          fault: {
            kind: "kernel",
            op: "make route 10.245.2.0/24 via 10.245.2.0 dev terway.1 onlink",
            errno: "EEXIST",
            extAck: "a route of somebody else has its place",
          },
        },
      ],
    });
    expect(sh(`ip -n ${node} route show 10.245.2.0/24`)).toContain("via 10.10.0.254 dev eth0 proto static");
    expect(sh(`ip -n ${node} route show 10.245.3.0/24`)).toContain("dev terway.1");
    must(await networks.of(1).clean());
    expect(sh(`ip -n ${node} route show 10.245.2.0/24`)).toContain("proto static");
    expect(sh(`ip -n ${node} route show table 7400`)).toContain("10.99.0.0/16");
    expect(sh(`ip -n ${node} neighbour show dev eth0`)).toContain("10.10.0.77");
  });

  it("says what is missing where there is no uplink", async () => {
    const desired = { ...labDesired(lab, 1), uplink: { name: "eth7", ifIndex: 77 } };
    expect(await networks.of(1).apply(desired)).toEqual({
      ok: false,
      fault: { kind: "kernel", op: "look for the uplink eth7", errno: "ENODEV" },
    });
  });

  it("switches forwarding of the uplink on, and off again where it was off", async () => {
    const forwarding = (): string =>
      lab
        .run(lab.node(1), "sysctl -n net.ipv4.conf.eth0.forwarding net.ipv6.conf.eth0.force_forwarding")
        .replaceAll(/\s+/g, " ")
        .trim();
    expect(forwarding()).toBe("0 0");
    await networks.apply(1, { ipv6: true });
    expect(forwarding()).toBe("1 1");
    // Somebody else takes everything away later.
    await networks[Symbol.asyncDispose]();
    networks = await openLabNetworks(lab, [1]);
    must(await networks.of(1).clean());
    expect(forwarding()).toBe("0 0");
    lab.run(lab.node(1), "sysctl -qw net.ipv4.conf.eth0.forwarding=1 net.ipv6.conf.eth0.force_forwarding=1");
    await networks.apply(1, { ipv6: true });
    must(await networks.of(1).clean());
    expect(forwarding()).toBe("1 1");
  });
});

function vniOf(desired: HybridDesired, vni: number): HybridDesired {
  const { overlay, ...rest } = desired;
  return overlay === undefined ? rest : { ...rest, overlay: { ...overlay, vni } };
}

/** Indexes and the order of what is listed in the order of making are no difference. */
function unnumbered(snapshot: string): string {
  return (
    snapshot
      .replaceAll(/^\d+: /gm, "")
      // A version: it tells indexes apart.
      .replaceAll(/elements = \{ 0x[0-9a-f]{8} \}/g, "")
      .replaceAll(/elements = \{[^}]*\}/g, (set) =>
        (set.match(/[\d.]+|[0-9a-f:]{4,}/g) ?? []).sort().join(" "),
      )
      .split("\n")
      .sort()
      .join("\n")
  );
}
