/**
 * Queueing disciplines and filters for property tests.
 *
 * @module
 */
import * as fc from "fast-check";
import { bytes, i32, record, text, u16, u32, u8, unknown } from "./message.ts";

const i16 = fc.integer({ min: -0x8000, max: 0x7fff });
const rate = fc.record({ cellLog: u8, linkLayer: u8, overhead: u16, cellAlign: i16, mpu: u16, rate: u32 });
const tbf = record(
  {},
  {
    parameters: fc.record({ rate, peakRate: rate, limit: u32, buffer: u32, mtu: u32 }),
    rateTable: bytes,
    rate64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    burst: u32,
    unknown,
  },
);
const tcHeader = { family: u8, index: i32, handle: u32, parent: u32 };
const rawKind = record(
  { kind: fc.constant("raw" as const) },
  { name: text.map((name) => `x${name}`), data: bytes },
);
export const qdisc = fc
  .tuple(
    record({ ...tcHeader, info: u32 }, { stats: bytes, stats2: bytes, hardwareOffload: u8, unknown }),
    fc.oneof(
      record({ kind: fc.constant("tbf" as const) }, { options: tbf }),
      record({ kind: fc.constant("fq" as const) }, { options: record({}, { limit: u32, unknown }) }),
      record({ kind: fc.constant("clsact" as const) }, { options: record({}, { unknown }) }),
      record({ kind: fc.constant("ingress" as const) }, { options: record({}, { unknown }) }),
      rawKind,
    ),
  )
  .map(([header, kind]) => ({ ...header, ...kind }));
const base = { index: u32, capabilities: u32, verdict: i32, references: i32, bindings: i32 };
const action = fc
  .tuple(
    fc.oneof(
      fc.record({
        kind: fc.constant("mirred" as const),
        options: record({}, { parameters: fc.record({ ...base, direction: u32, target: u32 }), unknown }),
      }),
      fc.record({
        kind: fc.constant("skbedit" as const),
        options: record({}, { parameters: fc.record(base), packetType: u16, mark: u32, unknown }),
      }),
      fc.record({
        kind: fc.constant("tunnel_key" as const),
        options: record({}, { parameters: fc.record({ ...base, operation: u32 }), unknown }),
      }),
      rawKind,
    ),
    record({}, { index: u32, stats: bytes, unknown }),
  )
  .map(([kind, rest]) => ({ ...kind, ...rest }));
const u32Options = record(
  {},
  {
    classId: u32,
    hash: u32,
    actions: fc.array(action, { maxLength: 3 }),
    selector: record(
      {
        flags: u8,
        keys: fc.array(fc.record({ mask: u32, value: u32, offset: i32, offsetMask: i32 }), { maxLength: 4 }),
      },
      { rest: fc.uint8Array({ minLength: 13, maxLength: 13 }).map((all) => all.with(0, all[0] || 1)) },
    ),
    flags: u32,
    unknown,
  },
);
export const filter = fc
  .tuple(
    record({ ...tcHeader, priority: u16, protocol: u16 }, { chain: u32, stats2: bytes, unknown }),
    fc.oneof(record({ kind: fc.constant("u32" as const) }, { options: u32Options }), rawKind),
  )
  .map(([header, kind]) => ({ ...header, ...kind }));
