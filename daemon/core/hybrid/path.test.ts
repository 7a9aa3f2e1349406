import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIpv4, parseMac } from "../../../proto/addr.ts";
import { ipv6ToInt, parseIpv6 } from "../../../proto/addr6.ts";
import { parseIpCidr } from "../../../proto/cidr6.ts";
import { parseHybridConf } from "./conf.ts";
import { type HybridNetwork, type HybridNode } from "./network.ts";
import { pathBetween } from "./path.ts";

const of = (name: string, block: string, vtepMAC: string) => ({ name, vtepMAC, blocks: [block] });

/** Two sound records out of what a person would write. */
function pair(a: object, b: object): readonly [HybridNode, HybridNode] {
  const nodes = [
    { ...of("a", "10.245.1.0/24", "0a:00:00:00:00:01"), nodeIP: "10.10.0.1/24", ...a },
    { ...of("b", "10.245.2.0/24", "0a:00:00:00:00:02"), nodeIP: "10.10.0.2/24", ...b },
  ];
  const network = { podCIDRs: ["10.245.0.0/16", "fd00:245::/104"] };
  const parsed = parseHybridConf(JSON.stringify({ network, nodes }));
  const [first, second] = parsed.ok ? parsed.view.nodes : [];
  if (!parsed.ok || first === undefined || second === undefined) throw new Error(JSON.stringify(parsed));
  return [first, second];
}

type Settings = Parameters<typeof pathBetween>[2];

const OVERLAY: Settings = { mode: "Overlay", fallback: "None", vxlan: { directRouting: false } };
const DIRECT_OVERLAY: Settings = { mode: "Overlay", fallback: "None", vxlan: { directRouting: true } };
const UNDERLAY: Settings = { mode: "Underlay", fallback: "None", vxlan: { directRouting: false } };
const FALLBACK: Settings = { mode: "Underlay", fallback: "VXLAN", vxlan: { directRouting: false } };
const V6 = { blocks: ["10.245.1.0/24", "fd00:245::100/120"] };
const V6B = { blocks: ["10.245.2.0/24", "fd00:245::200/120"] };

/** `a` and `b` beside the usual: overlay, overlay with direct routing, underlay, underlay with VXLAN. */
const TABLE: readonly (readonly [what: string, a: object, b: object, kinds: string])[] = [
  ["one link", {}, {}, "vxlan direct direct direct"],
  ["other subnet", {}, { nodeIP: "10.20.0.2/24" }, "vxlan vxlan unroutable vxlan"],
  ["other length", {}, { nodeIP: "10.10.0.2/16" }, "vxlan vxlan unroutable vxlan"],
  ["/30", { nodeIP: "10.10.0.1/30" }, { nodeIP: "10.10.0.2/30" }, "vxlan direct direct direct"],
  ["/31", { nodeIP: "10.10.0.2/31" }, { nodeIP: "10.10.0.3/31" }, "vxlan vxlan unroutable vxlan"],
  ["/32", { nodeIP: "10.10.0.1/32" }, { nodeIP: "10.10.0.2/32" }, "vxlan vxlan unroutable vxlan"],
  [
    "/31, labelled",
    { nodeIP: "10.10.0.2/31", l2Domain: "x" },
    { nodeIP: "10.10.0.3/31", l2Domain: "x" },
    "vxlan direct direct direct",
  ],
  [
    "other subnet, labelled",
    { l2Domain: "x" },
    { nodeIP: "10.20.0.2/24", l2Domain: "x" },
    "vxlan direct direct direct",
  ],
  ["one subnet, labels differ", { l2Domain: "x" }, { l2Domain: "y" }, "vxlan vxlan unroutable vxlan"],
  ["one subnet, one label", { l2Domain: "x" }, {}, "vxlan direct direct direct"],
  ["no direct", {}, { capabilities: ["vxlan"] }, "vxlan vxlan unroutable vxlan"],
  ["no vxlan", { capabilities: ["direct"] }, {}, "unroutable direct direct direct"],
  ["no MAC", {}, { vtepMAC: "" }, "unroutable direct direct direct"],
  [
    "fabric",
    { nodeIP: "10.20.0.1/24", capabilities: ["direct", "fabric"] },
    { capabilities: ["direct", "fabric"] },
    "fabric fabric fabric fabric",
  ],
  [
    "fabric at one end",
    { nodeIP: "10.20.0.1/24", capabilities: ["direct", "fabric"] },
    {},
    "unroutable unroutable unroutable unroutable",
  ],
  ["IPv6 blocks, IPv4 nodes", V6, V6B, "vxlan vxlan unroutable vxlan"],
  ["IPv6 blocks at one end", V6, {}, "vxlan direct direct direct"],
  [
    "both families",
    { ...V6, nodeIPv6: "fd00:10::1/64" },
    { ...V6B, nodeIPv6: "fd00:10::2/64" },
    "vxlan direct direct direct",
  ],
  [
    "/127",
    { ...V6, nodeIPv6: "fd00:10::2/127" },
    { ...V6B, nodeIPv6: "fd00:10::3/127" },
    "vxlan vxlan unroutable vxlan",
  ],
  [
    "/128",
    { ...V6, nodeIPv6: "fd00:10::1/128" },
    { ...V6B, nodeIPv6: "fd00:10::2/128" },
    "vxlan vxlan unroutable vxlan",
  ],
  [
    "IPv6 nodes",
    { nodeIP: "", nodeIPv6: "fd00:10::1/64" },
    { nodeIP: "", nodeIPv6: "fd00:10::2/64" },
    "vxlan vxlan unroutable vxlan",
  ],
  [
    "IPv4 to IPv6",
    {},
    { nodeIP: "", nodeIPv6: "fd00:10::2/64" },
    "unroutable unroutable unroutable unroutable",
  ],
];

