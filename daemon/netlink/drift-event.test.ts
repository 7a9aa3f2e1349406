import { describe, expect, it } from "vitest";
import { parseMac } from "../../proto/addr.ts";
import { type IpAddress, parseIp } from "../../proto/addr6.ts";
import { IPVLAN_NFT } from "../core/datapath/ipvlan-nft.ts";
import { GROUP, NFT, PRIORITY, TABLE } from "../core/datapath/layout.ts";
import { i32, schema, text, writeFields } from "./codec/attribute.ts";
import { type RawMessage } from "./codec/header.ts";
import { AF } from "./codec/ip.ts";
import { IFF } from "./codec/link-base.ts";
import { encodeLink, type LinkMessage, RTM_LINK } from "./codec/link.ts";
import { encodeNeighbour, NUD, RTM_NEIGHBOUR } from "./codec/neighbour.ts";
import { NFPROTO, writeNfHeader } from "./codec/nfnetlink.ts";
import { encodeRoute, RTM_ROUTE } from "./codec/route.ts";
import { encodeRule, FR_ACT, RTM_RULE } from "./codec/rule.ts";
import { Writer } from "./codec/wire.ts";
import { type Hint, suspectOf } from "./drift-event.ts";

const OWN = 4711;
const ENI = 7;
const POD = ip("10.0.0.5");

function ip(literal: string): IpAddress {
  return parseIp(literal) ?? expect.fail(literal);
}

function heard(type: number, payload: Uint8Array, port = 0): Hint | undefined {
  const message: RawMessage = { type, flags: 0, seq: 0, port, payload };
  return suspectOf(message, { isOwn: (of) => of === OWN, isEni: (index) => index === ENI });
}

/** A route of an address, as the kernel tells of it: a table above 255 is in an attribute, and the header has 252. */
function route(table: number, dst: IpAddress | undefined = POD): Uint8Array {
  const payload = encodeRoute({ family: AF.INET, table, ...(dst && { dst: { ip: dst, bits: 32 } }) });
  payload[4] = table > 255 ? 252 : table;
  return payload;
}

function link(message: LinkMessage): Uint8Array {
  return encodeLink({ family: AF.UNSPEC, ...message });
}

function nft(table: string): Uint8Array {
  const writer = new Writer();
  writeNfHeader(writer, { family: NFPROTO.IPV4 });
  writeFields(writer, schema({ table: text(1), chain: text(3) }), { table, chain: "prerouting" });
  return writer.take();
}

function netconf(values: {
  readonly ifIndex: number;
  readonly forwarding?: number;
  readonly rpFilter?: number;
}) {
  const writer = new Writer();
  writer.u8(AF.INET);
  writer.zeros(3);
  writeFields(writer, schema({ ifIndex: i32(1), forwarding: i32(2), rpFilter: i32(3) }), values);
  return writer.take();
}

