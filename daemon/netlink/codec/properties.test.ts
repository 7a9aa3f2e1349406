/**
 * What holds for each codec of this folder: it undoes itself, and no bytes make it throw anything but a DecodeError.
 *
 * @module
 */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { intToIpv4, macFromBytes } from "../../../proto/addr.ts";
import { hw } from "../../../test/captures/literals.ts";
import { decodeAddress, encodeAddress } from "./address.ts";
import { bytes, i32, record, text, u16, u32, u8, unknown } from "../../../test/arbitrary/message.ts";
import { filter, qdisc } from "../../../test/arbitrary/traffic.ts";
import { decodeConntrack, encodeConntrack } from "./conntrack.ts";
import { decodeAck, decodeDone, encodeAck } from "./error.ts";
import { messagesOf } from "./header.ts";
import { ipFromBytes } from "../../../proto/addr6.ts";
import { AF } from "./ip.ts";
import { decodeLink, encodeLink } from "./link.ts";
import { type LinkInfo } from "./link-info.ts";
import { decodeMessage } from "./message.ts";
import { decodeNeighbour, encodeNeighbour } from "./neighbour.ts";
import { decodeSetElements, encodeSetElements } from "./nft-element.ts";
import { decodeNsid, encodeNsid } from "./nsid.ts";
import { decodeRoute, encodeRoute } from "./route.ts";
import { decodeRule, encodeRule } from "./rule.ts";
import { decodeFilter, encodeFilter } from "./tc-filter.ts";
import { decodeQdisc, encodeQdisc } from "./tc-qdisc.ts";
import { DecodeError } from "./wire.ts";

const v4 = u32.map(intToIpv4);
const ip = fc.oneof(
  v4,
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => ipFromBytes(bytes) ?? intToIpv4(0)),
);
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => macFromBytes(bytes) ?? hw("02:00:00:00:00:01"));
const prefix = ip.chain((address) =>
  fc.record({ ip: fc.constant(address), bits: fc.nat(address.includes(":") ? 128 : 32) }),
);

const linkHeader = { family: u8, deviceType: u16, index: i32, flags: u32, change: u32 };
const linkFields = {
  address: mac,
  name: text,
  mtu: u32,
  link: i32,
  master: u32,
  alias: text,
  group: u32,
  netNsFd: u32,
  linkNetnsId: i32,
  permAddress: mac,
  unknown,
};
const conf = record(
  {},
  { forwarding: i32, proxyArp: i32, rpFilter: i32, arpAnnounce: i32, arpEvictNocarrier: i32 },
);
const info: fc.Arbitrary<LinkInfo> = fc
  .tuple(
    fc.oneof(
      record(
        { kind: fc.constant("veth" as const) },
        { options: record({}, { peer: record(linkHeader, linkFields), unknown }) },
      ),
      record(
        { kind: fc.constant("vxlan" as const) },
        { options: record({}, { id: u32, local: ip, learning: u8, port: u16, group: ip, unknown }) },
      ),
      record(
        { kind: fc.constant("ipvlan" as const) },
        { options: record({}, { mode: u16, flags: u16, unknown }) },
      ),
      record(
        { kind: fc.constant("macvlan" as const) },
        { options: record({}, { mode: u32, flags: u16, unknown }) },
      ),
      record(
        { kind: fc.constant("bridge" as const) },
        { options: record({}, { stpState: u32, vlanFiltering: u8, priority: u16, unknown }) },
      ),
      record({ kind: fc.constant("raw" as const) }, { name: text.map((name) => `x${name}`), data: bytes }),
    ),
    record({}, { portKind: text, portData: bytes, unknown }),
  )
  .map(([kind, port]) => ({ ...kind, ...port }));
const link = record(linkHeader, {
  ...linkFields,
  info,
  afSpec: record({}, { inet: record({}, { conf, unknown }), unknown }),
});

