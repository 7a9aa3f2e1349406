/**
 * Settings of IPv4 that hold for all devices, `ip netconf`: `struct netconfmsg` and NETCONFA_* of <linux/netconf.h>. For
 * looking only.
 *
 * @module
 */
import { i32, readFields, schema, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { AF } from "./ip.ts";
import { type Request } from "./request.ts";
import { skipHeader, spanOf, Writer } from "./wire.ts";

/** RTM_*NETCONF. */
export const RTM_NETCONF = { NEW: 80, GET: 82 } as const;
/** NETCONFA_IFINDEX_ALL: `/proc/sys/net/ipv4/conf/all`. */
export const NETCONF_ALL = -1;

/** One byte, padded. */
const HEADER_BYTES = 4;

const NETCONF = schema({ ifIndex: i32(1), forwarding: i32(2), rpFilter: i32(3) });

/** Settings of one device, or of all. */
export type Netconf = ValuesOf<typeof NETCONF>;

/** `ip -4 netconf show dev all`. */
export function getNetconfAll(): Request {
  const writer = new Writer();
  writer.u8(AF.INET);
  writer.zeros(HEADER_BYTES - 1);
  writeFields(writer, NETCONF, { ifIndex: NETCONF_ALL });
  return { type: RTM_NETCONF.GET, flags: NLM_F.REQUEST, payload: writer.take() };
}

/** The payload of an RTM_NEWNETCONF. */
export function decodeNetconf(payload: Uint8Array): Netconf {
  return readFields(skipHeader(spanOf(payload), HEADER_BYTES, "netconfmsg"), NETCONF);
}
