/**
 * ARP for IPv4 over Ethernet (RFC 826): the request and its answer, as frames.
 *
 *     0      6      12     14   16   18 19 20  22      28       32      38       42
 *     | to   | from | 0806 | 1  | 0800| 6| 4| op | sender's MAC, IP | target's MAC, IP |
 *
 * @module
 */
import { type Ipv4, ipv4Bytes, ipv4FromBytes, type Mac, macBytes, macFromBytes } from "../../proto/addr.ts";

/** ETH_P_ARP of <linux/if_ether.h>. */
export const ETH_P_ARP = 0x0806;
const FRAME_BYTES = 42;
/** From the Ethernet type to the length of protocol addresses; the operation follows. */
const FIXED = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4] as const;
const [REQUEST, REPLY] = [1, 2];

export type ArpQuestion = { readonly senderMac: Mac; readonly sender: Ipv4; readonly target: Ipv4 };

/** Who has `target`? Tell `sender`. Broadcast, 42 bytes. */
export function arpRequest({ senderMac, sender, target }: ArpQuestion): Uint8Array {
  return Uint8Array.of(
    ...Array<number>(6).fill(0xff),
    ...macBytes(senderMac),
    ...FIXED,
    0,
    REQUEST,
    ...macBytes(senderMac),
    ...ipv4Bytes(sender),
    ...Array<number>(6).fill(0),
    ...ipv4Bytes(target),
  );
}

/** The MAC in `frame`, if it is the answer to the question; frames may be padded. */
export function arpAnswer(frame: Uint8Array, { sender, target }: ArpQuestion): Mac | undefined {
  if (frame.length < FRAME_BYTES || FIXED.some((byte, at) => frame[12 + at] !== byte)) return undefined;
  const isReply = frame[20] === 0 && frame[21] === REPLY;
  const from = ipv4FromBytes(frame.subarray(28, 32));
  const to = ipv4FromBytes(frame.subarray(38, FRAME_BYTES));
  return isReply && from === target && to === sender ? macFromBytes(frame.subarray(22, 28)) : undefined;
}
