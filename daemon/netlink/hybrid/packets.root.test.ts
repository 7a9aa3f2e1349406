/** Packets between pods, nodes and somebody outside, over VXLAN and by routes, and what they are translated to. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { cidr, type HybridLab, ip4, ip6, labDesired, labPeer, openHybridLab, sh, vtepMac } from "./lab.ts";
import { type LabNetworks, must, openLabNetworks } from "./lab-networks.ts";

const OUTSIDE = "192.0.2.9";
const NUMBERS = [1, 2, 3] as const;

let lab: HybridLab;
let networks: LabNetworks;

beforeAll(async () => {
  lab = openHybridLab();
  networks = await openLabNetworks(lab);
  for (const place of [lab.outside, lab.fabric, ...NUMBERS.map((number) => lab.node(number))]) count(place);
});

afterAll(async () => {
  await networks[Symbol.asyncDispose]();
  lab[Symbol.dispose]();
});

beforeEach(async () => {
  for (const number of NUMBERS) must(await networks.of(number).clean());
});

/** Counts what comes in: with a pod's address, and from nodes. */
function count(namespace: string): void {
  const rules = [
    "add table inet seen",
    "add chain inet seen pre { type filter hook prerouting priority -400; }",
    "add counter inet seen pods",
    "add counter inet seen vxlan",
    "add rule inet seen pre meta iifname { eth0, br10 } ip saddr 10.245.0.0/16 counter name pods",
    "add rule inet seen pre meta iifname eth0 udp dport 8472 counter name vxlan",
  ];
  for (const rule of rules) lab.run(namespace, `nft ${rule}`);
}

