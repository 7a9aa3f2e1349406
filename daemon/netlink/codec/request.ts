/**
 * Requests as values, and several of them in one send.
 *
 * The kernel works a send off message by message and does NOT stop at the first that fails. Each failure is answered
 * with its sequence number, asked for or not; success is answered only where NLM_F_ACK is set.
 *
 * @module
 */
import { HEADER_BYTES, NLM_F, putHeader } from "./header.ts";
import { align4 } from "./wire.ts";

/** A message on its way to the kernel; it has everything but its sequence number. */
export type Request = {
  readonly type: number;
  /** NLM_F_*; NLM_F_REQUEST is among them. */
  readonly flags: number;
  readonly payload: Uint8Array;
};

/** How a request that makes something treats what is there already. */
export const MAKE = {
  /** EEXIST if it is there. */
  create: NLM_F.REQUEST | NLM_F.CREATE | NLM_F.EXCL,
  /** Makes it, or changes it into this. */
  replace: NLM_F.REQUEST | NLM_F.CREATE | NLM_F.REPLACE,
  /** Adds another beside it (routes, FDB entries). */
  append: NLM_F.REQUEST | NLM_F.CREATE | NLM_F.APPEND,
  /** ENOENT or ENODEV if it is not there. */
  change: NLM_F.REQUEST,
} as const satisfies Record<string, number>;

/** See `MAKE`. */
export type Make = keyof typeof MAKE;

/** Which requests are to be answered on success. `as-is` leaves the flags alone. */
export type AckPolicy = "each" | "last" | "as-is";

/** Requests lined up for the socket. */
export type Batch = {
  /** For one `send()`. */
  readonly bytes: Uint8Array;
  /** The sequence number of each request, in order. */
  readonly seqs: readonly number[];
};

/**
 * Lines up requests for one send. Sequence numbers rise from `firstSeq` and pass over 0, which notifications bear.
 *
 * A receive buffer of the default size holds about 270 answers: more than 200 requests with `ack: "each"` in one send can
 * overflow it.
 */
export function batch(requests: readonly Request[], firstSeq: number, ack: AckPolicy = "each"): Batch {
  const bytes = new Uint8Array(
    requests.reduce((sum, { payload }) => sum + align4(HEADER_BYTES + payload.length), 0),
  );
  const view = new DataView(bytes.buffer);
  const seqs: number[] = [];
  let [at, seq] = [0, firstSeq];
  requests.forEach(({ type, flags, payload }, index) => {
    const wanted = ack === "each" || (ack === "last" && index === requests.length - 1);
    putHeader(view, at, payload.length, { type, flags: wanted ? flags | NLM_F.ACK : flags, seq });
    bytes.set(payload, at + HEADER_BYTES);
    at += align4(HEADER_BYTES + payload.length);
    seqs.push(seq);
    seq = nextSeq(seq);
  });
  return { bytes, seqs };
}

/** The sequence number after `seq`: 32 bits, never 0. */
export function nextSeq(seq: number): number {
  return seq >= 0xffffffff ? 1 : seq + 1;
}
