import { describe, expect, it } from "vitest";
import { type Arbitrary, array, assert, constantFrom, integer, property, record } from "fast-check";
import { type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { parseIp, parseIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr, parseIpCidr } from "../../../proto/cidr6.ts";
import { type HybridDesired, type HybridDevices, type HybridPeer } from "./desired.ts";
import { type NftFacts, nftStructures } from "./nft-text.ts";
import { changesOf, describeOverlay, planHybrid } from "./plan.ts";
import { describeHybridThing, type HybridThing, keyOf } from "./things.ts";

const DEVICES: HybridDevices = {
  overlay: { name: "terway.1", ifIndex: 9 },
  uplink: { name: "eth0", ifIndex: 2 },
};

const OVERLAY: HybridDesired = {
  complete: true,
  uplink: DEVICES.uplink,
  blocks: [cidr("10.245.1.0/24"), cidr("fd00:245:1::/64")],
  overlay: { vni: 1, udpPort: 8472, mac: mac("0a:58:00:00:00:01"), mtu: 1450, local: ip("10.10.0.1") },
  peers: [peer(2, "vxlan"), peer(3, "direct")],
  unroutable: [peer(4, "direct")],
  sourceNat: { enabled: true, exempt: [cidr("10.245.0.0/16"), cidr("fd00:245::/32")], exemptNodes: [] },
};

const { overlay: _, ...WITHOUT_OVERLAY } = OVERLAY;
const UNDERLAY: HybridDesired = {
  ...WITHOUT_OVERLAY,
  blocks: [cidr("10.245.1.0/24")],
  peers: [peer(2, "direct")],
  sourceNat: { enabled: true, exempt: [cidr("10.245.0.0/16")], exemptNodes: [ip("10.20.0.3")] },
};

/** On a node where nobody else has connections tracked, and where packets can be redirected. */
function golden(
  desired: HybridDesired,
  devices: HybridDevices,
  facts: NftFacts = { tracked: false },
): string {
  const { things } = planHybrid(desired, devices);
  return [
    ...(desired.overlay ? [describeOverlay(desired.overlay, devices.uplink)] : []),
    ...[...things.values()].map(describeHybridThing),
    ...nftStructures(desired, facts).map(({ text }) => `\n${text.trimEnd()}`),
    "",
  ].join("\n");
}

describe("planHybrid()", () => {
  it("makes what Flannel's vxlan backend makes, and a route to who is on the wire", async () => {
    await expect(golden(OVERLAY, DEVICES)).toMatchFileSnapshot("./golden/overlay.txt");
  });

  it("makes routes alone in the underlay", async () => {
    await expect(golden(UNDERLAY, { uplink: DEVICES.uplink })).toMatchFileSnapshot("./golden/underlay.txt");
  });

  it("redirects what goes to nodes behind the tunnel where source NAT is off, and tracks nothing", async () => {
    await expect(
      golden(withoutSourceNat(OVERLAY), DEVICES, { tracked: false, redirect: DEVICES }),
    ).toMatchFileSnapshot("./golden/overlay-no-source-nat.txt");
  });

  it("translates only that where it cannot be redirected", async () => {
    await expect(golden(withoutSourceNat(OVERLAY), DEVICES)).toMatchFileSnapshot(
      "./golden/overlay-translated.txt",
    );
  });

  it("refuses what of a peer cannot be, and plans all else", () => {
    const { vtepMac: __, ...macless } = peer(4, "vxlan");
    const peers: readonly HybridPeer[] = [
      peer(2, "vxlan"),
      { ...peer(5, "vxlan"), blocks: [cidr("10.245.2.0/24"), cidr("10.245.5.0/24")] },
      { ...peer(6, "vxlan"), vtepMac: mac("0a:58:00:00:00:02") },
      { ...peer(7, "vxlan"), vtepMac: mac("0a:58:00:00:00:01") },
      { ...peer(8, "vxlan"), nodeIps: { v6: ip6("fd00:10::8") } },
      { ...peer(9, "direct"), nodeIps: { v6: ip6("fd00:10::9") }, blocks: [cidr("10.245.9.0/24")] },
      { ...peer(10, "direct"), blocks: [cidr("10.245.1.0/24")] },
      macless,
    ];
    const { things, refused } = planHybrid({ ...OVERLAY, peers }, DEVICES);
    expect(refused).toEqual([
      { peer: "node5", reason: "10.245.2.0/24 is node2's already" },
      { peer: "node6", reason: "0a:58:00:00:00:02 is node2's already" },
      { peer: "node7", reason: "its VTEP MAC 0a:58:00:00:00:01 is this node's own" },
      { peer: "node8", reason: "it has no address of the family of this node's VTEP 10.10.0.1" },
      { peer: "node9", reason: "it has no node address of the family of 10.245.9.0/24" },
      { peer: "node10", reason: "10.245.1.0/24 is this node's already" },
      { peer: "node4", reason: "its path is VXLAN, and it has no VTEP MAC" },
    ]);
    const routes = [...things.values()].flatMap((thing) =>
      thing.kind === "route" && thing.type === undefined ? [thing.to] : [],
    );
    expect(routes).toEqual(["10.245.2.0/24", "fd00:245:2::/64", "10.245.5.0/24"]);
    // What is sent to blocks that have no way is refused here; a block that another peer has goes by its way.
    const ends = [...things.values()].flatMap((thing) =>
      thing.kind === "route" && thing.type === "unreachable" ? [thing.to] : [],
    );
    const families = [1, 4, 6, 7, 8].flatMap((number) => [
      `10.245.${number}.0/24`,
      `fd00:245:${number}::/64`,
    ]);
    expect(ends).toEqual([...families, "10.245.9.0/24"]);
    const { overlay: ___, ...none } = OVERLAY;
    expect(planHybrid(none, { uplink: DEVICES.uplink }).refused).toEqual([
      { peer: "node2", reason: "its path is VXLAN, and this node has no overlay" },
    ]);
  });
});

describe("planHybrid() after another plan", () => {
  it("is as if there had been none", () => {
    assert(
      property(anyDesired(), anyDesired(), (first, second) => {
        const after = planHybrid(second, DEVICES, planHybrid(first, DEVICES));
        const { things, refused } = planHybrid(second, DEVICES);
        expect([...after.things]).toEqual([...things]);
        expect(after.refused).toEqual(refused);
      }),
    );
  });

  it("forgets what was planned for another device", () => {
    const moved = { ...DEVICES, overlay: { name: "terway.1", ifIndex: 10 } };
    const after = planHybrid(OVERLAY, moved, planHybrid(OVERLAY, DEVICES));
    expect([...after.things]).toEqual([...planHybrid(OVERLAY, moved).things]);
  });
});

describe("changesOf()", () => {
  it("makes any kernel what is wanted, and does nothing twice", () => {
    assert(
      property(anyDesired(), anyDesired(), (first, second) => {
        const kernel = new Map(planHybrid(first, DEVICES).things);
        const wanted = planHybrid(second, DEVICES).things;
        carryOut(kernel, changesOf(wanted, kernel, true));
        expect(sorted(kernel)).toEqual(sorted(wanted));
        expect(changesOf(wanted, kernel, true)).toEqual([]);
      }),
    );
  });

  it("touches the objects of the peer that changed and no others", () => {
    const changed = { ...peer(2, "vxlan"), vtepMac: mac("0a:58:00:00:00:77") };
    const wanted = planHybrid({ ...OVERLAY, peers: [changed, peer(3, "direct")] }, DEVICES).things;
    const changes = changesOf(wanted, planHybrid(OVERLAY, DEVICES).things, true);
    expect(changes.map(({ kind, thing }) => `${kind} ${describeHybridThing(thing)}`)).toEqual([
      "replace neighbour 10.245.2.0 dev terway.1 lladdr 0a:58:00:00:00:77 nud permanent",
      "add fdb 0a:58:00:00:00:77 dev terway.1 dst 10.10.0.2 self permanent",
      "replace neighbour fd00:245:2:: dev terway.1 lladdr 0a:58:00:00:00:77 nud permanent",
      "remove fdb 0a:58:00:00:00:02 dev terway.1 dst 10.10.0.2 self permanent",
    ]);
  });

  it("takes nothing away before all is known", () => {
    const actual = planHybrid(OVERLAY, DEVICES).things;
    const wanted = planHybrid({ ...OVERLAY, peers: [] }, DEVICES).things;
    expect(changesOf(wanted, actual, false)).toEqual([]);
    expect(changesOf(wanted, actual, true).map(({ kind, thing }) => `${kind} ${keyOf(thing)}`)).toEqual([
      "remove route 10.245.2.0/24 0",
      "remove route fd00:245:2::/64 1024",
      "remove route 10.245.3.0/24 0",
      "remove route fd00:245:3::/64 1024",
      "remove fdb 0a:58:00:00:00:02",
      "remove neighbour 10.245.2.0",
      "remove neighbour fd00:245:2::",
      "remove element ip vteps 10.10.0.2",
      "remove element ip6 vteps fd00:10::2",
      "remove element ip vteps 10.10.0.3",
      "remove element ip6 vteps fd00:10::3",
      "remove element ip direct 10.10.0.3",
      "remove element ip6 direct fd00:10::3",
    ]);
  });
});

describe("nftStructures()", () => {
  it("has the kernel look at no packet in an underlay without source NAT", () => {
    const [structure, ...others] = nftStructures(withoutSourceNat(UNDERLAY), { tracked: true });
    expect(others).toEqual([]);
    expect(structure?.rules).toEqual({});
    expect(structure?.text).not.toContain("hook");
  });

  it("keeps VXLAN out of the tracking of somebody else", () => {
    const off = withoutSourceNat(OVERLAY);
    const chains = [false, true].map((tracked) =>
      nftStructures(off, { tracked, redirect: DEVICES }).map(({ family, rules }) => ({ family, rules })),
    );
    expect(chains).toEqual([
      [
        { family: "netdev", rules: { egress: 2 } },
        { family: "ip", rules: { input: 1 } },
        { family: "ip6", rules: {} },
      ],
      [
        { family: "netdev", rules: { egress: 2 } },
        { family: "ip", rules: { prerouting: 1, output: 1, input: 1 } },
        { family: "ip6", rules: {} },
      ],
    ]);
  });

  it("loads the redirection anew for another device of the same name", () => {
    const off = withoutSourceNat(OVERLAY);
    const [before, after] = [9, 10].map(
      (ifIndex) =>
        nftStructures(off, {
          tracked: false,
          redirect: { ...DEVICES, overlay: { name: "terway.1", ifIndex } },
        })[0],
    );
    expect(before?.family).toBe("netdev");
    expect(after?.version).not.toBe(before?.version);
  });

  it("gives another text another version, and the same text the same", () => {
    const versions = [OVERLAY, UNDERLAY, { ...OVERLAY, peers: [] }].map((desired) =>
      nftStructures(desired, { tracked: false }).map(({ family, version }) => `${family} ${version}`),
    );
    expect(versions[0]).toEqual(versions[2]);
    expect(versions[0]?.[0]).not.toBe(versions[1]?.[0]);
  });

  it("never gives pods' UDP the overlay's port for a source", () => {
    const ports = [8472, 4789, 1, 20_000, 50_000, 65_535].map((udpPort) => {
      const overlay = { vni: 1, udpPort, mac: mac("0a:58:00:00:00:01"), mtu: 1450, local: ip("10.10.0.1") };
      const [structure] = nftStructures({ ...OVERLAY, overlay }, { tracked: false });
      return /to :(\S+)/.exec(structure?.text ?? "")?.[1];
    });
    expect(ports).toEqual([
      "10000-65535",
      "10000-65535",
      "10000-65535",
      "20001-65535",
      "1024-49999",
      "1024-65534",
    ]);
  });
});

function carryOut(kernel: Map<string, HybridThing>, changes: ReturnType<typeof changesOf>): void {
  for (const { kind, thing } of changes) {
    const key = keyOf(thing);
    expect(kernel.has(key)).toBe(kind !== "add");
    if (kind === "remove") kernel.delete(key);
    else kernel.set(key, thing);
  }
}

function sorted(things: ReadonlyMap<string, HybridThing>): readonly string[] {
  return [...things.values()].map(describeHybridThing).sort();
}

/** Few numbers, so that blocks, MACs and addresses meet. */
function anyDesired(): Arbitrary<HybridDesired> {
  const few = integer({ min: 2, max: 6 });
  const anyPeer = record({
    name: few,
    block: few,
    host: few,
    mac: few,
    path: constantFrom("direct", "vxlan"),
  });
  return array(anyPeer, { maxLength: 8 }).map((peers) => ({
    ...OVERLAY,
    peers: peers.map(({ name, block, host, mac: last, path }) => ({
      ...peer(host, path),
      name: `node${name}`,
      blocks: [cidr(`10.245.${block}.0/24`), cidr(`fd00:245:${block}::/64`)],
      vtepMac: mac(`0a:58:00:00:00:0${last}`),
    })),
  }));
}

function withoutSourceNat(desired: HybridDesired): HybridDesired {
  return { ...desired, sourceNat: { ...desired.sourceNat, enabled: false } };
}

function peer(number: number, path: HybridPeer["path"]): HybridPeer {
  return {
    name: `node${number}`,
    blocks: [cidr(`10.245.${number}.0/24`), cidr(`fd00:245:${number}::/64`)],
    nodeIps: { v4: ip4(`10.10.0.${number}`), v6: ip6(`fd00:10::${number}`) },
    vtepMac: mac(`0a:58:00:00:00:${number.toString().padStart(2, "0")}`),
    path,
  };
}

function known<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("not what it should be");
  return value;
}

function cidr(text: string): IpCidr {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
}

function ip(text: string): ReturnType<typeof ip4> | ReturnType<typeof ip6> {
  return known(parseIp(text));
}

function ip4(text: string): NonNullable<ReturnType<typeof parseIpv4>> {
  return known(parseIpv4(text));
}

function ip6(text: string): NonNullable<ReturnType<typeof parseIpv6>> {
  return known(parseIpv6(text));
}

function mac(text: string): Mac {
  return known(parseMac(text));
}
