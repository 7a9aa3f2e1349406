/**
 * Links as a kernel showed them, decoded to whole values.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { hw, v4 } from "../../../test/captures/literals.ts";
import { readCapture, readDump } from "../../../test/captures/read-capture.ts";
import { NLMSG } from "./header.ts";
import { decodeLink, encodeLink, RTM_LINK } from "./link.ts";
import { IFF } from "./link-base.ts";

const CONF = {
  forwarding: 0,
  mcForwarding: 0,
  proxyArp: 0,
  acceptRedirects: 1,
  secureRedirects: 1,
  sendRedirects: 1,
  sharedMedia: 1,
  rpFilter: 0,
  acceptSourceRoute: 1,
  bootpRelay: 0,
  logMartians: 0,
  tag: 0,
  arpFilter: 0,
  mediumId: 0,
  disableXfrm: 0,
  disablePolicy: 0,
  forceIgmpVersion: 0,
  arpAnnounce: 0,
  arpIgnore: 0,
  promoteSecondaries: 0,
  arpAccept: 0,
  arpNotify: 0,
  acceptLocal: 0,
  srcValidMark: 0,
  proxyArpPvlan: 0,
  routeLocalnet: 0,
  igmpv2UnsolicitedReportIntervalMs: 10_000,
  igmpv3UnsolicitedReportIntervalMs: 1000,
  ignoreRoutesWithLinkdown: 0,
  dropUnicastInL2Multicast: 0,
  dropGratuitousArp: 0,
  bcForwarding: 0,
  arpEvictNocarrier: 1,
};

/** Attributes of 6.18 that have no name here, as `number: length`. */
const UNKNOWN =
  "17: 1, 67: 1, 30: 4, 61: 4, 40: 4, 41: 4, 58: 4, 63: 4, 64: 4, 59: 4, 60: 4, 66: 4, 35: 4, 47: 4, 48: 4, 68: 2, " +
  "69: 2, 39: 1, 23: 200, 7: 96, 43: 8, 14: 32, 32830: 0, 32833: 0";

describe("links", () => {
  const links = readDump("links");
  const named = (name: string): unknown =>
    links.find((message) => JSON.stringify(message).includes(`"name":"${name}"`));

  it("has one message for each device", () => {
    expect(readCapture("links").map(({ type }) => type)).toEqual([
      ...Array<number>(5).fill(RTM_LINK.NEW),
      NLMSG.DONE,
    ]);
  });

  it("is a veth with its peer's index and namespace", () => {
    expect(named("v0")).toEqual({
      kind: "link",
      deleted: false,
      link: {
        family: 0,
        deviceType: 1,
        index: 10,
        flags: IFF.UP | IFF.BROADCAST | IFF.MULTICAST,
        change: 0,
        name: "v0",
        alias: "pod-a",
        address: hw("02:00:00:00:00:0a"),
        broadcast: hw("ff:ff:ff:ff:ff:ff"),
        mtu: 1400,
        minMtu: 68,
        maxMtu: 65_535,
        link: 11,
        linkNetnsId: 5,
        group: 77,
        qdisc: "noqueue",
        txQueueLength: 1000,
        operState: 2,
        carrier: 0,
        numTxQueues: 2,
        numRxQueues: 2,
        info: { kind: "veth" },
        afSpec: { inet: { conf: CONF }, unknown: ["10: 300"] },
        unknown: UNKNOWN.split(", "),
      },
    });
  });

  it("is a vxlan in a bridge", () => {
    expect(named("vx")).toMatchObject({
      link: {
        index: 12,
        master: 13,
        info: {
          kind: "vxlan",
          options: {
            id: 1,
            local: v4("10.0.0.1"),
            port: 8472,
            learning: 0,
            ttl: 0,
            tos: 0,
            proxy: 0,
            rsc: 0,
            l2miss: 0,
            l3miss: 0,
            collectMetadata: 0,
            ageingSeconds: 300,
            udpCsum: 1,
            udpZeroCsum6Tx: 0,
            udpZeroCsum6Rx: 0,
          },
          portKind: "bridge",
        },
      },
    });
  });

  it("is a macvlan and a bridge", () => {
    expect(named("mv")).toMatchObject({
      link: { link: 10, info: { kind: "macvlan", options: { mode: 4, flags: 0 } } },
    });
    expect(named("br")).toMatchObject({
      link: { info: { kind: "bridge", options: { stpState: 0, vlanFiltering: 0, priority: 0x8000 } } },
    });
  });

  it("loses nothing on the way through: decoded, encoded and decoded again it is the same", () => {
    for (const { type, payload } of readCapture("links")) {
      if (type !== RTM_LINK.NEW) continue;
      const link = decodeLink(payload);
      const again = encodeLink(link);
      expect(decodeLink(again)).toEqual(link);
      // The settings come as an array and go as attributes, twice as long: 33 of 4 bytes.
      expect(again.length).toBe(payload.length + 33 * 4);
    }
  });
});