/** How many of them came in by the wire while `act` ran. */
function seen(namespace: string, counter: "pods" | "vxlan", act: () => void): number {
  lab.run(namespace, "nft reset counters table inet seen");
  act();
  const text = lab.run(namespace, `nft list counter inet seen ${counter}`);
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

function connections(namespace: string, filter: string): readonly string[] {
  return lab
    .run(namespace, `conntrack -L ${filter}`)
    .split("\n")
    .filter((line) => line !== "");
}

async function applyAll(settings: Parameters<LabNetworks["apply"]>[1] = {}): Promise<void> {
  for (const number of NUMBERS) await networks.apply(number, settings);
}

/** A packet of so many bytes, which nobody may cut. */
function sized(bytes: number): string {
  return `ping -n -c 1 -W 0.5 -M do -s ${bytes - 28} 10.245.3.9`;
}

describe("the overlay", () => {
  it("joins pods and nodes, in one subnet and across", async () => {
    await applyAll();
    const ways = [
      [lab.pod(1), "10.245.2.9"],
      [lab.pod(1), "10.245.3.9"],
      [lab.pod(3), "10.245.1.9"],
      [lab.node(1), "10.245.3.9"],
      [lab.node(3), "10.245.2.9"],
    ] as const;
    for (const [from, to] of ways) {
      const packets = seen(
        from === lab.pod(3) || from === lab.node(3) ? lab.node(3) : lab.node(1),
        "vxlan",
        () => expect(lab.pings(from, to), `${from} to ${to}`).toBe(true),
      );
      expect(packets).toBeGreaterThan(0);
    }
  });

  it("takes packets of the size that pods are given whole, and larger ones from nobody", async () => {
    await applyAll();
    expect(lab.run(lab.pod(1), sized(1450))).toContain("1 received");
    expect(() => lab.run(lab.pod(1), sized(1451))).toThrow();
  });

  it("leaves no entry of connection tracking for VXLAN", async () => {
    await applyAll();
    expect(lab.pings(lab.pod(1), "10.245.2.9")).toBe(true);
    expect(connections(lab.node(1), "-p udp --dport 8472")).toEqual([]);
    // The table is in use: this is seen.
    expect(connections(lab.node(1), "-p icmp --orig-src 10.245.1.9").length).toBeGreaterThan(0);
  });

  it("lets a pod reach nodes with its own node's address, or by the tunnel with its own", async () => {
    await applyAll({ sourceNat: true });
    for (const node of ["10.10.0.2", "10.20.0.3"]) expect(lab.pings(lab.pod(1), node)).toBe(true);
    expect(seen(lab.node(2), "vxlan", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(0);
    await applyAll({ sourceNat: false, ipv6: true });
    for (const node of ["10.10.0.2", "10.20.0.3", "fd00:10::2", "fd00:20::3"])
      expect(lab.pings(lab.pod(1), node), node).toBe(true);
    expect(seen(lab.node(2), "vxlan", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(3);
    expect(seen(lab.node(2), "pods", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(0);
    // The node itself talks to nodes as before.
    expect(seen(lab.node(2), "vxlan", () => lab.pings(lab.node(1), "10.10.0.2"))).toBe(0);
  });

  it("has no connections tracked without source NAT, and VXLAN in no case", async () => {
    await applyAll({ sourceNat: false });
    lab.run(lab.node(1), "conntrack -F");
    for (const to of ["10.245.2.9", "10.10.0.2"]) expect(lab.pings(lab.pod(1), to), to).toBe(true);
    expect(connections(lab.node(1), "")).toEqual([]);
    // A Service whose backend is on a node, as kube-proxy makes it: from then on all is tracked.
    for (const rule of [
      "add table ip services",
      "add chain ip services pre { type nat hook prerouting priority dstnat; }",
      "add rule ip services pre ip daddr 10.96.0.1 dnat to 10.20.0.3",
    ])
      lab.run(lab.node(1), `nft ${rule}`);
    expect(lab.pings(lab.pod(1), "10.96.0.1")).toBe(true);
    expect(connections(lab.node(1), "-p icmp").length).toBeGreaterThan(0);
    await networks.apply(1, { sourceNat: false, mtu: 1440 });
    lab.run(lab.node(1), "conntrack -F");
    expect(lab.pings(lab.pod(1), "10.245.2.9")).toBe(true);
    expect(lab.pings(lab.pod(1), "10.96.0.1")).toBe(true);
    expect(connections(lab.node(1), "-p udp --dport 8472")).toEqual([]);
    lab.run(lab.node(1), "nft delete table ip services");
  });

  it("translates what it cannot redirect", async () => {
    // In the place of a kernel that cannot: nft(8) says what it would say there.
    await using disposables = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), "tw-nft-"));
    disposables.defer(() => rmSync(directory, { recursive: true }));
    const nft = execFileSync("which", ["nft"], { encoding: "utf8" }).trim();
    const script = `#!/bin/sh
case "$*" in *"hook egress"*) echo "Error: Could not process rule: Operation not supported" >&2; exit 1;; esac
exec ${nft} "$@"
`;
    writeFileSync(join(directory, "nft"), script, { mode: 0o755 });
    const path = process.env["PATH"] ?? "";
    process.env["PATH"] = `${directory}:${path}`;
    disposables.defer(() => {
      process.env["PATH"] = path;
    });
    await applyAll({ sourceNat: false });
    for (const node of ["10.10.0.2", "10.20.0.3"]) expect(lab.pings(lab.pod(1), node)).toBe(true);
    expect(seen(lab.node(2), "vxlan", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(0);
    expect(seen(lab.node(2), "pods", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(0);
    expect(await networks.of(1).state()).toMatchObject({ ready: true, failures: [] });
  });

  it("carries IPv6 within IPv4, and both within IPv6", async () => {
    await applyAll({ ipv6: true });
    for (const to of ["10.245.3.9", "fd00:245:3::9"]) expect(lab.pings(lab.pod(1), to), to).toBe(true);
    for (const number of NUMBERS) {
      const desired = labDesired(lab, number, { ipv6: true });
      const subnet = number === 3 ? 20 : 10;
      must(await networks.of(number).apply(withLocal(desired, `fd00:${subnet}::${number}`)));
    }
    for (const to of ["10.245.3.9", "fd00:245:3::9"]) expect(lab.pings(lab.pod(1), to), to).toBe(true);
    expect(lab.run(lab.node(1), "nft list chain ip6 terway_hybrid input")).toContain(
      "udp dport 8472 ip6 saddr != @vteps",
    );
  });

  it("answers for addresses of the own block that nobody has", async () => {
    await applyAll();
    // The first word of its answer comes from the node that has the block.
    const text = failing(() => lab.run(lab.pod(2), "ping -n -c 1 -W 1 10.245.1.77"));
    expect(text).toContain("From 10.245.1.0 icmp_seq=1 Destination Host Unreachable");
  });
});

describe("the underlay", () => {
  it("joins pods by the wire, with their own addresses", async () => {
    await networks.apply(1, { path: "direct", peers: [2] });
    await networks.apply(2, { path: "direct", peers: [1] });
    for (const to of ["10.245.2.9", "10.10.0.2"]) expect(lab.pings(lab.pod(1), to), to).toBe(true);
    expect(lab.pings(lab.node(2), "10.245.1.9")).toBe(true);
    expect(seen(lab.node(2), "pods", () => lab.pings(lab.pod(1), "10.245.2.9"))).toBe(3);
    expect(seen(lab.node(2), "pods", () => lab.pings(lab.pod(1), "10.10.0.2"))).toBe(3);
    expect(seen(lab.node(2), "vxlan", () => lab.pings(lab.pod(1), "10.245.2.9"))).toBe(0);
    expect(sh(`ip -n ${lab.node(1)} -br link show type vxlan`)).toBe("");
  });

  it("routes IPv6 too", async () => {
    await networks.apply(1, { path: "direct", peers: [2], ipv6: true });
    await networks.apply(2, { path: "direct", peers: [1], ipv6: true });
    expect(lab.pings(lab.pod(1), "fd00:245:2::9")).toBe(true);
  });
});

describe("pods of a node that cannot be reached", () => {
  it.each(["vxlan", "direct"] as const)("are unreachable at once (%s)", async (path) => {
    await networks.apply(1, { path, peers: [2], unroutable: [3], ipv6: true });
    await networks.apply(2, { path, peers: [1], unroutable: [3], ipv6: true });
    for (const [to, word] of [
      ["10.245.3.9", "Destination Host Unreachable"],
      ["fd00:245:3::9", "Destination unreachable: No route"],
    ] as const) {
      const packets = seen(lab.fabric, "pods", () => {
        expect(failing(() => lab.run(lab.pod(1), `ping -n -c 1 -W 1 ${to}`))).toContain(word);
      });
      expect(packets).toBe(0);
    }
    for (const to of ["10.245.2.9", "fd00:245:2::9"]) expect(lab.pings(lab.pod(1), to), to).toBe(true);
    // Then they can be reached, and can no longer.
    await networks.apply(1, { path: "vxlan", ipv6: true });
    await networks.apply(3, { path: "vxlan", ipv6: true });
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(true);
    expect(sh(`ip -n ${lab.node(1)} route show 10.245.3.0/24`)).not.toContain("unreachable");
    await networks.apply(1, { path: "vxlan", peers: [2], unroutable: [3], ipv6: true });
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(false);
  });

  it("gives way to what somebody else knows", async () => {
    await networks.apply(1, { path: "direct", peers: [2], unroutable: [3] });
    await networks.apply(3, { path: "direct", peers: [], unroutable: [] });
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(false);
    // A routing daemon has learnt the way, and so have the routers.
    sh(`ip -n ${lab.node(1)} route add 10.245.3.0/24 via 10.10.0.254 proto bird metric 32`);
    sh(`ip -n ${lab.fabric} route add 10.245.3.0/24 via 10.20.0.3`);
    sh(`ip -n ${lab.fabric} route add 10.245.1.0/24 via 10.10.0.1`);
    await networks.apply(1, { path: "direct", peers: [2], unroutable: [3], sourceNat: false });
    expect(lab.pings(lab.pod(1), "10.245.3.9")).toBe(true);
    sh(`ip -n ${lab.node(1)} route delete 10.245.3.0/24 proto bird`);
    for (const number of [1, 3]) sh(`ip -n ${lab.fabric} route delete 10.245.${number}.0/24`);
  });
});

describe("source NAT", () => {
  it.each(["vxlan", "direct"] as const)(
    "gives who is outside the node's address, or not (%s)",
    async (path) => {
      await networks.apply(1, { path, peers: [2] });
      expect(seen(lab.outside, "pods", () => expect(lab.pings(lab.pod(1), OUTSIDE)).toBe(true))).toBe(0);
      expect(
        connections(lab.node(1), `--orig-src 10.245.1.9 --orig-dst ${OUTSIDE} --reply-dst 10.10.0.1`),
      ).toHaveLength(1);
      await networks.apply(1, { path, peers: [2], sourceNat: false });
      // Who is outside has no way back; that the packets come with the pod's address is what was asked for.
      expect(seen(lab.outside, "pods", () => expect(lab.pings(lab.pod(1), OUTSIDE)).toBe(false))).toBe(3);
    },
  );

  it("ends what it had translated when it is switched off", async () => {
    await networks.apply(1);
    lab.run(lab.node(1), "conntrack -F");
    expect(lab.pings(lab.pod(1), OUTSIDE)).toBe(true);
    expect(connections(lab.node(1), `--orig-src 10.245.1.9 --orig-dst ${OUTSIDE}`)).toHaveLength(1);
    await networks.apply(1, { sourceNat: false });
    expect(connections(lab.node(1), `--orig-src 10.245.1.9 --orig-dst ${OUTSIDE}`)).toEqual([]);
  });

  it("does not touch what goes to exempted destinations and nodes", async () => {
    const desired = labDesired(lab, 1, { path: "direct", peers: [2] });
    const { sourceNat } = desired;
    const exempt = [...sourceNat.exempt, cidr("192.0.2.0/28")];
    must(await networks.of(1).apply({ ...desired, sourceNat: { ...sourceNat, exempt } }));
    expect(seen(lab.outside, "pods", () => lab.pings(lab.pod(1), OUTSIDE))).toBe(3);
    const exemptNodes = [ip4(OUTSIDE)];
    must(await networks.of(1).apply({ ...desired, sourceNat: { ...sourceNat, exemptNodes } }));
    expect(seen(lab.outside, "pods", () => lab.pings(lab.pod(1), OUTSIDE))).toBe(3);
    must(await networks.of(1).apply(desired));
    expect(seen(lab.outside, "pods", () => lab.pings(lab.pod(1), OUTSIDE))).toBe(0);
  });

  it("never takes the overlay's port for a pod's UDP", async () => {
    await networks.apply(1);
    const program = `s=require("dgram").createSocket("udp4");s.bind(8472,()=>s.send("x",53,"${OUTSIDE}",()=>s.close()))`;
    lab.run(lab.node(1), "conntrack -F");
    lab.run(lab.pod(1), `${process.execPath} -e ${program}`);
    const [entry = ""] = connections(lab.node(1), `-p udp --orig-src 10.245.1.9 --orig-dst ${OUTSIDE}`);
    const [, original, reply] = /sport=(\d+) .*dport=(\d+)\D*$/.exec(entry.replace(/ mark=.*/, "")) ?? [];
    expect(original).toBe("8472");
    expect(Number(reply)).toBeGreaterThanOrEqual(10_000);
  });
});

describe("the guard of the overlay", () => {
  it("drops and counts VXLAN of who is no peer, until he is one", async () => {
    await networks.apply(1);
    flannelNode(lab.fabric, 9, "10.10.0.254", "br10", [[1, "10.10.0.1"]]);
    expect(lab.pings(lab.fabric, "10.245.1.9", "10.245.9.0")).toBe(false);
    const unknown = (await networks.of(1).state()).counters.unknownSenderPackets;
    expect(unknown).toBe(3);
    const desired = labDesired(lab, 1);
    const ninth = { ...labPeer(9, "vxlan"), nodeIps: { v4: ip4("10.10.0.254") } };
    must(await networks.of(1).apply({ ...desired, peers: [...desired.peers, ninth] }));
    expect(lab.pings(lab.fabric, "10.245.1.9", "10.245.9.0")).toBe(true);
    expect((await networks.of(1).state()).counters.unknownSenderPackets).toBe(unknown);
    sh(`ip -n ${lab.fabric} link delete flannel.1`);
  });
});

describe("the guard of the overlay within the node", () => {
  it("drops what pods send, whatever address of the node it is for", async () => {
    await networks.apply(1);
    for (const address of ["10.10.0.1", "10.245.1.0"]) {
      const program = `s=require("dgram").createSocket("udp4");s.send("x",8472,"${address}",()=>s.close())`;
      lab.run(lab.pod(1), `${process.execPath} -e ${program}`);
    }
    expect((await networks.of(1).state()).counters.unknownSenderPackets).toBe(2);
  });
});

describe("a peer made by hand as flanneld makes it", () => {
  it("exchanges packets with our node in both directions", async () => {
    await networks.apply(1);
    await networks.apply(2);
    flannelNode(lab.node(3), 3, "10.20.0.3", "eth0", [
      [1, "10.10.0.1"],
      [2, "10.10.0.2"],
    ]);
    // As flanneld asks for on its nodes.
    lab.run(lab.node(3), "sysctl -qw net.ipv4.ip_forward=1");
    const ways = [
      [lab.pod(1), "10.245.3.9"],
      [lab.pod(3), "10.245.1.9"],
      [lab.node(1), "10.245.3.9"],
      [lab.node(3), "10.245.1.9"],
      [lab.pod(3), "10.245.2.9"],
    ] as const;
    for (const [from, to] of ways) expect(lab.pings(from, to), `${from} to ${to}`).toBe(true);
    expect(lab.run(lab.pod(3), "ping -n -c 1 -W 0.5 -M do -s 1422 10.245.1.9")).toContain("1 received");
    sh(`ip -n ${lab.node(3)} link delete flannel.1`);
    lab.run(lab.node(3), "sysctl -qw net.ipv4.ip_forward=0");
  });
});

/** The commands are those of section "VXLAN" of Flannel's backends: one device, and three objects for each peer. */
function flannelNode(
  namespace: string,
  number: number,
  address: string,
  uplink: string,
  peers: readonly (readonly [number: number, address: string])[],
): void {
  const run = (command: string): string => sh(`ip -n ${namespace} ${command}`);
  run(
    `link add flannel.1 address ${vtepMac(number)} mtu 1450 type vxlan id 1 dev ${uplink} local ${address} dstport 8472 nolearning`,
  );
  run(`address add 10.245.${number}.0/32 dev flannel.1`);
  run("link set flannel.1 up");
  for (const [peer, vtep] of peers) {
    run(`neighbour replace 10.245.${peer}.0 lladdr ${vtepMac(peer)} dev flannel.1 nud permanent`);
    sh(`ip netns exec ${namespace} bridge fdb append ${vtepMac(peer)} dev flannel.1 dst ${vtep}`);
    run(`route replace 10.245.${peer}.0/24 via 10.245.${peer}.0 dev flannel.1 onlink`);
  }
}

function withLocal(desired: HybridDesired, local: string): HybridDesired {
  const { overlay } = desired;
  if (overlay === undefined) throw new Error("no overlay");
  return { ...desired, overlay: { ...overlay, mtu: 1430, local: ip6(local) } };
}

/** What a command that fails writes. */
function failing(act: () => string): string {
  try {
    act();
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
  }
  throw new Error("it did not fail");
}
