/**
 * Addresses, routes, rules, neighbours and errors as a kernel showed them, decoded to whole values.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { hw, v4, v6 } from "../../../test/captures/literals.ts";
import { readCapture, readDump } from "../../../test/captures/read-capture.ts";
import { encodeAddress } from "./address.ts";
import { NLM_F } from "./header.ts";
import { decodeMessage, type RtMessage } from "./message.ts";
import { encodeNeighbour, NTF, NUD } from "./neighbour.ts";
import { encodeRoute, RTNH_F } from "./route.ts";
import { encodeRule } from "./rule.ts";

describe("addresses", () => {
  it("are IPv4 and IPv6", () => {
    const common = { scope: 0, flags: 0x280, unknown: ["6: 16"] };
    const lo = { ...common, index: 1, scope: 254, flags: 0x80 };
    expect(readDump("addresses")).toEqual([
      {
        kind: "address",
        deleted: false,
        address: {
          ...lo,
          family: 2,
          prefixLength: 8,
          address: v4("127.0.0.1"),
          local: v4("127.0.0.1"),
          label: "lo",
        },
      },
      {
        kind: "address",
        deleted: false,
        address: {
          ...common,
          family: 2,
          index: 10,
          prefixLength: 32,
          address: v4("10.0.0.1"),
          local: v4("10.0.0.1"),
          label: "v0",
        },
      },
      {
        kind: "address",
        deleted: false,
        address: { ...lo, family: 10, prefixLength: 128, address: v6("::1"), protocol: 1 },
      },
    ]);
  });
});

describe("routes", () => {
  const common = { family: 2, tos: 0, table: 1000, protocol: 3, scope: 0, type: 1, flags: 0 };

  it("are those of one table, with all that a route can have", () => {
    const { LINKDOWN, ONLINK } = RTNH_F;
    expect(readDump("routes")).toEqual(
      [
        {
          ...common,
          protocol: 77,
          flags: ONLINK | LINKDOWN,
          gateway: v4("10.9.0.1"),
          oif: 10,
          priority: 5,
          metrics: { lock: 4, mtu: 1300 },
        },
        {
          ...common,
          dst: { ip: v4("10.2.0.0"), bits: 16 },
          via: { family: 10, address: v6("fe80::1") },
          oif: 10,
        },
        {
          ...common,
          flags: LINKDOWN,
          dst: { ip: v4("10.3.0.0"), bits: 16 },
          multipath: [
            { flags: ONLINK | LINKDOWN, weight: 3, oif: 10, gateway: v4("10.9.0.1") },
            { flags: LINKDOWN, weight: 1, oif: 10 },
          ],
        },
        { ...common, type: 6, dst: { ip: v4("10.4.0.0"), bits: 16 } },
        { ...common, type: 2, scope: 254, dst: { ip: v4("10.5.0.1"), bits: 32 }, oif: 1 },
      ].map((route) => ({ kind: "route", deleted: false, route })),
    );
  });

  it("say that the kernel did filter", () => {
    const flags = readCapture("routes").map((message) => message.flags & NLM_F.DUMP_FILTERED);
    expect(new Set(flags)).toEqual(new Set([NLM_F.DUMP_FILTERED]));
  });

  it("are of IPv6 too", () => {
    expect(readDump("routes6")).toEqual([
      {
        kind: "route",
        deleted: false,
        route: {
          ...common,
          family: 10,
          table: 255,
          protocol: 2,
          type: 2,
          dst: { ip: v6("::1"), bits: 128 },
          oif: 1,
          priority: 0,
          unknown: ["12: 32", "20: 1"],
        },
      },
    ]);
  });
});

describe("rules", () => {
  it("are the kernel's three and ours", () => {
    const common = { family: 2, tos: 0, action: 1, flags: 0, suppressPrefixLength: -1, protocol: 2 };
    const ours = {
      ...common,
      table: 1000,
      priority: 512,
      src: { ip: v4("10.0.0.1"), bits: 32 },
      dst: { ip: v4("10.0.0.0"), bits: 8 },
      iifName: "v0",
      fwmark: 0x10,
      fwmask: 0xf0,
      suppressPrefixLength: 0,
      protocol: 77,
    };
    expect(readDump("rules")).toEqual(
      [
        { ...common, table: 255 },
        ours,
        { ...common, table: 254, priority: 32_766 },
        { ...common, table: 253, priority: 32_767 },
      ].map((rule) => ({ kind: "rule", deleted: false, rule })),
    );
  });
});

describe("neighbours and forwarding", () => {
  it("are an ARP entry, a bridge's entry and a vxlan's remote", () => {
    const unknown = ["3: 16"];
    expect(readDump("neighbours")).toEqual([
      neighbour({
        family: 2,
        index: 10,
        state: NUD.PERMANENT,
        flags: 0,
        type: 1,
        dst: v4("10.0.0.9"),
        lladdr: hw("02:00:00:00:00:09"),
        probes: 0,
        unknown,
      }),
    ]);
    expect(readDump("forwarding")).toEqual([
      neighbour({
        family: 7,
        index: 12,
        state: NUD.PERMANENT,
        flags: 0,
        type: 0,
        lladdr: hw("02:00:00:00:00:0c"),
        master: 13,
        flagsExt: 0,
        unknown,
      }),
      neighbour({
        family: 7,
        index: 12,
        state: NUD.PERMANENT | NUD.NOARP,
        flags: NTF.SELF,
        type: 1,
        lladdr: hw("02:00:00:00:00:77"),
        dst: v4("10.0.0.77"),
        unknown,
      }),
    ]);
  });
});

describe("answers to one request", () => {
  it.each<readonly [string, RtMessage]>([
    ["ack", { kind: "ack", ack: { errno: 0, request: { type: 16, seq: 11 } } }],
    [
      "error-ext-ack",
      {
        kind: "ack",
        ack: { errno: 22, request: { type: 16, seq: 9 }, message: "mtu greater than device maximum" },
      },
    ],
    ["error-no-device", { kind: "ack", ack: { errno: 19, request: { type: 16, seq: 10 } } }],
    ["done-no-device", { kind: "done", done: { errno: 19 } }],
    ["error-strict", { kind: "done", done: { errno: 22, message: "Invalid header for link dump" } }],
  ])("%s", (capture, expected) => {
    expect(readCapture(capture).map(decodeMessage)).toEqual([expected]);
  });

  it("nsids", () => {
    expect(readDump("nsids")).toEqual([{ kind: "nsid", deleted: false, nsid: { nsid: 5 } }]);
  });
});

describe("what was decoded goes back as the same bytes, but for the order", () => {
  it.each(["addresses", "routes", "routes6", "rules", "neighbours", "forwarding"])("%s", (capture) => {
    for (const { payload, ...header } of readCapture(capture)) {
      const message = decodeMessage({ ...header, payload });
      if (message.kind === "done") continue;
      // Left out of ours: IFA_FLAGS of 8 bits, 8 bytes; RTA_TABLE and FRA_TABLE of 8 bits, 8 bytes.
      const left = encodeAgain(message);
      const spared =
        (message.kind === "address" && message.address.flags < 256) ||
        (message.kind === "route" && message.route.table < 256) ||
        (message.kind === "rule" && message.rule.table < 256);
      expect(left.length).toBe(payload.length - (spared ? 8 : 0));
      expect(decodeMessage({ ...header, payload: left })).toEqual(message);
    }
  });
});

function encodeAgain(message: RtMessage): Uint8Array {
  switch (message.kind) {
    case "address":
      return encodeAddress(message.address);
    case "route":
      return encodeRoute(message.route);
    case "rule":
      return encodeRule(message.rule);
    case "neighbour":
      return encodeNeighbour(message.neighbour);
    default:
      throw new Error(`a dump with ${message.kind}`);
  }
}

function neighbour(fields: object): unknown {
  return { kind: "neighbour", deleted: false, neighbour: fields };
}