const address = record(
  { family: u8, prefixLength: u8, flags: u32, scope: u8, index: u32 },
  { address: ip, local: ip, label: text, broadcast: ip, metric: u32, protocol: u8, unknown },
);
const via = fc.record({ family: u16, address: ip });
const nextHop = record(
  { flags: u8, weight: fc.integer({ min: 1, max: 256 }), oif: i32 },
  { gateway: ip, flow: u32, via, unknown },
);
const route = record(
  { family: u8, tos: u8, table: u32, protocol: u8, scope: u8, type: u8, flags: u32 },
  {
    dst: prefix,
    src: prefix,
    oif: u32,
    gateway: ip,
    priority: u32,
    prefSrc: ip,
    metrics: record({}, { mtu: u32, lock: u32, unknown }),
    multipath: fc.array(nextHop, { maxLength: 3 }),
    via,
    unknown,
  },
);
const rule = record(
  { family: u8, tos: u8, table: u32, action: u8, flags: u32 },
  {
    dst: prefix,
    src: prefix,
    iifName: text,
    oifName: text,
    priority: u32,
    fwmark: u32,
    fwmask: u32,
    suppressPrefixLength: i32,
    protocol: u8,
    unknown,
  },
);
const neighbour = record(
  { family: u8, index: i32, state: u16, flags: u8, type: u8 },
  { dst: ip, lladdr: mac, probes: u32, vlan: u16, port: u16, vni: u32, master: u32, flagsExt: u32, unknown },
);
const nsid = record({}, { nsid: i32, fd: u32, pid: u32, unknown });
const tuple = record(
  {},
  {
    ip: record({}, { src: v4, dst: v4, unknown }),
    proto: record({}, { number: u8, srcPort: u16, dstPort: u16, icmpId: u16, unknown }),
    zone: u16,
  },
);
const entry = record(
  { family: fc.constantFrom(AF.INET, AF.INET6) },
  { orig: tuple, reply: tuple, status: u32, timeoutSeconds: u32, mark: u32, id: u32, zone: u16, unknown },
);
const key = fc.tuple(
  fc.record({ kind: fc.constant("ifindex" as const), ifIndex: u32 }),
  fc.record({ kind: fc.constant("ip" as const), ip: v4 }),
  fc.record({ kind: fc.constant("port" as const), port: u16 }),
  fc.record({ kind: fc.constant("protocol" as const), protocol: u8 }),
  fc.record({ kind: fc.constant("mac" as const), mac }),
  fc.record({
    kind: fc.constant("ifname" as const),
    name: text.filter((name) => Buffer.byteLength(name) < 16),
  }),
);
const verdict = fc.oneof(
  fc.record({
    verdict: fc.constantFrom("drop", "accept", "continue", "return"),
    kind: fc.constant("verdict"),
  }),
  fc.record({ verdict: fc.constantFrom("jump", "goto"), kind: fc.constant("verdict"), chain: text }),
);
const data = fc.oneof(fc.record({ kind: fc.constant("mark" as const), mark: u32 }), verdict);
const elements = fc.record({
  family: u8,
  table: text,
  set: text,
  elements: fc.array(record({ key }, { keyEnd: key, data, flags: u32, unknown }), { maxLength: 3 }),
});
const SET_TYPES = { key: ["ifindex", "ip", "port", "protocol", "mac", "ifname"], data: "mark" } as const;
const ack = record(
  { errno: fc.nat(0x7fffffff), request: fc.record({ type: u16, seq: u32 }) },
  { message: text, offset: u32, missingType: u16, missingNest: u32, unknown },
);

type Codec = {
  readonly name: string;
  readonly values: fc.Arbitrary<unknown>;
  readonly encode: (value: never) => Uint8Array;
  readonly decode: (payload: Uint8Array) => unknown;
};

