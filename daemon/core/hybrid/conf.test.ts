import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HybridConfParsed, parseHybridConf } from "./conf.ts";
import { NETWORK_KEYS, NODE_KEYS, VXLAN_KEYS } from "./keys.ts";

const EXAMPLE = readFileSync(new URL("example.jsonc.txt", import.meta.url), "utf8");

/** "line:column message -> suggestion". */
function said(
  findings: readonly { line: number; column: number; message: string; suggestion?: string }[],
): readonly string[] {
  return findings.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? "" : ` -> ${suggestion}`}`,
  );
}

function textOf(network: object, nodes: readonly unknown[] = []): string {
  return JSON.stringify({ network, nodes }, undefined, 1);
}

function problemsOf(parsed: HybridConfParsed): readonly string[] {
  return parsed.ok
    ? []
    : parsed.problems.map(({ message, suggestion }) => `${message} -> ${suggestion ?? "-"}`);
}

const NODE = {
  name: "node-1",
  nodeIP: "10.10.0.11/24",
  vtepMAC: "0A:00:00:00:00:01",
  blocks: ["10.245.1.0/24"],
};
const NETWORK = { podCIDRs: ["10.245.0.0/16"] };

/** What is said of a file with one record beside a sound one, by name of the record that is refused. */
function refusals(record: object, network: object = NETWORK): readonly string[] {
  const parsed = parseHybridConf(textOf(network, [NODE, record]));
  if (!parsed.ok) throw new Error(said(parsed.problems).join("\n"));
  expect(parsed.view.nodes.map(({ name }) => name)).toContain("node-1");
  expect(parsed.refused.length).toBe(parsed.view.refused.flatMap(({ reasons }) => reasons).length);
  return parsed.refused.map(({ message, suggestion }) => `${message} -> ${suggestion ?? "-"}`);
}

const OTHER = {
  name: "node-2",
  nodeIP: "10.10.0.12/24",
  vtepMAC: "0a:00:00:00:00:02",
  blocks: ["10.245.2.0/24"],
};

const names = (keys: { readonly schema: { readonly shape: object } }) =>
  fc.constantFrom(...Object.keys(keys.schema.shape));

describe("parseHybridConf()", () => {
  it("reads the example, comments and all, with every default", () => {
    const parsed = parseHybridConf(EXAMPLE);
    expect(parsed).toMatchObject({ ok: true, refused: [], warnings: [] });
    if (!parsed.ok) return;
    expect(parsed.view.network).toEqual({
      podCidrs: ["10.245.0.0/16"],
      blockBits: 24,
      blockBitsV6: 120,
      mode: "Overlay",
      fallback: "None",
      sourceNat: true,
      nonMasqueradeCidrs: [],
      serviceCidrs: ["172.21.0.0/20"],
      cloudCidrs: ["10.0.0.0/16"],
      onPremNodeCidrs: ["10.10.0.0/16"],
      clusterPodCidrs: ["10.20.0.0/16"],
      vxlan: { vni: 1, port: 8472, mtuBytes: 0, directRouting: true },
    });
    expect(parsed.view.nodes[2]).toEqual({
      name: "idc-3",
      nodeIp: { ip: "10.10.2.13", prefixLength: 24 },
      vtepMac: "0a:00:0a:0a:02:0d",
      capabilities: ["direct", "vxlan"],
      block: "10.245.3.0/24",
    });
    expect(parsed.view.refused).toEqual([]);
    expect(Object.isFrozen(parsed.view.nodes[0])).toBe(true);
  });

  it("takes nodes of both families", () => {
    const network = { podCIDRs: ["10.245.0.0/16", "fd00:245::/104"], mode: "Underlay", fallback: "VXLAN" };
    const node = {
      ...NODE,
      nodeIPv6: "fd00:10::b/64",
      l2Domain: "rack-1",
      blocks: ["10.245.1.0/24", "fd00:245::100/120"],
    };
    const parsed = parseHybridConf(textOf(network, [node]));
    expect(parsed.ok && parsed.view.nodes).toEqual([
      {
        name: "node-1",
        nodeIp: { ip: "10.10.0.11", prefixLength: 24 },
        nodeIpv6: { ip: "fd00:10::b", prefixLength: 64 },
        l2Domain: "rack-1",
        vtepMac: "0a:00:00:00:00:01",
        capabilities: ["direct", "vxlan"],
        block: "10.245.1.0/24",
        blockV6: "fd00:245::100/120",
      },
    ]);
  });

  it("refuses networks that overlap, with both in the message", () => {
    const apart = "choose a network for the pods that is apart from all others";
    const table: readonly (readonly [network: object, message: string])[] = [
      [{ serviceCIDRs: ["10.245.16.0/20"] }, "overlaps 10.245.16.0/20 (serviceCIDRs)"],
      [{ cloudCIDRs: ["10.0.0.0/8"] }, "overlaps 10.0.0.0/8 (cloudCIDRs)"],
      [{ onPremNodeCIDRs: ["10.245.7.0/24"] }, "overlaps 10.245.7.0/24 (onPremNodeCIDRs)"],
      [{ clusterPodCIDRs: ["10.244.0.0/15"] }, "overlaps 10.244.0.0/15 (clusterPodCIDRs)"],
    ];
    for (const [others, message] of table)
      expect(problemsOf(parseHybridConf(textOf({ ...NETWORK, ...others })))).toEqual([
        `network.podCIDRs[0] is 10.245.0.0/16, which ${message} -> ${apart}`,
      ]);
    const reserved: readonly (readonly [cidr: string, message: string])[] = [
      ["100.100.0.0/16", "100.64.0.0/10 (services of Alibaba Cloud)"],
      ["0.1.0.0/16", "0.0.0.0/8 (this host)"],
      ["127.1.0.0/16", "127.0.0.0/8 (loopback)"],
      ["169.254.0.0/16", "169.254.0.0/16 (link-local addresses)"],
      ["225.0.0.0/16", "224.0.0.0/4 (multicast)"],
      ["250.0.0.0/16", "240.0.0.0/4 (reserved addresses)"],
    ];
    for (const [cidr, message] of reserved)
      expect(problemsOf(parseHybridConf(textOf({ podCIDRs: [cidr] })))).toEqual([
        `network.podCIDRs[0] is ${cidr}, which overlaps ${message} -> ${apart}`,
      ]);
    expect(
      problemsOf(parseHybridConf(textOf({ podCIDRs: ["10.245.0.0/16", "10.245.8.0/21", "fe80::/104"] }))),
    ).toEqual([
      `network.podCIDRs[1] is 10.245.8.0/21, which overlaps 10.245.0.0/16 (podCIDRs) -> ${apart}`,
      `network.podCIDRs[2] is fe80::/104, which overlaps fe80::/10 (link-local addresses) -> ${apart}`,
    ]);
  });

  it("says everything that is wrong with the settings at once, each at its place", () => {
    const text = `{
  "network": {
    "podCIDRs": ["10.245.0.1/16"],
    "nodeMaskSise": 25,
    "mode": "overlay",
    "sourceNAT": "true",
    "serviceCIDRs": "172.21.0.0/20",
    "vxlan": { "vni": 0, "prot": 4789, "mtu": 500 }
  },
  "nodes": {}
}`;
    const parsed = parseHybridConf(text);
    expect(parsed.ok).toBe(false);
    expect(said([...(parsed.ok ? [] : parsed.problems), ...parsed.warnings])).toEqual([
      "3:18 network.podCIDRs[0] is 10.245.0.1/16, an address inside a network and not a network -> write 10.245.0.0/16",
      '5:13 network.mode is the string "overlay"; one of "Overlay", "Underlay" is wanted -> did you mean "Overlay"?',
      '6:18 network.sourceNAT is the string "true"; true or false is wanted -> write true without quotes',
      '7:21 network.serviceCIDRs is the string "172.21.0.0/20"; a list of networks, such as ["172.21.0.0/20"], is wanted -> write ["172.21.0.0/20"]',
      "8:23 network.vxlan.vni is the number 0; a whole number from 1 to 16777215 is wanted",
      "8:47 network.vxlan.mtu is 500; IPv4 needs 576 bytes at least -> raise it, or write 0",
      "10:12 nodes is an object; a list with an object for each node is wanted",
      "4:5 network.nodeMaskSise is not a key of network and is ignored -> did you mean nodeMaskSize?",
      "8:26 network.vxlan.prot is not a key of network.vxlan and is ignored -> did you mean port?",
    ]);
  });

  it("refuses what it does not carry out, unless it asks for nothing", () => {
    const podCIDRs = ["10.245.0.0/16"];
    const asked = {
      podCIDRs,
      snatAddress: "10.10.1.99",
      vxlan: { checksumOffload: "Off" },
      quarantineSeconds: 900,
    };
    const parsed = parseHybridConf(textOf(asked));
    const keys = (problems: typeof parsed.warnings): readonly string[] =>
      said(problems).map((line) => line.split(" ")[1] ?? "");
    expect(keys(parsed.ok ? [] : parsed.problems)).toEqual([
      "network.snatAddress",
      "network.vxlan.checksumOffload",
    ]);
    expect(keys(parsed.warnings)).toEqual(["network.quarantineSeconds"]);
    const nothing = {
      podCIDRs,
      snatAddress: "",
      allocator: "Controller",
      vxlan: { checksumOffload: "Auto" },
    };
    expect(parseHybridConf(textOf(nothing)).ok).toBe(true);
  });

  it("bounds masks, and MTUs by the families of pods", () => {
    const v6 = { podCIDRs: ["10.245.0.0/16", "fd00:245::/104"] };
    const table: readonly (readonly [network: object, problems: readonly string[]])[] = [
      [
        { podCIDRs: ["10.245.0.0/25"] },
        ["network.nodeMaskSize is 24, and 10.245.0.0/25 of podCIDRs is smaller than one such block -> -"],
      ],
      [
        { podCIDRs: ["10.0.0.0/8"], nodeMaskSize: 26 },
        [
          "network.nodeMaskSize is 26: 10.0.0.0/8 of podCIDRs would have 2^18 blocks, 2^16 at most are possible -> lower it to 24 or less",
        ],
      ],
      [
        { ...v6, nodeMaskSizeV6: 121 },
        [
          "network.nodeMaskSizeV6 is 121: fd00:245::/104 of podCIDRs would have 2^17 blocks, 2^16 at most are possible -> lower it to 120 or less",
        ],
      ],
      [
        { podCIDRs: ["fd00:245::/104"] },
        ["network.podCIDRs has no IPv4 network; every pod has an IPv4 address in this version -> -"],
      ],
      [
        { ...v6, vxlan: { mtu: 1279 } },
        ["network.vxlan.mtu is 1279; IPv6 needs 1280 bytes at least -> raise it, or write 0"],
      ],
      [{ ...v6, vxlan: { mtu: 1280 } }, []],
    ];
    for (const [network, problems] of table)
      expect(problemsOf(parseHybridConf(textOf(network)))).toEqual(problems);
  });

  it("refuses one record with the reason, and takes the others", () => {
    const first = "give each node its own; the record that comes first keeps it";
    const table: readonly (readonly [record: unknown, reasons: readonly string[]])[] = [
      [
        { ...OTHER, blocks: ["10.245.1.0/24"] },
        [`nodes[1].blocks[0] is 10.245.1.0/24, which is the block of node-1 already -> ${first}`],
      ],
      [
        { ...OTHER, vtepMAC: "0a:00:00:00:00:01" },
        [`nodes[1].vtepMAC is 0a:00:00:00:00:01, which is the MAC of node-1 already -> ${first}`],
      ],
      [
        { ...OTHER, nodeIP: "10.10.0.11/24" },
        [`nodes[1].nodeIP is 10.10.0.11, which is the address of node-1 already -> ${first}`],
      ],
      [
        { ...OTHER, name: "node-1" },
        [`nodes[1].name is node-1, which is the name of node-1 already -> ${first}`],
      ],
      [
        { ...OTHER, blocks: ["10.246.2.0/24"] },
        ["nodes[1].blocks[0] is 10.246.2.0/24, outside of podCIDRs (10.245.0.0/16) -> -"],
      ],
      [
        { ...OTHER, blocks: ["10.245.2.0/25"] },
        ["nodes[1].blocks[0] is 10.245.2.0/25; nodeMaskSize is 24 -> -"],
      ],
      [
        { ...OTHER, blocks: ["10.245.2.7/24"] },
        [
          "nodes[1].blocks[0] is 10.245.2.7/24, an address inside a network and not a network -> write 10.245.2.0/24",
        ],
      ],
      [
        { ...OTHER, blocks: ["10.245.2.0/24", "10.245.3.0/24"] },
        [
          "nodes[1].blocks[1] is 10.245.3.0/24 beside 10.245.2.0/24; a node has one block of each family -> -",
        ],
      ],
      [
        { ...OTHER, nodeIP: "10.245.9.9/24" },
        ["nodes[1].nodeIP is 10.245.9.9, inside of 10.245.0.0/16 (podCIDRs) -> -"],
      ],
      [{ ...OTHER, nodeIP: "" }, ['nodes[1] has neither nodeIP nor nodeIPv6 -> add "nodeIP"']],
      [
        { ...OTHER, nodeIP: "10.10.0.12" },
        [
          'nodes[1].nodeIP is the string "10.10.0.12"; an address with the prefix length of its network, such as "10.10.0.11/24", is wanted -> -',
        ],
      ],
      [
        { ...OTHER, nodeIP: "10.10.0.0/24" },
        ["nodes[1].nodeIP is 10.10.0.0/24, the network and not a node in it -> -"],
      ],
      [
        { ...OTHER, nodeIP: "10.10.0.255/24" },
        ["nodes[1].nodeIP is 10.10.0.255/24, the broadcast address of the network and not a node in it -> -"],
      ],
      [
        { ...OTHER, nodeIP: "127.0.0.1/8" },
        ["nodes[1].nodeIP is 127.0.0.1, which no other node can reach -> -"],
      ],
      [
        { ...OTHER, vtepMAC: "01:00:5e:00:00:01" },
        ["nodes[1].vtepMAC is 01:00:5e:00:00:01, which no interface can have -> begin with 02, 06, 0a or 0e"],
      ],
      [
        { ...OTHER, capabilities: ["vxlan", "bgp"] },
        ['nodes[1].capabilities[1] is the string "bgp"; one of "direct", "vxlan", "fabric" is wanted -> -'],
      ],
      [
        { name: "node-2", nodeIP: "10.10.0.12/24" },
        [
          'nodes[1].blocks is missing; a list of networks, such as ["10.245.3.0/24"], is wanted -> add "blocks"',
        ],
      ],
      ["node-2", ['nodes[1] is no object; a record such as {"name": "node-1", …} is wanted -> -']],
    ];
    for (const [record, reasons] of table)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- wrong on purpose
      expect(refusals(record as object)).toEqual(reasons);
  });

  it("names a refused node and its places, and gives a sound record that comes later what the refused one wanted", () => {
    const text = textOf(NETWORK, [
      { ...NODE, vtepMAC: "x" },
      { ...OTHER, blocks: NODE.blocks },
    ]);
    const parsed = parseHybridConf(text);
    expect(parsed.ok && parsed.view.refused).toEqual([
      {
        name: "node-1",
        reasons: [
          'line 11, column 15: nodes[0].vtepMAC is the string "x"; a MAC, such as "0a:00:0a:0a:00:0b", is wanted',
        ],
      },
    ]);
    expect(parsed.ok && parsed.view.nodes.map(({ name }) => name)).toEqual(["node-2"]);
  });

  it("says where a file was cut off", () => {
    for (let length = 0; length < EXAMPLE.trimEnd().length; length += 7) {
      const parsed = parseHybridConf(EXAMPLE.slice(0, length));
      expect(parsed.ok, String(length)).toBe(false);
      expect(problemsOf(parsed), String(length)).toHaveLength(1);
    }
    expect(problemsOf(parseHybridConf(EXAMPLE.trimEnd().slice(0, -1)))).toEqual([
      "not JSON: a closing } is missing at the end of the file -> -",
    ]);
  });

  it("gives problems or a view for any value, and never throws", () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(
        "10.245.0.0/16",
        "10.245.1.0/24",
        "fd00::/104",
        ["10.245.1.0/24"],
        ["fd00::/104", "10.0.0.0/8"],
      ),
    );
    const network = fc.dictionary(names(NETWORK_KEYS), value, { maxKeys: 8 });
    const vxlan = fc.dictionary(names(VXLAN_KEYS), value, { maxKeys: 4 });
    const node = fc.oneof(fc.dictionary(names(NODE_KEYS), value, { maxKeys: 7 }), value);
    fc.assert(
      fc.property(network, vxlan, fc.array(node, { maxLength: 4 }), (network, vxlan, nodes) => {
        const parsed = parseHybridConf(JSON.stringify({ network: { ...NETWORK, ...network, vxlan }, nodes }));
        if (parsed.ok) expect(parsed.view.nodes.length + parsed.view.refused.length).toBe(nodes.length);
        else expect(parsed.problems.length).toBeGreaterThan(0);
      }),
    );
  });

  it("reads 5,000 records in less than the time in which anybody minds", () => {
    const nodes = Array.from({ length: 5000 }, (_, at) => ({
      name: `node-${at}`,
      nodeIP: `10.${10 + Math.floor(at / 60_000)}.${Math.floor(at / 200)}.${(at % 200) + 1}/24`,
      vtepMAC: `0a:00:00:00:${(at >> 8).toString(16).padStart(2, "0")}:${(at & 255).toString(16).padStart(2, "0")}`,
      blocks: [`10.${64 + (at >> 8)}.${at & 255}.0/24`],
    }));
    const parsed = parseHybridConf(textOf({ podCIDRs: ["10.64.0.0/11"] }, nodes));
    expect(parsed.ok && parsed.view.nodes.length).toBe(5000);
    expect(parsed.ok && parsed.refused).toEqual([]);
  });
});
