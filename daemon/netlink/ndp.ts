/**
 * Neighbour discovery over Ethernet (RFC 4861, sections 4.3 and 4.4): the solicitation and its answer, as frames.
 *
 *     0    6      12     14          22    38    54   58      62       78 ..
 *     | to | from | 86dd | IP header | src | dst | 135 or 136 | target | options: type, length/8, MAC
 *
 * @module
 */
import { type Mac, macBytes, macFromBytes } from "../../proto/addr.ts";
import { ipBytes, ipFromBytes, type Ipv6, isIpv6 } from "../../proto/addr6.ts";

/** ETH_P_IPV6 of <linux/if_ether.h>. */
export const ETH_P_IPV6 = 0x86dd;
/** Where parts of the frame begin. */
const AT = { ip: 14, target: 38, icmp: 54, asked: 62, options: 78 } as const;
const [SOLICITATION, ADVERTISEMENT] = [135, 136];
/** Options: source and target link-layer address. */
const [SOURCE_MAC, TARGET_MAC] = [1, 2];
/** IPPROTO_ICMPV6, and the only hop limit that is believed: nobody has forwarded it. */
const [ICMPV6, HOP_LIMIT] = [58, 255];
/** ff02::1:ff00:0/104, the solicited-node group (RFC 4291, section 2.7.1). */
const GROUP_PREFIX = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff] as const;

export type NdQuestion = { readonly senderMac: Mac; readonly target: Ipv6 };

/** fe80:: with the MAC's modified EUI-64 (RFC 4291, appendix A). */
export function linkLocal(mac: Mac): Ipv6 {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  const bytes = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f);
  const ip = ipFromBytes(bytes);
  if (ip === undefined || !isIpv6(ip)) throw new Error(`no link-local address of ${mac}`);
  return ip;
}

/** Who has `target`? Tell the link-local address of `senderMac`. To the target's group, 86 bytes. */
export function neighbourSolicitation({ senderMac, target }: NdQuestion): Uint8Array {
  const asked = ipBytes(target);
  const last = asked.subarray(13);
  const option = [SOURCE_MAC, 1, ...macBytes(senderMac)];
  const icmp = Uint8Array.from([SOLICITATION, 0, 0, 0, 0, 0, 0, 0, ...asked, ...option]);
  const ends = Uint8Array.of(...ipBytes(linkLocal(senderMac)), ...GROUP_PREFIX, ...last);
  const sum = checksum(Uint8Array.of(...ends, 0, 0, 0, icmp.length, 0, 0, 0, ICMPV6, ...icmp));
  icmp.set([sum >> 8, sum & 0xff], 2);
  const ethernet = [0x33, 0x33, 0xff, ...last, ...macBytes(senderMac), ETH_P_IPV6 >> 8, ETH_P_IPV6 & 0xff];
  const ip = [0x60, 0, 0, 0, 0, icmp.length, ICMPV6, HOP_LIMIT, ...ends];
  return Uint8Array.from([...ethernet, ...ip, ...icmp]);
}

/** The MAC in `frame`, if it is the answer to the question: that of its option or, without one, the sender's. */
export function neighbourAnswer(frame: Uint8Array, { senderMac, target }: NdQuestion): Mac | undefined {
  const isAdvertisement =
    frame.length >= AT.options &&
    frame[AT.ip - 2] === ETH_P_IPV6 >> 8 &&
    frame[AT.ip - 1] === (ETH_P_IPV6 & 0xff) &&
    frame[AT.ip + 6] === ICMPV6 &&
    frame[AT.ip + 7] === HOP_LIMIT &&
    frame[AT.icmp] === ADVERTISEMENT;
  if (!isAdvertisement) return undefined;
  const isOurs =
    ipFromBytes(frame.subarray(AT.target, AT.target + 16)) === linkLocal(senderMac) &&
    ipFromBytes(frame.subarray(AT.asked, AT.options)) === target;
  return isOurs ? (targetMac(frame) ?? macFromBytes(frame.subarray(6, 12))) : undefined;
}

function targetMac(frame: Uint8Array): Mac | undefined {
  for (let at: number = AT.options; at + 8 <= frame.length;) {
    if (frame[at] === TARGET_MAC && frame[at + 1] === 1) return macFromBytes(frame.subarray(at + 2, at + 8));
    // An option without a length would be looked at for ever (RFC 4861, section 4.6).
    const length = 8 * (frame[at + 1] ?? 0);
    if (length === 0) return undefined;
    at += length;
  }
  return undefined;
}

/** RFC 1071; `bytes` has an even length. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
