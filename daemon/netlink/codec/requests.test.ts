/**
 * What the requests take for granted and what they refuse; that the kernel agrees is in `kernel.root.test.ts`.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { hw, v4, v6 } from "../../../test/captures/literals.ts";
import { addAddress, decodeAddress } from "./address.ts";
import {
  type ConntrackFilter,
  connectionsOf,
  decodeConntrack,
  deleteConntrackMatching,
  dumpConntrack,
} from "./conntrack.ts";
import { dumpForwarding, dumpLinks, dumpNeighbours, dumpRoutes } from "./dump.ts";
import { NLM_F } from "./header.ts";
import { decodeLink, deleteLink, deleteLinkGroup, encodeLink, getLink, RTM_LINK, setLink } from "./link.ts";
import { decodeNeighbour, getNeighbour, NTF, NUD, setForwarding, setNeighbour } from "./neighbour.ts";
import {
  addElements,
  decodeSetElements,
  deleteElements,
  flushElements,
  getElement,
  NFT_ELEMENT,
  nftBatch,
} from "./nft-element.ts";
import { encodeKey } from "./nft-value.ts";
import { decodeNsid, getNsid } from "./nsid.ts";
import { addRoute, decodeRoute, deleteRoute, lookupRoute, RT_SCOPE, RTN } from "./route.ts";
import { addRule, decodeRule, deleteRule } from "./rule.ts";

const NO_LINK = { family: 0, deviceType: 0, index: 0, flags: 0, change: 0 };

describe("links", () => {
  it("are told by index or by name", () => {
    expect(decodeLink(deleteLink({ index: 7 }).payload)).toEqual({ ...NO_LINK, index: 7 });
    expect(decodeLink(getLink({ name: "eth0" }, 3).payload)).toEqual({
      ...NO_LINK,
      name: "eth0",
      targetNetnsId: 3,
    });
  });

  it("of group 0 cannot be deleted as a group: nearly all of the host's are in it", () => {
    expect(() => deleteLinkGroup(0)).toThrow(RangeError);
    expect(deleteLinkGroup(7).type).toBe(RTM_LINK.DEL);
  });

  it("send settings as attributes, and read them back", () => {
    const conf = { forwarding: 1, proxyArp: 1, rpFilter: 2, mediumId: -1 };
    const { payload } = setLink({ index: 7, afSpec: { inet: { conf } } });
    expect(decodeLink(payload)).toEqual({ ...NO_LINK, index: 7, afSpec: { inet: { conf } } });
  });

  it("keep an alias that is empty, which takes the old one away", () => {
    expect(decodeLink(encodeLink({ alias: "" }))).toEqual({ ...NO_LINK, alias: "" });
  });
});

describe("addresses", () => {
  it("get the kernel's IFA_ADDRESS from the local one, unless it is given", () => {
    const local = v4("10.0.0.1");
    expect(decodeAddress(addAddress({ index: 7, local, prefixLength: 32 }).payload)).toEqual({
      family: 2,
      prefixLength: 32,
      flags: 0,
      scope: 0,
      index: 7,
      local,
      address: local,
    });
    const address = v4("10.0.0.2");
    expect(decodeAddress(addAddress({ index: 7, local, address }).payload)).toMatchObject({ local, address });
  });
});

describe("routes", () => {
  const dst = { ip: v4("10.1.0.0"), bits: 16 };

  it.each([
    [{ dst, oif: 7 }, RT_SCOPE.LINK],
    [{ dst, gateway: v4("10.0.0.1") }, RT_SCOPE.UNIVERSE],
    [{ dst, nextHopId: 3 }, RT_SCOPE.UNIVERSE],
    [{ dst, type: RTN.LOCAL, oif: 7 }, RT_SCOPE.HOST],
    [{ dst, type: RTN.BLACKHOLE }, RT_SCOPE.UNIVERSE],
    [{ dst, oif: 7, scope: RT_SCOPE.HOST }, RT_SCOPE.HOST],
  ])("%j has scope %i", (route, scope) => {
    expect(decodeRoute(addRoute({ ...route, protocol: 77 }).payload)).toEqual({
      family: 2,
      tos: 0,
      table: 254,
      protocol: 77,
      scope,
      type: RTN.UNICAST,
      flags: 0,
      ...route,
    });
  });

  it("say their table in 8 bits or in an attribute of 32", () => {
    const [short, long] = [0xff, 0x100].map((table) => addRoute({ dst, table, protocol: 77 }).payload.length);
    expect([short, long]).toEqual([20, 28]);
    for (const table of [1, 255, 256, 0xffffffff])
      expect(decodeRoute(addRoute({ dst, table, protocol: 77 }).payload).table).toBe(table);
  });

  it("are deleted whatever their type and scope are", () => {
    expect(decodeRoute(deleteRoute({ dst }).payload)).toMatchObject({
      type: RTN.UNSPEC,
      scope: RT_SCOPE.NOWHERE,
      table: 254,
      protocol: 0,
    });
  });

  it("are looked up for whole addresses", () => {
    expect(
      decodeRoute(lookupRoute({ dst: v6("fe80::1"), src: v6("fe80::2"), mark: 5 }).payload),
    ).toMatchObject({
      family: 10,
      dst: { ip: v6("fe80::1"), bits: 128 },
      src: { ip: v6("fe80::2"), bits: 128 },
      mark: 5,
    });
  });
});

describe("rules", () => {
  it("lead to a table when added, and to anything when deleted", () => {
    const fields = { fwmark: 5, table: 1000, priority: 512, protocol: 77 };
    expect(decodeRule(addRule(fields).payload)).toMatchObject({ ...fields, family: 2, action: 1 });
    expect(decodeRule(deleteRule(fields).payload)).toMatchObject({ ...fields, family: 2, action: 0 });
  });
});

describe("neighbours", () => {
  const dst = v4("10.0.0.9");
  const lladdr = hw("02:00:00:00:00:09");

  it("are permanent, or asked for by ARP", () => {
    expect(decodeNeighbour(setNeighbour({ index: 7, dst, lladdr }).payload)).toEqual({
      family: 2,
      index: 7,
      state: NUD.PERMANENT,
      flags: 0,
      type: 0,
      dst,
      lladdr,
    });
    expect(decodeNeighbour(setNeighbour({ index: 7, dst, flags: NTF.USE }).payload)).toMatchObject({
      state: NUD.NONE,
      flags: NTF.USE,
    });
  });

  it("of a vxlan are AF_BRIDGE and its own", () => {
    expect(decodeNeighbour(setForwarding({ index: 7, dst, lladdr }).payload)).toMatchObject({
      family: 7,
      flags: NTF.SELF,
      state: NUD.PERMANENT | NUD.NOARP,
    });
  });
});

describe("dumps", () => {
  it("filter in the way that strict checking wants", () => {
    expect(decodeLink(dumpLinks({ master: 3, kind: "veth" }).payload)).toEqual({
      ...NO_LINK,
      master: 3,
      info: { kind: "veth" },
      extMask: 8,
    });
    const dumped = { family: 2, index: 0, state: 0, flags: 0, type: 0 };
    expect(decodeNeighbour(dumpNeighbours({ index: 7 }).payload)).toEqual({ ...dumped, ifIndex: 7 });
    expect(decodeNeighbour(dumpNeighbours({ proxy: true }).payload)).toEqual({ ...dumped, flags: NTF.PROXY });
    expect(decodeNeighbour(dumpForwarding({ index: 7 }).payload)).toEqual({
      ...dumped,
      family: 7,
      ifIndex: 7,
    });
    expect(decodeRoute(dumpRoutes({ table: 1000, protocol: 77 }).payload)).toEqual({
      family: 2,
      tos: 0,
      table: 1000,
      protocol: 77,
      scope: 0,
      type: 0,
      flags: 0,
    });
  });

  it("of an id ask by file descriptor", () => {
    expect(decodeNsid(getNsid(6).payload)).toEqual({ fd: 6 });
  });
});

describe("set elements", () => {
  const target = { family: 2, table: "t", set: "s" };

  it("are split where one message cannot hold them, and none is lost", () => {
    const count = 5000;
    const list = Array.from({ length: count }, (_, mark) => ({
      key: [{ kind: "mark" as const, mark }],
      data: { kind: "verdict" as const, verdict: "goto" as const, chain: `chain-${mark}` },
    }));
    const requests = addElements(target, list);
    expect(requests.length).toBeGreaterThan(1);
    for (const { payload } of requests) expect(payload.length).toBeLessThan(65_535);
    expect(requests.flatMap(({ payload }) => decodeSetElements(payload, { key: ["mark"] }).elements)).toEqual(
      list,
    );
    expect(deleteElements(target, [])).toEqual([]);
  });

  it("are exclusive where asked", () => {
    const list = [{ key: [{ kind: "mark" as const, mark: 1 }] }];
    expect(addElements(target, list).map(({ flags }) => flags & NLM_F.EXCL)).toEqual([0]);
    expect(addElements(target, list, true).map(({ flags }) => flags & NLM_F.EXCL)).toEqual([NLM_F.EXCL]);
  });

  it("are all meant by a delete without any", () => {
    const request = flushElements(target);
    expect(request.type).toBe(NFT_ELEMENT.DEL);
    expect(decodeSetElements(request.payload, { key: [] })).toEqual({ ...target, elements: [] });
  });

  it("travel in a batch whose last change is answered", () => {
    const list = [{ key: [{ kind: "mark" as const, mark: 1 }] }];
    const batch = nftBatch([...addElements(target, list), flushElements(target)]);
    expect(batch.map(({ type, flags }) => [type, flags & NLM_F.ACK])).toEqual([
      [0x10, 0],
      [NFT_ELEMENT.NEW, 0],
      [NFT_ELEMENT.DEL, NLM_F.ACK],
      [0x11, 0],
    ]);
  });

  it("pad the parts of a key of several, and not a key of one", () => {
    const port = { kind: "port", port: 80 } as const;
    expect(encodeKey([port])).toEqual(Uint8Array.of(0, 80));
    expect(encodeKey([port, { kind: "protocol", protocol: 6 }])).toEqual(
      Uint8Array.of(0, 80, 0, 0, 6, 0, 0, 0),
    );
    expect(() => encodeKey([{ kind: "ifname", name: "sixteen-letters!" }])).toThrow(RangeError);
  });
});

describe("connection tracking", () => {
  const ip = v4("10.0.0.1");

  it.each<readonly [ConntrackFilter, object]>([
    [
      { tuple: "orig", side: "src", ip },
      { orig: { ip: { src: ip } }, filter: { origFlags: 1, replyFlags: 0 } },
    ],
    [
      { tuple: "reply", side: "dst", ip },
      { reply: { ip: { dst: ip } }, filter: { origFlags: 0, replyFlags: 2 } },
    ],
    [
      { tuple: "reply", side: "src", ip: v6("fe80::1") },
      { reply: { ip: { src6: v6("fe80::1") } }, filter: { origFlags: 0, replyFlags: 1 } },
    ],
  ])("%j carries a tuple beside the filter", (filter, expected) => {
    const family = filter.ip === ip ? 2 : 10;
    expect(decodeConntrack(deleteConntrackMatching(filter).payload)).toEqual({ family, ...expected });
    expect(decodeConntrack(dumpConntrack(filter).payload)).toEqual({ family, ...expected });
  });

  it("never deletes without a tuple", () => {
    for (const filter of connectionsOf(ip)) {
      const { orig, reply } = decodeConntrack(deleteConntrackMatching(filter).payload);
      expect(orig ?? reply).toBeDefined();
    }
  });
});

describe("getNeighbour() and getElement()", () => {
  it("ask for one thing, with nothing that strict checking refuses", () => {
    const neighbour = getNeighbour({ index: 7, dst: v4("10.0.0.1") });
    expect([neighbour.type, neighbour.flags]).toEqual([30, NLM_F.REQUEST]);
    expect(decodeNeighbour(neighbour.payload)).toEqual({
      family: 2,
      index: 7,
      state: NUD.NONE,
      flags: 0,
      type: 0,
      dst: "10.0.0.1",
    });
    const key = [{ kind: "ip", ip: v4("10.0.0.1") }] as const;
    const element = getElement({ family: 2, table: "t", set: "s" }, key);
    expect([element.type, element.flags]).toEqual([NFT_ELEMENT.GET, NLM_F.REQUEST]);
    expect(decodeSetElements(element.payload, { key: ["ip"] }).elements).toEqual([{ key }]);
  });
});
