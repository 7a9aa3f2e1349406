/**
 * What queueing disciplines, classes and filters have in common: `struct tcmsg` of <linux/rtnetlink.h> and its numbers.
 *
 *     0        1       4        8        12       16      20
 *     | family | 0 0 0 | index  | handle | parent | info  | attributes ...
 *
 * @module
 */
import { skipHeader, type Span, type Writer } from "./wire.ts";

/** TC_H_*: numbers of queueing disciplines and classes, `MAJOR << 16 | MINOR`. tc(8) writes `MAJOR:MINOR`, in hex. */
export const TC_H = {
  UNSPEC: 0,
  /** The parent of the one discipline that all packets of a device leave through. */
  ROOT: 0xffffffff,
  /** The parent of `ingress` and of `clsact`. */
  INGRESS: 0xfffffff1,
  /** The parent of filters for packets that a device with `clsact` received. */
  CLSACT_INGRESS: 0xfffffff2,
  /** The parent of filters for packets that a device with `clsact` is about to send. */
  CLSACT_EGRESS: 0xfffffff3,
} as const;

/** The handle that `clsact` and `ingress` always have, `ffff:`. */
export const CLSACT_HANDLE = 0xffff0000;

const HEADER_BYTES = 20;

/** `struct tcmsg`. */
export type TcHeader = {
  readonly family: number;
  /** Of the device. */
  readonly index: number;
  /** `TC_H`. */
  readonly handle: number;
  /** `TC_H`. */
  readonly parent: number;
  /** Of a discipline: references, counted by the kernel. Of a filter: priority and protocol. */
  readonly info: number;
};

/** What is not given is 0. */
export function writeTcHeader(writer: Writer, header: Partial<TcHeader>): void {
  writer.u8(header.family ?? 0);
  writer.zeros(3);
  writer.i32(header.index ?? 0);
  writer.u32(header.handle ?? 0);
  writer.u32(header.parent ?? 0);
  writer.u32(header.info ?? 0);
}

/** DecodeError where `span` is shorter than the header. `rest`: the attributes. */
export function readTcHeader(span: Span): { readonly header: TcHeader; readonly rest: Span } {
  const rest = skipHeader(span, HEADER_BYTES, "tcmsg");
  const { view, start } = span;
  const header = {
    family: view.getUint8(start),
    index: view.getInt32(start + 4, true),
    handle: view.getUint32(start + 8, true),
    parent: view.getUint32(start + 12, true),
    info: view.getUint32(start + 16, true),
  };
  return { header, rest };
}