const hostBits = fc.constantFrom(24, 25, 30, 31, 32);
const ipv4 = fc.constantFrom("10.10.0.1", "10.10.0.2", "10.10.0.3", "10.10.0.130", "10.20.0.2");
const ipv6 = fc.constantFrom("fd00:10::1", "fd00:10::2", "fd00:20::1");

function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("not one");
  return value;
}

const v4Host = fc.record({ ip: ipv4.map((text) => required(parseIpv4(text))), prefixLength: hostBits });
const v6Host = fc.record({
  ip: ipv6.map((text) => required(parseIpv6(text))),
  prefixLength: fc.constantFrom(64, 126, 127, 128),
});
const block = (text: string) => {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(text);
  return parsed.value;
};

const capabilities = fc.uniqueArray(fc.constantFrom("direct" as const, "vxlan" as const, "fabric" as const));

/** Any record, with at least one address. */
function node(name: string): fc.Arbitrary<HybridNode> {
  return fc
    .record(
      {
        name: fc.constant(name),
        nodeIp: v4Host,
        nodeIpv6: v6Host,
        l2Domain: fc.constantFrom("x", "y"),
        vtepMac: fc.constant(required(parseMac("0a:00:00:00:00:01"))),
        capabilities,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of the family that the field wants
        blockV6: fc.constant(block("fd00:245::100/120") as NonNullable<HybridNode["blockV6"]>),
      },
      { requiredKeys: ["name", "capabilities"] },
    )
    .filter(({ nodeIp, nodeIpv6 }) => nodeIp !== undefined || nodeIpv6 !== undefined);
}

const settings: fc.Arbitrary<Settings> = fc.record({
  mode: fc.constantFrom<HybridNetwork["mode"][]>("Overlay", "Underlay"),
  fallback: fc.constantFrom<HybridNetwork["fallback"][]>("None", "VXLAN"),
  vxlan: fc.record({ directRouting: fc.boolean() }),
});

const said = (a: object, b: object, mode: Settings) => {
  const path = pathBetween(...pair(a, b), mode);
  return path.kind === "unroutable" ? path.reason : path.kind;
};

