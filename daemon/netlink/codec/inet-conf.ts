/**
 * The IPv4 settings of one device, which people know as `/proc/sys/net/ipv4/conf/DEV/...`: IFLA_AF_SPEC, AF_INET,
 * IFLA_INET_CONF. Set this way they join the batch that makes the device and need no /proc of its namespace. IPv6 has no
 * such setter.
 *
 * @module
 */
import { type Field, i32, nested, readFields, schema, type ValuesOf, writeFields } from "./attribute.ts";
import { AF } from "./ip.ts";
import { copyOf, DecodeError, type Span } from "./wire.ts";

/** IPV4_DEVCONF_* of <linux/ip.h>: the attribute's number, and the place in the array of a dump plus one. */
const DEVCONF = schema({
  forwarding: i32(1),
  mcForwarding: i32(2),
  proxyArp: i32(3),
  acceptRedirects: i32(4),
  secureRedirects: i32(5),
  sendRedirects: i32(6),
  sharedMedia: i32(7),
  /** The greater of this and the `all` setting holds. */
  rpFilter: i32(8),
  acceptSourceRoute: i32(9),
  bootpRelay: i32(10),
  logMartians: i32(11),
  tag: i32(12),
  arpFilter: i32(13),
  mediumId: i32(14),
  disableXfrm: i32(15),
  disablePolicy: i32(16),
  forceIgmpVersion: i32(17),
  arpAnnounce: i32(18),
  arpIgnore: i32(19),
  promoteSecondaries: i32(20),
  arpAccept: i32(21),
  arpNotify: i32(22),
  acceptLocal: i32(23),
  srcValidMark: i32(24),
  proxyArpPvlan: i32(25),
  routeLocalnet: i32(26),
  igmpv2UnsolicitedReportIntervalMs: i32(27),
  igmpv3UnsolicitedReportIntervalMs: i32(28),
  ignoreRoutesWithLinkdown: i32(29),
  dropUnicastInL2Multicast: i32(30),
  dropGratuitousArp: i32(31),
  bcForwarding: i32(32),
  arpEvictNocarrier: i32(33),
});

/** Settings by name; in a request those to change, in a dump all that the kernel has. */
export type InetConf = ValuesOf<typeof DEVCONF>;

/** IFLA_INET_CONF: one attribute per setting in a request, a bare array of all settings in a dump. */
function inetConf(type: number): Field<InetConf> {
  return {
    type,
    write: (writer, value) => writeFields(writer, DEVCONF, value),
    read: (span) => (isRequestForm(span) ? readFields(span, DEVCONF) : readArray(span)),
  };
}

/** True where each 8 bytes are an attribute of 4 bytes payload. An array of settings would need 8 at every other place. */
function isRequestForm({ view, start, end }: Span): boolean {
  if ((end - start) % 8 !== 0) return false;
  for (let at = start; at < end; at += 8) {
    if (view.getUint16(at, true) !== 8 || view.getUint16(at + 2, true) === 0) return false;
  }
  return true;
}

function readArray({ view, start, end }: Span): InetConf {
  if ((end - start) % 4 !== 0) throw new DecodeError("IFLA_INET_CONF is not an array of integers", start);
  const values: Record<string, unknown> = {};
  const unknown = [];
  for (let at = start; at < end; at += 4) {
    const type = (at - start) / 4 + 1;
    const name = DEVCONF.byType.get(type)?.[0];
    if (name === undefined) unknown.push({ type, bytes: copyOf({ view, start: at, end: at + 4 }) });
    else values[name] = view.getInt32(at, true);
  }
  return unknown.length > 0 ? { ...values, unknown } : values;
}

const AF_INET_SPEC = schema({ conf: inetConf(1) });

/** IFLA_AF_SPEC of a device that is not a bridge port. What is of AF_INET6 stays in `unknown`. */
export const AF_SPEC = schema({ inet: nested(AF.INET, AF_INET_SPEC) });
