/**
 * Agreement with another codec that nobody of us wrote: the npm package `netlink`. It reads what we write as it was meant,
 * and what it writes we read. Only its tables are used here, none of its sockets.
 *
 * @module
 */
import * as fc from "fast-check";
import * as ifla from "netlink/dist/rt/ifla.js";
import * as npm from "netlink/dist/rt/structs.js";
import {
  AttrStream,
  formatMessage as formatFrame,
  parseMessage as parseFrame,
} from "netlink/dist/structs.js";
import { describe, expect, it } from "vitest";
import { intToIpv4, macFromBytes } from "../../../proto/addr.ts";
import { hex, hw, v4 } from "../../../test/captures/literals.ts";
import { decodeAddress, encodeAddress, RTM_ADDRESS } from "./address.ts";
import { frame, messagesOf } from "./header.ts";
import { decodeLink, encodeLink, RTM_LINK } from "./link.ts";
import { IPVLAN_FLAG, IPVLAN_MODE } from "./link-info.ts";
import { decodeNeighbour, encodeNeighbour, RTM_NEIGHBOUR } from "./neighbour.ts";
import { decodeRoute, encodeRoute, RTM_ROUTE } from "./route.ts";
import { decodeRule, encodeRule, RTM_RULE } from "./rule.ts";

/** What the package reads in an encoded message. */
function read(type: number, payload: Uint8Array): npm.Message {
  return npm.parseMessage(type, Buffer.from(payload));
}

/** What the package writes for what it read. */
function write(message: npm.Message): Uint8Array {
  const stream = new AttrStream();
  switch (message.kind) {
    case "link":
      npm.formatLinkMessage(message, stream);
      break;
    case "address":
      npm.formatAddressMessage(message, stream);
      break;
    case "route":
      npm.formatRouteMessage(message, stream);
      break;
    case "rule":
      npm.formatRuleMessage(message, stream);
      break;
    case "neighbor":
      npm.formatNeighborMessage(message, stream);
      break;
    default:
      throw new Error(`not of ours: ${message.kind}`);
  }
  return Uint8Array.from(Buffer.concat(stream.bufs));
}

const bytes = (text: string): Buffer => Buffer.from(hex(text));

describe("the package reads what we write", () => {
  it("of a link", () => {
    const payload = encodeLink({
      index: 10,
      flags: 1,
      change: 1,
      name: "v0",
      address: hw("02:00:00:00:00:0a"),
      mtu: 1400,
      master: 3,
      group: 77,
      netNsFd: 5,
      link: 7,
      linkNetnsId: -1,
      targetNetnsId: 2,
    });
    expect(read(RTM_LINK.NEW, payload)).toEqual({
      kind: "link",
      data: { family: 0, type: "NETROM", __pad: 0, index: 10, flags: { up: true }, change: { up: true } },
      attrs: {
        ifname: "v0",
        address: bytes("02000000000a"),
        mtu: 1400,
        master: 3,
        group: 77,
        netNsFd: 5,
        link: bytes("07000000"),
        linkNetnsid: -1,
        targetNetnsid: 2,
      },
    });
  });

  it("of the kinds of links", () => {
    const data = (payload: Uint8Array): { kind: string | undefined; data: Buffer } => {
      const message = read(RTM_LINK.NEW, payload);
      if (message.kind !== "link" || message.attrs.linkinfo === undefined) throw new Error("no linkinfo");
      const info = ifla.parseInfo(message.attrs.linkinfo);
      return { kind: info.kind, data: info.data ?? Buffer.alloc(0) };
    };
    const vxlan = data(
      encodeLink({
        info: { kind: "vxlan", options: { id: 1, port: 8472, local: v4("10.0.0.1"), learning: 0 } },
      }),
    );
    expect([vxlan.kind, ifla.parseVxlan(vxlan.data)]).toEqual([
      "vxlan",
      { id: 1, port: bytes("2118"), local: bytes("0a000001"), learning: 0 },
    ]);
    const macvlan = data(encodeLink({ info: { kind: "macvlan", options: { mode: 4, flags: 1 } } }));
    expect([macvlan.kind, ifla.parseMacvlan(macvlan.data)]).toEqual(["macvlan", { mode: 4, flags: 1 }]);
    const ipvlan = data(
      encodeLink({
        info: { kind: "ipvlan", options: { mode: IPVLAN_MODE.L3S, flags: IPVLAN_FLAG.PRIVATE } },
      }),
    );
    expect([ipvlan.kind, ifla.parseIpvlan(ipvlan.data)]).toEqual([
      "ipvlan",
      { mode: 2, flags: bytes("0100") },
    ]);
    const veth = data(
      encodeLink({ info: { kind: "veth", options: { peer: { name: "eth0", index: 11, netNsFd: 4 } } } }),
    );
    const { peer } = ifla.parseVethInfo(veth.data);
    expect([veth.kind, read(RTM_LINK.NEW, peer ?? Buffer.alloc(0))]).toEqual([
      "veth",
      {
        kind: "link",
        data: { family: 0, type: "NETROM", __pad: 0, index: 11, flags: {}, change: {} },
        attrs: { ifname: "eth0", netNsFd: 4 },
      },
    ]);
  });

  it("of a route", () => {
    const payload = encodeRoute({
      dst: { ip: v4("10.1.0.0"), bits: 16 },
      gateway: v4("10.9.0.1"),
      oif: 10,
      table: 1000,
      protocol: 77,
      scope: 0,
      type: 1,
      flags: 4,
      priority: 5,
      prefSrc: v4("10.0.0.1"),
      metrics: { mtu: 1300 },
    });
    expect(read(RTM_ROUTE.NEW, payload)).toEqual({
      kind: "route",
      data: {
        family: 2,
        dstLen: 16,
        srcLen: 0,
        tos: 0,
        table: 0,
        protocol: 77,
        scope: "UNIVERSE",
        type: "UNICAST",
        // RTNH_F_ONLINK, which the package has no name for.
        flags: { __unknown: 4 },
      },
      attrs: {
        dst: bytes("0a010000"),
        gateway: bytes("0a090001"),
        oif: 10,
        table: 1000,
        priority: 5,
        prefsrc: bytes("0a000001"),
        metrics: { mtu: bytes("14050000") },
      },
    });
  });

  it("of a rule, an address and a neighbour", () => {
    const rule = encodeRule({
      src: { ip: v4("10.0.0.1"), bits: 32 },
      iifName: "v0",
      fwmark: 0x10,
      fwmask: 0xf0,
      table: 1000,
      priority: 512,
      protocol: 77,
      action: 1,
      suppressPrefixLength: -1,
    });
    expect(read(RTM_RULE.NEW, rule)).toMatchObject({
      kind: "rule",
      data: { family: 2, srcLen: 32, dstLen: 0, table: 0, action: "toTbl" },
      attrs: {
        src: bytes("0a000001"),
        iifname: "v0",
        fwmark: 0x10,
        fwmask: 0xf0,
        table: 1000,
        priority: 512,
        protocol: 77,
        suppressPrefixlen: bytes("ffffffff"),
      },
    });
    const address = encodeAddress({ index: 10, local: v4("10.0.0.1"), prefixLength: 32, flags: 0x280 });
    expect(read(RTM_ADDRESS.NEW, address)).toEqual({
      kind: "address",
      data: { family: 2, prefixlen: 32, flags: { permanent: true }, scope: 0, index: 10 },
      attrs: { local: bytes("0a000001"), flags: { permanent: true, noprefixroute: true } },
    });
    const neighbour = encodeNeighbour({
      index: 10,
      dst: v4("10.0.0.9"),
      lladdr: hw("02:00:00:00:00:09"),
      state: 0x80,
      flags: 2,
      vlan: 3,
    });
    expect(read(RTM_NEIGHBOUR.NEW, neighbour)).toMatchObject({
      kind: "neighbor",
      data: { family: 2, ifindex: 10, state: { permanent: true }, flags: { self: true }, type: 0 },
      attrs: { dst: bytes("0a000009"), lladdr: bytes("020000000009"), vlan: 3 },
    });
  });
});

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const ip = u32.map(intToIpv4);
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((value) => macFromBytes(value) ?? hw("02:00:00:00:00:01"));
const prefix = fc.record({ ip, bits: fc.nat(32) });
/** The package takes flags apart with signed operators, and cannot write the highest bit. */
const flagBits = fc.nat(0x7fffffff);
const some = { requiredKeys: [] };

