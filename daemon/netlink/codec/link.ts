/**
 * Network devices, `ip link`: RTM_*LINK of <linux/rtnetlink.h>.
 *
 * A link is born where it belongs (`netNsFd`) and with the index that the caller chose, so that a whole pod is set up by
 * one send, without looking anything up and without moving anything.
 *
 * @module
 */
import { pickFields, readFields, schema, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { BASE_FIELDS, type LinkHeader, readLinkHeader, writeLinkHeader } from "./link-base.ts";
import { linkInfo } from "./link-info.ts";
import { MAKE, type Request } from "./request.ts";
import { spanOf, Writer } from "./wire.ts";

/** RTM_*LINK. */
export const RTM_LINK = { NEW: 16, DEL: 17, GET: 18, SET: 19 } as const;

const LINK = schema({ ...BASE_FIELDS, info: linkInfo });

/** A link of the kernel. */
export type Link = LinkHeader & ValuesOf<typeof LINK>;
/** A link in a request: what is not given is 0 in the header, and absent elsewhere. */
export type LinkMessage = Partial<LinkHeader> & ValuesOf<typeof LINK>;

/** How a link is told. Without an index: by its name. */
export type LinkKey = { readonly index: number } | { readonly name: string };

/** The payload of an RTM_*LINK. */
export function encodeLink(link: LinkMessage): Uint8Array {
  const writer = new Writer();
  writeLinkHeader(writer, link);
  writeFields(writer, LINK, link);
  return writer.take();
}

/** The inverse of `encodeLink`. */
export function decodeLink(payload: Uint8Array): Link {
  const { header, rest } = readLinkHeader(spanOf(payload));
  return { ...header, ...readFields(rest, LINK) };
}

const { name, alias, group, address } = BASE_FIELDS;
const LABEL = schema({ name, alias, group, address, info: linkInfo });

/** What tells whose a link is: of a dump of many, of which nobody wants to know more. */
export type LinkLabel = LinkHeader & ValuesOf<typeof LABEL>;

/** A part of what `decodeLink` reads, in a tenth of the time. */
export function decodeLinkLabel(payload: Uint8Array): LinkLabel {
  const { header, rest } = readLinkHeader(spanOf(payload));
  return { ...header, ...pickFields(rest, LABEL) };
}

/**
 * `ip link add`. EEXIST where the name or the index is taken. Settings (`afSpec`) are refused at birth (EAFNOSUPPORT):
 * they are a `setLink` behind it, in the same batch.
 */
export function createLink(link: Omit<LinkMessage, "afSpec">): Request {
  return { type: RTM_LINK.NEW, flags: MAKE.create, payload: encodeLink(link) };
}

/** `ip link set`: changes what is given of the link that `index`, or else `name`, tells. */
export function setLink(link: LinkMessage): Request {
  return { type: RTM_LINK.NEW, flags: NLM_F.REQUEST, payload: encodeLink(link) };
}

/**
 * `ip link delete`. Both ends of a veth go. Whoever asks waits about 20 ms for the answer, most of it after the kernel
 * has given its lock of network configuration back: for several use `deleteLinkGroup`.
 */
export function deleteLink(key: LinkKey): Request {
  return { type: RTM_LINK.DEL, flags: NLM_F.REQUEST, payload: encodeLink(key) };
}

/** `ip link delete group`: all links of the group in the time of one. ENODEV where there is none. Throws for group 0. */
export function deleteLinkGroup(group: number): Request {
  if (group === 0) throw new RangeError("netlink: group 0 is every link that nobody put into a group");
  return { type: RTM_LINK.DEL, flags: NLM_F.REQUEST, payload: encodeLink({ group }) };
}

/** `ip link show DEV`; `targetNetnsId`: of another namespace, read without entering it. */
export function getLink(key: LinkKey, targetNetnsId?: number): Request {
  const target = targetNetnsId === undefined ? {} : { targetNetnsId };
  return { type: RTM_LINK.GET, flags: NLM_F.REQUEST, payload: encodeLink({ ...key, ...target }) };
}
