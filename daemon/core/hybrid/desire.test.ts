import { describe, expect, it } from "vitest";
import { parseHybridConf } from "./conf.ts";
import { desireOf, overlayFault, ownRecord, podMtu } from "./desire.ts";
import { type HybridNode, type HybridView } from "./network.ts";

const NODES = [
  { name: "idc-1", nodeIP: "10.10.1.11/24", vtepMAC: "0a:00:00:00:00:01", blocks: ["10.245.1.0/24"] },
  { name: "idc-2", nodeIP: "10.10.1.12/24", vtepMAC: "0a:00:00:00:00:02", blocks: ["10.245.2.0/24"] },
  { name: "idc-3", nodeIP: "10.10.2.13/24", vtepMAC: "0a:00:00:00:00:03", blocks: ["10.245.3.0/24"] },
];
const UPLINK = { name: "eth0", ifIndex: 2, mtuBytes: 1500 };

function viewOf(network: object, nodes: readonly object[] = NODES): HybridView {
  const all = {
    podCIDRs: ["10.245.0.0/16"],
    serviceCIDRs: ["172.21.0.0/20"],
    clusterPodCIDRs: ["10.20.0.0/16"],
    ...network,
  };
  const parsed = parseHybridConf(JSON.stringify({ network: all, nodes }));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.view;
}

function own(view: HybridView, name = "idc-1"): HybridNode {
  const record = ownRecord(view, name);
  if (!record.ok) throw new Error(record.fault);
  return record.value;
}

const mtu = (network: object, uplink: number): number =>
  podMtu(viewOf(network).network, own(viewOf(network)), uplink);

const fault = (network: object, change: object): string | undefined => {
  const view = viewOf(network, [{ ...NODES[0], ...change }]);
  return overlayFault(view.network, own(view));
};

describe("desireOf()", () => {
  it("has device, blocks, peers and source NAT of an overlay with direct routing", () => {
    const view = viewOf({
      nonMasqueradeCIDRs: ["192.168.7.0/24"],
      vxlan: { directRouting: true, vni: 7, port: 4789 },
    });
    expect(desireOf(view, own(view), UPLINK)).toEqual({
      desired: {
        complete: true,
        uplink: { name: "eth0", ifIndex: 2 },
        blocks: ["10.245.1.0/24"],
        overlay: { vni: 7, udpPort: 4789, mac: "0a:00:00:00:00:01", mtu: 1450, local: "10.10.1.11" },
        peers: [
          {
            name: "idc-2",
            blocks: ["10.245.2.0/24"],
            nodeIps: { v4: "10.10.1.12" },
            vtepMac: "0a:00:00:00:00:02",
            path: "direct",
          },
          {
            name: "idc-3",
            blocks: ["10.245.3.0/24"],
            nodeIps: { v4: "10.10.2.13" },
            vtepMac: "0a:00:00:00:00:03",
            path: "vxlan",
          },
        ],
        unroutable: [],
        sourceNat: {
          enabled: true,
          exempt: ["10.245.0.0/16", "10.20.0.0/16", "172.21.0.0/20", "192.168.7.0/24"],
          exemptNodes: [],
        },
      },
      unreachable: [],
      fabric: [],
    });
  });

  it("sets nothing up for a node that is not reached, and says why; a refused record disturbs nobody else", () => {
    const view = viewOf({ mode: "Underlay", sourceNAT: false }, [...NODES, { ...NODES[0], name: "idc-4" }]);
    const { desired, unreachable } = desireOf(view, own(view), UPLINK);
    expect(desired.overlay).toBeUndefined();
    expect(desired.peers.map(({ name }) => name)).toEqual(["idc-2"]);
    expect(desired.sourceNat.enabled).toBe(false);
    expect(unreachable.map(({ name }) => name)).toEqual(["idc-4", "idc-3"]);
    // What a refused record says is not known to be its node's.
    expect(desired.unroutable).toEqual([{ name: "idc-3", blocks: ["10.245.3.0/24"] }]);
    expect(unreachable[1]?.reason).toBe(
      "idc-1 (10.10.1.11/24) and idc-3 (10.10.2.13/24) are not known to be on one link; mode is Underlay with fallback None",
    );
    expect(unreachable[0]?.reason).toMatch(
      /blocks\[0\] is 10\.245\.1\.0\/24, which is the block of idc-1 already/,
    );
  });

  it("leaves nodes of the fabric to the routers, and their addresses out of source NAT", () => {
    const capabilities = ["direct", "fabric"];
    const view = viewOf(
      { mode: "Underlay" },
      NODES.map((node) => ({ ...node, capabilities })),
    );
    const { desired, fabric } = desireOf(view, own(view), UPLINK);
    expect(fabric).toEqual(["idc-3"]);
    expect(desired.sourceNat.exemptNodes).toEqual(["10.10.2.13"]);
    expect(desired.peers.map(({ name }) => name)).toEqual(["idc-2"]);
  });

  it("goes on with a record of its own that the view does not have any more", () => {
    const before = own(viewOf({}));
    const { desired } = desireOf(viewOf({}, NODES.slice(1)), before, UPLINK);
    expect(desired.blocks).toEqual(["10.245.1.0/24"]);
    expect(desired.peers.map(({ name }) => name)).toEqual(["idc-2", "idc-3"]);
  });

  it("tunnels over IPv6 where the node has no IPv4 address", () => {
    const v6 = NODES.map((node, at) => ({ ...node, nodeIP: "", nodeIPv6: `fd00:10::${at + 1}/64` }));
    const view = viewOf({}, v6);
    expect(desireOf(view, own(view), UPLINK).desired.overlay).toMatchObject({
      mtu: 1430,
      local: "fd00:10::1",
    });
  });
});

describe("ownRecord()", () => {
  it("says why a node has none", () => {
    expect(ownRecord(viewOf({}), "idc-9")).toEqual({
      ok: false,
      fault: 'no record of this node: no entry of "nodes" has the name idc-9; did you mean idc-1?',
    });
    expect(ownRecord(viewOf({}, []), "idc-9")).toEqual({
      ok: false,
      fault:
        'no record of this node: no entry of "nodes" has the name idc-9; there is no usable record at all',
    });
    const refused = ownRecord(viewOf({}, [{ ...NODES[0], blocks: ["10.9.0.0/24"] }]), "idc-1");
    expect(refused.ok ? "" : refused.fault).toMatch(
      /^the record of this node \(idc-1\) cannot be used: line 1, column \d+: nodes\[0\]\.blocks\[0\] is 10\.9\.0\.0\/24, outside of podCIDRs/,
    );
  });
});

describe("podMtu()", () => {
  it("leaves room for VXLAN where packets may be tunnelled", () => {
    expect(mtu({}, 1500)).toBe(1450);
    expect(mtu({}, 9000)).toBe(8950);
    expect(mtu({ mode: "Underlay" }, 1500)).toBe(1500);
    expect(mtu({ mode: "Underlay", fallback: "VXLAN" }, 1500)).toBe(1450);
    expect(mtu({ vxlan: { mtu: 1400 } }, 9000)).toBe(1400);
  });
});

describe("overlayFault()", () => {
  it("says what a node lacks that the network needs", () => {
    expect(fault({}, {})).toBeUndefined();
    expect(fault({}, { vtepMAC: "" })).toBe("idc-1 has no vtepMAC, and the network uses VXLAN");
    expect(fault({}, { capabilities: ["direct"] })).toBe(
      "idc-1 has not the capability vxlan, and the network uses VXLAN",
    );
    expect(fault({ mode: "Underlay" }, { vtepMAC: "" })).toBeUndefined();
  });
});