describe("suspectOf()", () => {
  it("hears of rules in our places, and of no others", () => {
    const rule = { family: AF.INET, action: FR_ACT.TO_TABLE };
    expect(heard(RTM_RULE.DEL, encodeRule({ ...rule, priority: PRIORITY.pods, table: TABLE.pods }))).toEqual({
      kind: "node",
    });
    expect(heard(RTM_RULE.NEW, encodeRule({ ...rule, priority: 9, table: TABLE.pods + 1 }))).toEqual({
      kind: "node",
    });
    const guard = { family: AF.INET, action: FR_ACT.BLACKHOLE };
    expect(heard(RTM_RULE.DEL, encodeRule({ ...guard, priority: PRIORITY.eni + 1 }))).toEqual({
      kind: "node",
    });
    expect(heard(RTM_RULE.DEL, encodeRule({ ...guard, priority: PRIORITY.eni + 100 }))).toBeUndefined();
    expect(heard(RTM_RULE.DEL, encodeRule({ ...rule, priority: 9, table: 100 }))).toBeUndefined();
  });

  it("hears of routes in our tables, and whose they are", () => {
    expect(heard(RTM_ROUTE.DEL, route(TABLE.pods))).toEqual({ kind: "pod", address: POD });
    expect(heard(RTM_ROUTE.NEW, route(TABLE.pods))).toEqual({ kind: "pod", address: POD });
    expect(heard(RTM_ROUTE.DEL, route(TABLE.pods + 1))).toEqual({ kind: "node" });
    expect(heard(RTM_ROUTE.DEL, route(254))).toBeUndefined();
    expect(heard(RTM_ROUTE.DEL, route(7399))).toBeUndefined();
  });

  it("hears of neighbours that are gone or not permanent any more", () => {
    const mac = parseMac("02:00:00:00:00:01") ?? expect.fail("no MAC");
    const of = (index: number, state: number): Uint8Array =>
      encodeNeighbour({ index, dst: POD, lladdr: mac, state });
    expect(heard(RTM_NEIGHBOUR.DEL, of(9, NUD.PERMANENT))).toEqual({ kind: "pod", address: POD });
    expect(heard(RTM_NEIGHBOUR.NEW, of(9, NUD.STALE))).toEqual({ kind: "pod", address: POD });
    expect(heard(RTM_NEIGHBOUR.NEW, of(ENI, NUD.STALE))).toEqual({ kind: "node" });
    expect(heard(RTM_NEIGHBOUR.NEW, of(9, NUD.PERMANENT))).toBeUndefined();
    const forwarding = encodeNeighbour({ family: AF.BRIDGE, index: 9, lladdr: mac, state: NUD.STALE });
    expect(heard(RTM_NEIGHBOUR.NEW, forwarding)).toBeUndefined();
  });

  it("hears of the devices of pods and ENIs", () => {
    const pod = { index: 20_000, name: "tw1", group: GROUP.pods, alias: `terway:${POD}` };
    const up = { kind: "pod", address: POD, link: { hostName: "tw1", isUp: true } };
    const down = { kind: "pod", address: POD, link: { hostName: "tw1", isUp: false } };
    expect(heard(RTM_LINK.NEW, link({ ...pod, flags: IFF.UP }))).toEqual(up);
    expect(heard(RTM_LINK.NEW, link(pod))).toEqual(down);
    expect(heard(RTM_LINK.DEL, link({ ...pod, flags: IFF.UP }))).toEqual(down);
    expect(heard(RTM_LINK.NEW, link({ index: ENI, name: "eth1" }))).toEqual({ kind: "node" });
    expect(heard(RTM_LINK.NEW, link({ ...pod, group: GROUP.doomed }))).toBeUndefined();
    expect(heard(RTM_LINK.NEW, link({ ...pod, alias: "mine" }))).toBeUndefined();
    expect(heard(RTM_LINK.NEW, link({ index: 9, name: "docker0" }))).toBeUndefined();
  });

  it("hears of our nftables tables, whatever happens to them, and of no other", () => {
    expect(heard((10 << 8) | 2, nft(IPVLAN_NFT.table))).toEqual({ kind: "node" });
    for (const command of [0, 2, 3, 5, 6, 8, 9, 11, 12, 14])
      expect(heard((10 << 8) | command, nft(NFT.table))).toEqual({ kind: "all" });
    expect(heard((10 << 8) | 14, nft("filter"))).toBeUndefined();
    // NFT_MSG_NEWGEN: the number of the generation is where a table's name would be.
    expect(heard((10 << 8) | 15, nft(NFT.table))).toBeUndefined();
  });

  it("hears of settings that were written, and not of those that a device is born with", () => {
    expect(heard(80, netconf({ ifIndex: ENI, forwarding: 1 }))).toEqual({ kind: "node" });
    expect(heard(80, netconf({ ifIndex: -1, rpFilter: 1 }))).toEqual({ kind: "node" });
    expect(heard(80, netconf({ ifIndex: 20_000, forwarding: 0 }))).toEqual({
      kind: "device",
      ifIndex: 20_000,
    });
    expect(heard(80, netconf({ ifIndex: 20_000, rpFilter: 2 }))).toEqual({ kind: "device", ifIndex: 20_000 });
    expect(heard(80, netconf({ ifIndex: 20_000, forwarding: 1 }))).toBeUndefined();
    expect(heard(80, netconf({ ifIndex: 20_000, forwarding: 0, rpFilter: 0 }))).toBeUndefined();
    expect(heard(80, netconf({ ifIndex: 9, forwarding: 0 }))).toBeUndefined();
  });

  it("does not hear what the agent itself asked for", () => {
    expect(heard(RTM_ROUTE.DEL, route(TABLE.pods), OWN)).toBeUndefined();
    expect(heard((10 << 8) | 2, nft(NFT.table), OWN)).toBeUndefined();
  });
});
