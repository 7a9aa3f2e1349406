/**
 * Ids that one network namespace has for others, `ip netns list-id`: `struct rtgenmsg` and NETNSA_* of
 * <linux/net_namespace.h>. With the id of a pod's namespace `getLink()` and `dumpLinks()` read it without entering it.
 *
 * @module
 */
import { i32, readFields, schema, u32, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { type Request } from "./request.ts";
import { skipHeader, spanOf, Writer } from "./wire.ts";

/** RTM_*NSID. */
export const RTM_NSID = { NEW: 88, DEL: 89, GET: 90 } as const;
/** NETNSA_NSID_NOT_ASSIGNED. */
export const NSID_NOT_ASSIGNED = -1;

const HEADER_BYTES = 1;

/** NETNSA_*. */
const NSID = schema({
  /** The id, or NSID_NOT_ASSIGNED. In a request that assigns one: -1 lets the kernel choose. */
  nsid: i32(1),
  pid: u32(2),
  /** A file descriptor, of the sending process, of the namespace meant. */
  fd: u32(3),
  targetNsid: i32(4),
  currentNsid: i32(5),
});

/** A namespace and its id; in a request one of `fd` and `pid` tells the namespace. */
export type Nsid = ValuesOf<typeof NSID>;

/** The payload of an RTM_*NSID. */
export function encodeNsid(nsid: Nsid): Uint8Array {
  const writer = new Writer();
  // rtgen_family, AF_UNSPEC, and its padding.
  writer.zeros(4);
  writeFields(writer, NSID, nsid);
  return writer.take();
}

/** The inverse of `encodeNsid`. */
export function decodeNsid(payload: Uint8Array): Nsid {
  return readFields(skipHeader(spanOf(payload), HEADER_BYTES, "rtgenmsg"), NSID);
}

/** `ip netns set`: gives the namespace behind `fd` an id. EEXIST where it has one. */
export function assignNsid(fd: number, nsid = NSID_NOT_ASSIGNED): Request {
  return { type: RTM_NSID.NEW, flags: NLM_F.REQUEST, payload: encodeNsid({ nsid, fd }) };
}

/** Asks for the id of the namespace behind `fd`. */
export function getNsid(fd: number): Request {
  return { type: RTM_NSID.GET, flags: NLM_F.REQUEST, payload: encodeNsid({ fd }) };
}

/** `ip netns list-id`. */
export function dumpNsids(): Request {
  return { type: RTM_NSID.GET, flags: NLM_F.REQUEST | NLM_F.DUMP, payload: encodeNsid({}) };
}
