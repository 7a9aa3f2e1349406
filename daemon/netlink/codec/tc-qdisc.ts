/**
 * Queueing disciplines, `tc qdisc`: RTM_*QDISC, TCA_* of <linux/rtnetlink.h>, options of <linux/pkt_sched.h>. Classes
 * (RTM_*TCLASS) have the same form.
 *
 * @module
 */
import {
  attributesOf,
  type Field,
  NLA_TYPE_MASK,
  raw,
  readFields,
  schema,
  sized,
  text,
  u32,
  u8,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { MAKE, type Make, type Request } from "./request.ts";
import { CLSACT_HANDLE, readTcHeader, TC_H, type TcHeader, writeTcHeader } from "./tc.ts";
import { type Span, spanOf, Writer } from "./wire.ts";

/** RTM_*QDISC. */
export const RTM_QDISC = { NEW: 36, DEL: 37, GET: 38 } as const;
/** RTM_*TCLASS. */
export const RTM_CLASS = { NEW: 40, DEL: 41, GET: 42 } as const;

/** TC_LINKLAYER_*. With ETHERNET the kernel computes times itself; with UNAWARE it wants a table of them. */
export const TC_LINKLAYER = { UNAWARE: 0, ETHERNET: 1, ATM: 2 } as const;

/** `struct tc_ratespec`. */
export type RateSpec = {
  readonly cellLog: number;
  /** `TC_LINKLAYER`. */
  readonly linkLayer: number;
  /** Bytes that are counted on top of each packet. */
  readonly overhead: number;
  readonly cellAlign: number;
  /** Bytes that the smallest packet counts for. */
  readonly mpu: number;
  /** Bytes a second; 0xffffffff where it is more, the number being in `rate64`. */
  readonly rate: number;
};

/** `struct tc_tbf_qopt`. */
export type TbfParameters = {
  readonly rate: RateSpec;
  /** All zero: none. */
  readonly peakRate: RateSpec;
  /** Bytes that may wait. */
  readonly limit: number;
  /** The time that the burst takes at the rate, in ticks of 64 ns. */
  readonly buffer: number;
  /** The same of the peak rate's burst. */
  readonly mtu: number;
};

const NO_RATE: RateSpec = { cellLog: 0, linkLayer: 0, overhead: 0, cellAlign: 0, mpu: 0, rate: 0 };
const RATE_BYTES = 12;

const tbfParameters: Field<TbfParameters> = {
  type: 1,
  write: (writer, value) => {
    writeRate(writer, value.rate);
    writeRate(writer, value.peakRate);
    writer.u32(value.limit);
    writer.u32(value.buffer);
    writer.u32(value.mtu);
  },
  read: (span) => {
    const { view, start } = sized(span, 2 * RATE_BYTES + 12);
    return {
      rate: readRate(view, start),
      peakRate: readRate(view, start + RATE_BYTES),
      limit: view.getUint32(start + 2 * RATE_BYTES, true),
      buffer: view.getUint32(start + 2 * RATE_BYTES + 4, true),
      mtu: view.getUint32(start + 2 * RATE_BYTES + 8, true),
    };
  },
};

function writeRate(writer: Writer, rate: RateSpec): void {
  writer.u8(rate.cellLog);
  writer.u8(rate.linkLayer);
  writer.u16(rate.overhead);
  // A signed half word, which the writer has no word for.
  writer.u16(rate.cellAlign & 0xffff);
  writer.u16(rate.mpu);
  writer.u32(rate.rate);
}

function readRate(view: DataView, at: number): RateSpec {
  return {
    cellLog: view.getUint8(at),
    linkLayer: view.getUint8(at + 1),
    overhead: view.getUint16(at + 2, true),
    cellAlign: view.getInt16(at + 4, true),
    mpu: view.getUint16(at + 6, true),
    rate: view.getUint32(at + 8, true),
  };
}

/** 64 bits, host order. */
function u64(type: number): Field<bigint> {
  return {
    type,
    write: (writer, value) => {
      writer.u32(Number(BigInt.asUintN(32, value)));
      writer.u32(Number(value >> 32n));
    },
    read: (span) => sized(span, 8).view.getBigUint64(span.start, true),
  };
}

/** TCA_TBF_*. */
const TBF = schema({
  parameters: tbfParameters,
  /** Times of packets by size, 1024 bytes; only for `TC_LINKLAYER.UNAWARE`. */
  rateTable: raw(2),
  peakTable: raw(3),
  /** Bytes a second, where 32 bits are too few. */
  rate64: u64(4),
  peakRate64: u64(5),
  /** Bytes. Not in answers: there `buffer` tells. */
  burst: u32(6),
  peakBurst: u32(7),
});

/** TCA_FQ_*: a flow's packets leave in their own time; what TCP's pacing and earliest departure times want. */
const FQ = schema({
  limit: u32(1),
  flowLimit: u32(2),
  quantum: u32(3),
  initialQuantum: u32(4),
  rateEnable: u32(5),
  /** Bytes a second, of one flow. */
  flowMaxRate: u32(7),
  bucketsLog: u32(8),
  flowRefillDelay: u32(9),
  orphanMask: u32(10),
});

/** `clsact` and `ingress` have none. */
const NONE = schema({});

const KINDS = { tbf: TBF, fq: FQ, clsact: NONE, ingress: NONE } as const;

type Known = {
  [Kind in keyof typeof KINDS]: {
    readonly kind: Kind;
    readonly options?: ValuesOf<(typeof KINDS)[Kind]>;
  };
}[keyof typeof KINDS];

/** A kind without a schema. No `name`: a request that leaves the kind open. */
type Raw = { readonly kind: "raw"; readonly name?: string; readonly data?: Uint8Array };

const OPTIONS = 2;
/** TCA_*. */
const QDISC = schema({
  name: text(1),
  data: raw(OPTIONS),
  /** Counters, in two forms. */
  stats: raw(3),
  extraStats: raw(4),
  stats2: raw(7),
  hardwareOffload: u8(12),
});

type Rest = Omit<ValuesOf<typeof QDISC>, "name" | "data">;

/** A queueing discipline or a class of the kernel. */
export type Qdisc = TcHeader & (Known | Raw) & Rest;
/** In a request: what is not given is 0 in the header. */
export type QdiscMessage = Partial<TcHeader> & (Known | Raw) & Rest;

/** The payload of an RTM_*QDISC or RTM_*TCLASS. */
export function encodeQdisc(qdisc: QdiscMessage): Uint8Array {
  const writer = new Writer();
  writeTcHeader(writer, qdisc);
  writeFields(writer, QDISC, flatten(qdisc));
  return writer.take();
}

/** The inverse of `encodeQdisc`. */
export function decodeQdisc(payload: Uint8Array): Qdisc {
  const { header, rest } = readTcHeader(spanOf(payload));
  return { ...header, ...unflatten(readFields(rest, QDISC), optionsOf(rest)) };
}

/** `tc qdisc add dev INDEX clsact`. EEXIST where there is one, or `ingress`, which takes its place. */
export function addClsact(index: number): Request {
  return {
    type: RTM_QDISC.NEW,
    flags: MAKE.create,
    payload: encodeQdisc({ index, parent: TC_H.INGRESS, handle: CLSACT_HANDLE, kind: "clsact" }),
  };
}

/** Of a token bucket, in the kernel's units; `daemon/core/datapath/bandwidth.ts` computes it. */
export type Tbf = {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  /** Bytes that may wait. */
  readonly limitBytes: number;
  /** See `TbfParameters.buffer`. */
  readonly bufferTicks: number;
};

/**
 * `tc qdisc replace dev INDEX root handle MAJOR: tbf rate R burst B limit L`. The kernel computes times itself, so no table
 * is sent. EINVAL for a burst that no packet fits in.
 */
export function setTbf(index: number, handle: number, tbf: Tbf, make: Make = "replace"): Request {
  const most = 0xffffffff;
  const { bytesPerSecond } = tbf;
  const rate = { ...NO_RATE, linkLayer: TC_LINKLAYER.ETHERNET, rate: Math.min(bytesPerSecond, most) };
  return {
    type: RTM_QDISC.NEW,
    flags: MAKE[make],
    payload: encodeQdisc({
      index,
      handle,
      parent: TC_H.ROOT,
      kind: "tbf",
      options: {
        parameters: { rate, peakRate: NO_RATE, limit: tbf.limitBytes, buffer: tbf.bufferTicks, mtu: 0 },
        ...(bytesPerSecond >= most && { rate64: BigInt(bytesPerSecond) }),
        burst: tbf.burstBytes,
      },
    }),
  };
}

/** What an answer says of a token bucket; `undefined` where the discipline is another one. `burstBytes` is not in answers. */
export function tbfOf(qdisc: Qdisc): Omit<Tbf, "burstBytes"> | undefined {
  if (qdisc.kind !== "tbf" || qdisc.options?.parameters === undefined) return undefined;
  const { parameters, rate64 } = qdisc.options;
  return {
    bytesPerSecond: rate64 === undefined ? parameters.rate.rate : Number(rate64),
    limitBytes: parameters.limit,
    bufferTicks: parameters.buffer,
  };
}

/**
 * `tc qdisc delete dev INDEX root` or `… clsact`: the discipline at `parent`, with all its filters. ENOENT where no
 * `root` is, EINVAL where no `clsact` is.
 */
export function deleteQdisc(key: { readonly index: number; readonly parent: number }): Request {
  const handle = key.parent === TC_H.INGRESS ? { handle: CLSACT_HANDLE } : {};
  return {
    type: RTM_QDISC.DEL,
    flags: NLM_F.REQUEST,
    payload: encodeQdisc({ ...key, ...handle, kind: "raw" }),
  };
}

/** `tc qdisc show`: those of all devices. The kernel does not filter by device: `index` is for the reader of the answer. */
export function dumpQdiscs(index = 0): Request {
  return {
    type: RTM_QDISC.GET,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
    payload: encodeQdisc({ index, kind: "raw" }),
  };
}

/**
 * The discipline at `parent` of one device, in one answer; none, though no refusal, where there is but the device's own.
 * Without NLM_F_ECHO the kernel tells it to those who listen for changes, not to who asks.
 */
export function getQdisc(key: { readonly index: number; readonly parent: number }): Request {
  return {
    type: RTM_QDISC.GET,
    flags: NLM_F.REQUEST | NLM_F.ECHO,
    payload: encodeQdisc({ ...key, kind: "raw" }),
  };
}

function flatten(qdisc: QdiscMessage): ValuesOf<typeof QDISC> {
  const { stats, extraStats, stats2, hardwareOffload, unknown } = qdisc;
  const rest = {
    ...(stats && { stats }),
    ...(extraStats && { extraStats }),
    ...(stats2 && { stats2 }),
    ...(hardwareOffload !== undefined && { hardwareOffload }),
    ...(unknown && { unknown }),
  };
  if (qdisc.kind === "raw") {
    const { name, data } = qdisc;
    return { ...(name !== undefined && { name }), ...(data && { data }), ...rest };
  }
  if (qdisc.options === undefined) return { name: qdisc.kind, ...rest };
  const writer = new Writer();
  writeOptions(writer, qdisc);
  return { name: qdisc.kind, data: writer.take(), ...rest };
}

function writeOptions(writer: Writer, qdisc: Known): void {
  switch (qdisc.kind) {
    case "tbf":
      return writeFields(writer, TBF, qdisc.options ?? {});
    case "fq":
      return writeFields(writer, FQ, qdisc.options ?? {});
    case "clsact":
    case "ingress":
      return writeFields(writer, NONE, qdisc.options ?? {});
    default:
      return qdisc satisfies never;
  }
}

function optionsOf(span: Span): Span | undefined {
  return attributesOf(span).findLast(({ type }) => (type & NLA_TYPE_MASK) === OPTIONS)?.payload;
}

function unflatten(
  { name, data, ...rest }: ValuesOf<typeof QDISC>,
  options: Span | undefined,
): (Known | Raw) & Rest {
  switch (name) {
    case "tbf":
      return { kind: name, ...(options && { options: readFields(options, TBF) }), ...rest };
    case "fq":
      return { kind: name, ...(options && { options: readFields(options, FQ) }), ...rest };
    case "clsact":
    case "ingress":
      return { kind: name, ...(options && { options: readFields(options, NONE) }), ...rest };
    default:
      return { kind: "raw", ...(name !== undefined && { name }), ...(data && { data }), ...rest };
  }
}
