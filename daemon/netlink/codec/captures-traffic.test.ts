/**
 * What tc(8) sent, beside what we send for the same, and what a kernel showed of it.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { v4, v6 } from "../../../test/captures/literals.ts";
import { readCapture, readDump } from "../../../test/captures/read-capture.ts";
import { type RawMessage } from "./header.ts";
import { decodeMessage } from "./message.ts";
import { type Request } from "./request.ts";
import { TC_H } from "./tc.ts";
import { type Action, MIRRED, PACKET, TC_ACT, TUNNEL_KEY } from "./tc-action.ts";
import {
  actionBase,
  addFilter,
  deleteFilter,
  encodeFilter,
  ETH_P,
  keysOf,
  type U32Key,
} from "./tc-filter.ts";
import { addClsact, decodeQdisc, deleteQdisc, encodeQdisc, setTbf } from "./tc-qdisc.ts";

const EGRESS = { index: 1, parent: TC_H.CLSACT_EGRESS };
const redirect = (direction: number): Action => ({
  kind: "mirred",
  options: { parameters: { ...actionBase(TC_ACT.STOLEN), direction, target: 13 } },
});

const REQUESTS: readonly (readonly [capture: string, request: Request])[] = [
  ["tc-qdisc-add-clsact", addClsact(1)],
  [
    "tc-filter-add-ip",
    addFilter({ ...EGRESS, priority: 7, protocol: ETH_P.IP }, { ip: v4("172.16.0.0"), bits: 12 }, [
      redirect(MIRRED.INGRESS_REDIR),
    ]),
  ],
  [
    "tc-filter-add-ip6",
    addFilter({ ...EGRESS, priority: 8, protocol: ETH_P.IPV6 }, { ip: v6("fd00:1:2::"), bits: 49 }, [
      redirect(MIRRED.EGRESS_REDIR),
    ]),
  ],
  [
    "tc-filter-add-all",
    addFilter({ index: 1, parent: TC_H.CLSACT_INGRESS, priority: 9, protocol: ETH_P.ALL }, undefined, [
      redirect(MIRRED.EGRESS_REDIR),
    ]),
  ],
  [
    "tc-filter-add-three-actions",
    addFilter({ ...EGRESS, priority: 10, protocol: ETH_P.IP }, { ip: v4("10.0.0.1"), bits: 32 }, [
      {
        kind: "tunnel_key",
        options: { parameters: { ...actionBase(), operation: TUNNEL_KEY.RELEASE }, noChecksum: 0 },
      },
      { kind: "skbedit", options: { parameters: actionBase(), packetType: PACKET.HOST } },
      redirect(MIRRED.INGRESS_REDIR),
    ]),
  ],
  ["tc-filter-delete", deleteFilter({ ...EGRESS, priority: 7, protocol: ETH_P.IP })],
  ["tc-qdisc-delete-root", deleteQdisc({ index: 1, parent: TC_H.ROOT })],
];

function only(capture: string): RawMessage {
  const [message] = readCapture(capture);
  if (message === undefined) throw new Error(`${capture} is empty`);
  return message;
}

describe("what tc(8) sent", () => {
  it.each(REQUESTS)("%s means what we send", (capture, request) => {
    const { type, payload } = only(capture);
    expect(decodeMessage({ type: request.type, flags: 0, seq: 0, payload: request.payload })).toEqual(
      decodeMessage({ type, flags: 0, seq: 0, payload }),
    );
    expect(request.type).toBe(type);
  });

  it.each(REQUESTS.filter(([, { type }]) => type === 44 || type === 45))(
    "%s is written back as it was",
    (capture) => {
      const { type, payload } = only(capture);
      const message = decodeMessage({ type, flags: 0, seq: 0, payload });
      if (message.kind !== "filter") throw new Error(message.kind);
      expect(encodeFilter(message.filter)).toHaveLength(payload.length);
    },
  );

  it.each(["tc-qdisc-add-tbf", "tc-qdisc-add-tbf-fast", "tc-qdisc-add-clsact", "tc-qdisc-add-fq"])(
    "%s is written back with the same bytes' worth",
    (capture) => {
      const { payload } = only(capture);
      const qdisc = decodeQdisc(payload);
      expect(qdisc.kind).not.toBe("raw");
      expect(encodeQdisc(qdisc)).toHaveLength(payload.length);
      expect(decodeQdisc(encodeQdisc(qdisc))).toEqual(qdisc);
    },
  );

  it("has the rate, the burst and the limit that we send; a table of times we need not", () => {
    const theirs = decodeQdisc(only("tc-qdisc-add-tbf").payload);
    const tbf = { bytesPerSecond: 1_250_000, burstBytes: 32_768, limitBytes: 65_536, bufferTicks: 409_593 };
    const ours = decodeQdisc(setTbf(1, 0x1_0000, tbf, "create").payload);
    if (theirs.kind !== "tbf" || ours.kind !== "tbf") throw new Error("another discipline");
    const { rateTable, ...options } = theirs.options ?? {};
    expect(rateTable).toHaveLength(1024);
    const theirRate = options.parameters?.rate;
    expect({ ...theirs, options }).toEqual({
      ...ours,
      options: {
        ...ours.options,
        parameters: {
          ...ours.options?.parameters,
          rate: { ...ours.options?.parameters?.rate, cellLog: theirRate?.cellLog, cellAlign: -1 },
        },
      },
    });
  });

  it("says more than 32 bits in an attribute of its own, as we do", () => {
    const theirs = decodeQdisc(only("tc-qdisc-add-tbf-fast").payload);
    const tbf = { bytesPerSecond: 5_000_000_000, burstBytes: 1, limitBytes: 1, bufferTicks: 1 };
    const ours = decodeQdisc(setTbf(13, 0x2_0000, tbf).payload);
    if (theirs.kind !== "tbf" || ours.kind !== "tbf") throw new Error("another discipline");
    expect(ours.options?.rate64).toEqual(theirs.options?.rate64);
    expect(ours.options?.parameters?.rate.rate).toBe(theirs.options?.parameters?.rate.rate);
  });
});

/** Without counters and times, which are of the day. */
function lasting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lasting);
  if (typeof value !== "object" || value === null) return value;
  const passing = ["stats", "stats2", "counters", "times"];
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !passing.includes(name))
      .map(([name, field]: [string, unknown]) => [name, lasting(field)]),
  );
}