describe("pathBetween()", () => {
  it("is what the records of both say, in each mode", () => {
    for (const [what, a, b, kinds] of TABLE) {
      const [first, second] = pair(a, b);
      const found = [OVERLAY, DIRECT_OVERLAY, UNDERLAY, FALLBACK].map(
        (mode) => pathBetween(first, second, mode).kind,
      );
      expect(found.join(" "), what).toBe(kinds);
    }
  });

  it("is local for the node itself", () => {
    const [a] = pair({}, {});
    expect(pathBetween(a, a, OVERLAY)).toEqual({ kind: "local" });
  });

  it("names what is in the way, the same at both ends", () => {
    expect(said({}, { nodeIP: "10.20.0.2/24" }, UNDERLAY)).toBe(
      "a (10.10.0.1/24) and b (10.20.0.2/24) are not known to be on one link; mode is Underlay with fallback None",
    );
    expect(said({ l2Domain: "rack-1" }, { l2Domain: "rack-2", vtepMAC: "" }, FALLBACK)).toBe(
      "a and b are in different L2 domains (rack-1, rack-2); b has no vtepMAC",
    );
    expect(said({}, { nodeIP: "", nodeIPv6: "fd00:10::2/64" }, OVERLAY)).toBe(
      "mode is Overlay without directRouting; a tunnels to 10.10.0.1 and b to fd00:10::2, addresses of different families",
    );
  });

  it("is symmetric", () => {
    fc.assert(
      fc.property(node("a"), node("b"), settings, (a, b, mode) => {
        expect(pathBetween(a, b, mode)).toEqual(pathBetween(b, a, mode));
      }),
      { numRuns: 2000 },
    );
  });

  it("invents nothing: what it says can be, both have published, and the settings allow", () => {
    fc.assert(
      fc.property(node("a"), node("b"), settings, (a, b, mode) => {
        const path = pathBetween(a, b, mode).kind;
        const both = (has: (node: HybridNode) => boolean): boolean => has(a) && has(b);
        if (path === "direct") {
          expect(mode.mode === "Underlay" || mode.vxlan.directRouting).toBe(true);
          expect(both(({ capabilities }) => capabilities.includes("direct"))).toBe(true);
          const isLabelled = a.l2Domain !== undefined && a.l2Domain === b.l2Domain;
          expect(isLabelled || (a.l2Domain ?? b.l2Domain) === (b.l2Domain ?? a.l2Domain)).toBe(true);
          if (!isLabelled) expect(sharesSubnet(a, b)).toBe(true);
        }
        if (path === "vxlan") {
          expect(mode.mode === "Overlay" || mode.fallback === "VXLAN").toBe(true);
          expect(
            both(({ capabilities, vtepMac }) => capabilities.includes("vxlan") && vtepMac !== undefined),
          ).toBe(true);
          expect((a.nodeIp === undefined) === (b.nodeIp === undefined)).toBe(true);
        }
        if (path === "fabric") expect(both(({ capabilities }) => capabilities.includes("fabric"))).toBe(true);
        expect(path).not.toBe("local");
      }),
      { numRuns: 2000 },
    );
  });
});

const number = (text: string): bigint =>
  text.includes(":")
    ? ipv6ToInt(required(parseIpv6(text)))
    : text.split(".").reduce((sum, octet) => sum * 256n + BigInt(octet), 0n);

const same = (
  one: HybridNode["nodeIp" | "nodeIpv6"],
  two: HybridNode["nodeIp" | "nodeIpv6"],
  width: number,
): boolean => {
  if (one === undefined || two === undefined || one.prefixLength !== two.prefixLength) return false;
  const shift = BigInt(width - one.prefixLength);
  return one.prefixLength < width - 1 && number(one.ip) >> shift === number(two.ip) >> shift;
};

/** Computed another way than the code does: by shifting integers. */
function sharesSubnet(a: HybridNode, b: HybridNode): boolean {
  const needsV6 = a.blockV6 !== undefined && b.blockV6 !== undefined;
  return same(a.nodeIp, b.nodeIp, 32) && (!needsV6 || same(a.nodeIpv6, b.nodeIpv6, 128));
}