describe("we read what the package writes, after it has read what we wrote", () => {
  it("of links", () => {
    const link = fc.record(
      { index: u16, flags: flagBits, change: flagBits, mtu: u32, address: mac, group: u32 },
      some,
    );
    fc.assert(
      fc.property(link, (value) => {
        const payload = encodeLink(value);
        expect(decodeLink(write(read(RTM_LINK.NEW, payload)))).toEqual(decodeLink(payload));
      }),
    );
  });

  it("of addresses", () => {
    const address = fc.record({ index: u32, local: ip, address: ip, prefixLength: u8, scope: u8 }, some);
    fc.assert(
      fc.property(address, fc.nat(0xfff), (value, flags) => {
        const payload = encodeAddress({ ...value, flags });
        expect(decodeAddress(write(read(RTM_ADDRESS.NEW, payload)))).toEqual(decodeAddress(payload));
      }),
    );
  });

  it("of routes", () => {
    const route = fc.record(
      { dst: prefix, gateway: ip, oif: u32, table: u32, protocol: u8, scope: u8, type: u8, flags: flagBits },
      some,
    );
    fc.assert(
      fc.property(route, (value) => {
        const payload = encodeRoute(value);
        expect(decodeRoute(write(read(RTM_ROUTE.NEW, payload)))).toEqual(decodeRoute(payload));
      }),
    );
  });

  it("of rules", () => {
    const rule = fc.record(
      { src: prefix, dst: prefix, fwmark: u32, fwmask: u32, table: u32, priority: u32, action: u8 },
      some,
    );
    fc.assert(
      fc.property(rule, (value) => {
        const payload = encodeRule(value);
        expect(decodeRule(write(read(RTM_RULE.NEW, payload)))).toEqual(decodeRule(payload));
      }),
    );
  });

  it("of neighbours", () => {
    const neighbour = fc.record(
      { index: u16, dst: ip, lladdr: mac, state: u16, flags: u8, type: u8, vlan: u16 },
      some,
    );
    fc.assert(
      fc.property(neighbour, (value) => {
        const payload = encodeNeighbour(value);
        expect(decodeNeighbour(write(read(RTM_NEIGHBOUR.NEW, payload)))).toEqual(decodeNeighbour(payload));
      }),
    );
  });

  it("of frames", () => {
    const framed = frame({ type: 16, flags: 5, seq: 7, port: 9 }, hex("01020304"));
    const { x: message } = parseFrame(Buffer.from(framed));
    expect(message).toEqual({ type: 16, flags: 5, seq: 7, port: 9, data: bytes("01020304") });
    const again = Buffer.concat([formatFrame({ ...message, data: message.data })].flat());
    expect([...messagesOf(Uint8Array.from(again))]).toEqual([
      { type: 16, flags: 5, seq: 7, port: 9, payload: hex("01020304") },
    ]);
  });
});