describe("qdiscs", () => {
  it("are what the kernel has of all devices, its own times instead of the burst", () => {
    const none = { cellLog: 0, linkLayer: 0, overhead: 0, cellAlign: 0, mpu: 0, rate: 0 };
    const common = { family: 0, index: 1, hardwareOffload: 0 };
    expect(lasting(readDump("qdiscs"))).toEqual(
      [
        {
          ...common,
          handle: 0x1_0000,
          parent: TC_H.ROOT,
          info: 2,
          kind: "tbf",
          options: {
            parameters: {
              rate: { ...none, linkLayer: 1, rate: 1_250_000 },
              peakRate: none,
              limit: 65_536,
              buffer: 409_600,
              mtu: 0,
            },
          },
        },
        {
          ...common,
          handle: 0xffff_0000,
          parent: TC_H.INGRESS,
          info: 1,
          kind: "clsact",
          options: {},
        },
        {
          ...common,
          index: 13,
          handle: 0x2_0000,
          parent: TC_H.ROOT,
          info: 2,
          kind: "tbf",
          options: {
            parameters: {
              rate: { ...none, linkLayer: 1, rate: 0xffffffff },
              peakRate: none,
              limit: 20_971_520,
              buffer: 32_767,
              mtu: 0,
            },
            rate64: 5_000_000_000n,
          },
        },
      ].map((qdisc) => ({ kind: "qdisc", deleted: false, qdisc })),
    );
  });
});

function word(offset: number, mask: number, value: number): U32Key {
  return { offset, mask, value, offsetMask: 0 };
}

describe("filters", () => {
  it("are those of one place: each priority, its hash table, and what is in it", () => {
    const common = { family: 0, index: 1, parent: TC_H.CLSACT_EGRESS, kind: "u32", chain: 0 };
    const shown = (
      header: { readonly priority: number; readonly protocol: number },
      table: number,
      keys: readonly U32Key[],
      direction: number,
      index: number,
    ) => {
      const parameters = {
        ...actionBase(TC_ACT.STOLEN),
        references: 1,
        bindings: 1,
        direction,
        index,
        target: 13,
      };
      const action = { kind: "mirred", options: { parameters }, unknown: ["10: 4"] };
      const options = { actions: [action], flags: 8, hash: table, selector: { flags: 1, keys } };
      return [
        { ...common, ...header, handle: 0 },
        { ...common, ...header, handle: table, options: { divisor: 1 } },
        { ...common, ...header, handle: table + 0x800, options },
      ].map((filter) => ({ kind: "filter", deleted: false, filter }));
    };
    expect(lasting(readDump("filters"))).toEqual([
      ...shown(
        { priority: 7, protocol: ETH_P.IP },
        0x8000_0000,
        [word(16, 0xfff0_0000, 0xac10_0000)],
        MIRRED.INGRESS_REDIR,
        1,
      ),
      ...shown(
        { priority: 8, protocol: ETH_P.IPV6 },
        0x8010_0000,
        [word(24, 0xffff_ffff, 0xfd00_0001), word(28, 0xffff_8000, 0x0002_0000)],
        MIRRED.EGRESS_REDIR,
        2,
      ),
    ]);
  });
});

function masks(bits: number): readonly number[] {
  return keysOf({ ip: v6("fd00::1"), bits }).map(({ mask }) => mask);
}

describe("keysOf()", () => {
  it("fits everything where there is no bit to compare", () => {
    const all = [{ mask: 0, value: 0, offset: 0, offsetMask: 0 }];
    expect(keysOf(undefined)).toEqual(all);
    expect(keysOf({ ip: v4("0.0.0.0"), bits: 0 })).toEqual(all);
  });

  it("has a word for each 32 bits of an IPv6 prefix, whole ones too", () => {
    expect(masks(1)).toEqual([0x8000_0000]);
    expect(masks(32)).toEqual([0xffff_ffff]);
    expect(masks(64)).toEqual([0xffff_ffff, 0xffff_ffff]);
    expect(masks(128)).toEqual([0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
  });
});