const CODECS: readonly Codec[] = [
  { name: "link", values: link, encode: encodeLink, decode: decodeLink },
  { name: "address", values: address, encode: encodeAddress, decode: decodeAddress },
  { name: "route", values: route, encode: encodeRoute, decode: decodeRoute },
  { name: "rule", values: rule, encode: encodeRule, decode: decodeRule },
  { name: "neighbour", values: neighbour, encode: encodeNeighbour, decode: decodeNeighbour },
  { name: "qdisc", values: qdisc, encode: encodeQdisc, decode: decodeQdisc },
  { name: "filter", values: filter, encode: encodeFilter, decode: decodeFilter },
  { name: "nsid", values: nsid, encode: encodeNsid, decode: decodeNsid },
  { name: "conntrack", values: entry, encode: encodeConntrack, decode: decodeConntrack },
  {
    name: "nft elements",
    values: elements,
    encode: ({ elements: list, ...target }: Parameters<typeof encodeSetElements>[0] & { elements: never }) =>
      encodeSetElements(target, list),
    decode: (payload) => decodeSetElements(payload, SET_TYPES),
  },
  {
    name: "ack",
    values: ack,
    encode: (value: Parameters<typeof encodeAck>[0]) => encodeAck(value).payload,
    decode: (payload) => decodeAck({ type: 2, flags: 0x300, seq: 0, payload }),
  },
];

/** What `act` gives, or the DecodeError it throws. Another error fails the test. */
function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof DecodeError) return error;
    throw error;
  }
}

/** Some bytes overwritten, some of the end cut off. */
const damage = fc.record({
  writes: fc.array(fc.record({ at: fc.nat(400), byte: fc.oneof(u8, fc.constantFrom(0, 1, 3, 4, 255)) }), {
    maxLength: 6,
  }),
  cut: fc.oneof(fc.constant(0), fc.nat(30)),
});

describe.each(CODECS)("$name", ({ values, encode, decode }) => {
  const encodeAny = (value: unknown): Uint8Array => Reflect.apply(encode, undefined, [value]);

  it("decodes to what was encoded", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encodeAny(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it("throws nothing but DecodeError, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (payload) => {
        attempt(() => decode(payload));
      }),
      { numRuns: 1000 },
    );
  });

  it("throws nothing but DecodeError for a damaged message, and names a byte of it", () => {
    fc.assert(
      fc.property(values, damage, (value, { writes, cut }) => {
        const whole = encodeAny(value);
        for (const { at, byte } of writes) if (at < whole.length) whole[at] = byte;
        const payload = whole.slice(0, Math.max(0, whole.length - cut));
        const outcome = attempt(() => decode(payload));
        if (outcome instanceof DecodeError) expect(outcome.offset).toBeLessThanOrEqual(payload.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe("decodeMessage()", () => {
  it("throws nothing but DecodeError for any type, flags and payload", () => {
    const message = fc.record({
      type: fc.oneof(fc.nat(100), u16),
      flags: u16,
      seq: u32,
      payload: fc.uint8Array({ maxLength: 80 }),
    });
    fc.assert(
      fc.property(message, (raw) => {
        attempt(() => decodeMessage(raw));
        attempt(() => decodeDone(raw));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("messagesOf()", () => {
  it("throws nothing but DecodeError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (received) => {
        attempt(() => [...messagesOf(received)]);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("decodeLink()", () => {
  it("bears the deepest nest that 64 KiB hold", () => {
    // A veth in the peer of a veth in the peer ...: only the first level is a level to us, the rest is bytes.
    let nest: Uint8Array = new Uint8Array();
    for (let level = 0; level < 1500; level += 1) {
      const peer = { type: 1, bytes: Uint8Array.from([...new Uint8Array(16), ...nest]) };
      const payload = encodeLink({ info: { kind: "veth", options: { unknown: [peer] } } });
      nest = payload.slice(16);
    }
    const message = Uint8Array.from([...new Uint8Array(16), ...nest]);
    expect(message.length).toBeGreaterThan(50_000);
    expect(encodeLink(decodeLink(message))).toEqual(message);
  });
});
