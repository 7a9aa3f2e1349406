/**
 * What all messages of NETLINK_NETFILTER begin with: `struct nfgenmsg` of <linux/netfilter/nfnetlink.h>. Integers in their
 * attributes are in network order, and nests carry NLA_F_NESTED.
 *
 *     0        1         2           4
 *     | family | version | resource  | attributes ...
 *
 * @module
 */
import { skipHeader, type Span, type Writer } from "./wire.ts";

/** NFPROTO_*: the families of nft tables and of conntrack entries. */
export const NFPROTO = { UNSPEC: 0, INET: 1, IPV4: 2, NETDEV: 5, BRIDGE: 7, IPV6: 10 } as const;

/** NFNL_SUBSYS_*: the upper byte of a message type. */
export const NFNL_SUBSYS = { CTNETLINK: 1, NFTABLES: 10 } as const;

const HEADER_BYTES = 4;

/** `struct nfgenmsg`. */
export type NfHeader = {
  readonly family: number;
  readonly version: number;
  /** Of a batch: the subsystem. Of a dump of nftables: the low bits of the generation. */
  readonly resource: number;
};

/** `"nft element"` has type `subsystem << 8 | command`. */
export function nfType(subsystem: number, command: number): number {
  return (subsystem << 8) | command;
}

/** What is not given is 0. */
export function writeNfHeader(writer: Writer, header: Partial<NfHeader> & { readonly family: number }): void {
  writer.u8(header.family);
  writer.u8(header.version ?? 0);
  writer.be16(header.resource ?? 0);
}

/** DecodeError where `span` is shorter than the header. `rest`: the attributes. */
export function readNfHeader(span: Span): { readonly header: NfHeader; readonly rest: Span } {
  const rest = skipHeader(span, HEADER_BYTES, "nfgenmsg");
  const header = {
    family: span.view.getUint8(span.start),
    version: span.view.getUint8(span.start + 1),
    resource: span.view.getUint16(span.start + 2, false),
  };
  return { header, rest };
}
