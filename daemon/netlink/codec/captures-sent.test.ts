/**
 * What ip(8), bridge(8), nft(8) and conntrack(8) sent, beside what we send for the same: both have to mean the same to
 * whoever reads them.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { hex, hw, v4, v6 } from "../../../test/captures/literals.ts";
import { readCapture } from "../../../test/captures/read-capture.ts";
import { addAddress, IFA_F } from "./address.ts";
import { CONNTRACK, decodeConntrack, deleteConntrack } from "./conntrack.ts";
import { NLM_F } from "./header.ts";
import { hostPrefix } from "./ip.ts";
import { createLink, deleteLinkGroup, RTM_LINK, setLink } from "./link.ts";
import { IFF } from "./link-base.ts";
import { IPVLAN_MODE, MACVLAN_MODE } from "./link-info.ts";
import { decodeMessage } from "./message.ts";
import { NTF, NUD, setForwarding, setNeighbour } from "./neighbour.ts";
import {
  addElements,
  decodeSetElements,
  deleteElements,
  NFNL_BATCH,
  nftBatch,
  type SetElement,
} from "./nft-element.ts";
import { type NftType } from "./nft-value.ts";
import { assignNsid } from "./nsid.ts";
import { type Request } from "./request.ts";
import { addRoute, RT_SCOPE, RTN, RTNH_F, RTPROT } from "./route.ts";
import { addRule } from "./rule.ts";

const REQUESTS: readonly (readonly [capture: string, request: Request])[] = [
  [
    "ip-link-add-veth",
    createLink({
      name: "v0",
      index: 10,
      address: hw("02:00:00:00:00:0a"),
      mtu: 1400,
      info: {
        kind: "veth",
        options: {
          peer: { name: "eth0", index: 11, address: hw("02:00:00:00:00:0b"), netNsFd: 4 },
        },
      },
    }),
  ],
  [
    "ip-link-add-vxlan",
    createLink({
      name: "vx",
      index: 12,
      address: hw("02:00:00:00:00:0c"),
      info: { kind: "vxlan", options: { id: 1, port: 8472, local: v4("10.0.0.1"), learning: 0 } },
    }),
  ],
  [
    "ip-link-add-bridge",
    createLink({ name: "br", index: 13, address: hw("02:00:00:00:00:0d"), info: { kind: "bridge" } }),
  ],
  [
    "ip-link-add-macvlan",
    createLink({
      name: "mv",
      index: 14,
      link: 10,
      address: hw("02:00:00:00:00:0e"),
      info: { kind: "macvlan", options: { mode: MACVLAN_MODE.BRIDGE } },
    }),
  ],
  [
    "ip-link-add-ipvlan",
    createLink({
      name: "iv",
      index: 15,
      link: 10,
      info: { kind: "ipvlan", options: { mode: IPVLAN_MODE.L2, flags: 0 } },
    }),
  ],
  ["ip-link-set-up", setLink({ index: 10, flags: IFF.UP, change: IFF.UP })],
  ["ip-link-set-alias", setLink({ index: 10, alias: "pod-a" })],
  ["ip-link-set-group", setLink({ index: 10, group: 77 })],
  ["ip-link-set-master", setLink({ index: 12, master: 13 })],
  ["ip-link-delete-group", deleteLinkGroup(77)],
  [
    "ip-address-add",
    addAddress({ index: 10, local: v4("10.0.0.1"), prefixLength: 32, flags: IFA_F.NOPREFIXROUTE }),
  ],
  [
    "ip-route-add-link",
    addRoute({
      dst: { ip: v4("10.1.0.0"), bits: 16 },
      oif: 10,
      protocol: 77,
      prefSrc: v4("10.0.0.1"),
    }),
  ],
  [
    "ip-route-add-onlink",
    addRoute({
      gateway: v4("10.9.0.1"),
      oif: 10,
      table: 1000,
      protocol: 77,
      flags: RTNH_F.ONLINK,
      priority: 5,
      metrics: { mtu: 1300, lock: 1 << 2 },
    }),
  ],
  [
    "ip-route-add-via-inet6",
    addRoute({
      dst: { ip: v4("10.2.0.0"), bits: 16 },
      via: { family: 10, address: v6("fe80::1") },
      oif: 10,
      table: 1000,
      protocol: RTPROT.BOOT,
    }),
  ],
  [
    "ip-route-add-multipath",
    addRoute({
      dst: { ip: v4("10.3.0.0"), bits: 16 },
      table: 1000,
      protocol: RTPROT.BOOT,
      multipath: [
        { gateway: v4("10.9.0.1"), oif: 10, weight: 3, flags: RTNH_F.ONLINK },
        { oif: 10, weight: 1, flags: 0 },
      ],
    }),
  ],
  [
    "ip-route-add-blackhole",
    addRoute({
      dst: { ip: v4("10.4.0.0"), bits: 16 },
      type: RTN.BLACKHOLE,
      table: 1000,
      protocol: RTPROT.BOOT,
    }),
  ],
  [
    "ip-route-add-local",
    addRoute({
      dst: hostPrefix(v4("10.5.0.1")),
      type: RTN.LOCAL,
      oif: 1,
      table: 1000,
      protocol: RTPROT.BOOT,
      scope: RT_SCOPE.HOST,
    }),
  ],
  [
    "ip-rule-add",
    addRule({
      src: hostPrefix(v4("10.0.0.1")),
      dst: { ip: v4("10.0.0.0"), bits: 8 },
      iifName: "v0",
      fwmark: 0x10,
      fwmask: 0xf0,
      table: 1000,
      priority: 512,
      protocol: 77,
      suppressPrefixLength: 0,
    }),
  ],
  [
    "ip-neighbour-add",
    setNeighbour(
      { index: 10, dst: v4("10.0.0.9"), lladdr: hw("02:00:00:00:00:09"), state: NUD.PERMANENT },
      "create",
    ),
  ],
  [
    "bridge-fdb-append",
    setForwarding(
      { index: 12, dst: v4("10.0.0.77"), lladdr: hw("02:00:00:00:00:77"), flags: NTF.SELF },
      "append",
    ),
  ],
  ["ip-netns-set", assignNsid(6, 5)],
];

describe("what ip(8) and bridge(8) sent", () => {
  it.each(REQUESTS)("%s is what we send", (capture, request) => {
    const [theirs, ...others] = readCapture(capture);
    if (theirs === undefined) throw new Error(`${capture} is empty`);
    expect(others).toEqual([]);
    expect({ type: theirs.type, flags: theirs.flags }).toEqual({
      type: request.type,
      flags: request.flags | NLM_F.ACK,
    });
    const ours = { type: request.type, flags: request.flags, seq: 0, payload: request.payload };
    expect(decodeMessage(ours)).toEqual(decodeMessage(theirs));
  });

  it.each(["ip-link-set-up", "ip-link-set-group", "ip-link-set-master", "ip-address-add", "ip-rule-add"])(
    "%s has the very length of ours, padding and all",
    (capture) => {
      const request = REQUESTS.find(([name]) => name === capture)?.[1];
      expect(request?.payload.length).toBe(readCapture(capture)[0]?.payload.length);
    },
  );

  it("asks the kernel to take a link that is there as a failure, or not", () => {
    expect(createLink({ name: "v0" }).flags & NLM_F.EXCL).toBe(NLM_F.EXCL);
    expect(setLink({ index: 1 })).toMatchObject({ type: RTM_LINK.NEW, flags: NLM_F.REQUEST });
  });
});

const TARGET = { family: 2, table: "t" };
const mark = (ip: string, value: number): SetElement => ({
  key: [{ kind: "ip", ip: v4(ip) }],
  data: { kind: "mark", mark: value },
});
type NftCase = {
  readonly capture: string;
  readonly key: readonly NftType[];
  readonly changes: readonly Request[];
};
const NFT: readonly NftCase[] = [
  {
    capture: "nft-add-mark",
    key: ["ip"],
    changes: addElements({ ...TARGET, set: "marks" }, [mark("10.0.0.1", 0x10), mark("10.0.0.2", 0x11)]),
  },
  {
    capture: "nft-add-verdict",
    key: ["ip", "mark"],
    changes: addElements({ ...TARGET, set: "verdicts" }, [
      {
        key: [
          { kind: "ip", ip: v4("10.0.0.1") },
          { kind: "mark", mark: 0x10 },
        ],
        data: { kind: "verdict", verdict: "goto", chain: "c" },
      },
    ]),
  },
  {
    capture: "nft-add-range",
    key: ["ip", "port"],
    changes: addElements({ ...TARGET, set: "blocks" }, [
      {
        key: [
          { kind: "ip", ip: v4("10.0.0.0") },
          { kind: "port", port: 80 },
        ],
        keyEnd: [
          { kind: "ip", ip: v4("10.0.0.255") },
          { kind: "port", port: 443 },
        ],
      },
    ]),
  },
  {
    capture: "nft-delete-mark",
    key: ["ip"],
    changes: deleteElements({ ...TARGET, set: "marks" }, [{ key: [{ kind: "ip", ip: v4("10.0.0.2") }] }]),
  },
];

describe("what nft(8) sent", () => {
  it.each(NFT)("$capture is what we send", ({ capture, key, changes }) => {
    const theirs = readCapture(capture);
    const ours = nftBatch(changes);
    const [first, change, last] = ours;
    const [theirFirst, theirChange, theirLast] = theirs;
    expect(theirs.map(({ type }) => type)).toEqual(ours.map(({ type }) => type));
    expect(theirs.length).toBe(3);
    expect([first, last]).toEqual([
      { type: NFNL_BATCH.BEGIN, flags: theirFirst?.flags, payload: theirFirst?.payload },
      { type: NFNL_BATCH.END, flags: theirLast?.flags, payload: theirLast?.payload },
    ]);
    const types = { key, data: "mark" } as const;
    const said = decodeSetElements(theirChange?.payload ?? hex(""), types);
    // nft numbers its sets; ours have the name alone.
    expect(said).toEqual(decodeSetElements(change?.payload ?? hex(""), types));
    expect((change?.flags ?? 0) & ~NLM_F.ACK).toBe(theirChange?.flags);
  });
});

describe("what conntrack(8) sent", () => {
  it("deletes by the tuple as we do; we add the id", () => {
    const [theirs] = readCapture("conntrack-delete");
    const [entry] = readCapture("conntrack").map(({ payload }) => decodeConntrack(payload));
    if (theirs === undefined || entry?.orig === undefined) throw new Error("empty capture");
    const request = deleteConntrack(entry);
    expect([request.type, request.flags | NLM_F.ACK]).toEqual([theirs.type, theirs.flags]);
    expect(theirs.type).toBe(CONNTRACK.DEL);
    const said = decodeConntrack(theirs.payload);
    expect(decodeConntrack(request.payload)).toEqual({
      family: said.family,
      orig: said.orig,
      id: entry.id,
    });
  });

  it("is asked for a whole tuple before it deletes: without, the kernel empties the table", () => {
    expect(() => deleteConntrack({ family: 2 })).toThrow(TypeError);
    expect(() => deleteConntrack({ family: 2, orig: { ip: { src: v4("10.0.0.1") } } })).toThrow(TypeError);
  });
});
