/**
 * Ethernet frames as one line for people, in the manner of tcpdump(8), through VXLAN to what it carries. Pure; reads what
 * tests look at (ARP, IPv4, IPv6, ICMP, UDP, TCP, VXLAN) and names the rest by its number.
 *
 * @module
 */
import { ipv4FromBytes, macFromBytes } from "../../proto/addr.ts";
import { ipFromBytes } from "../../proto/addr6.ts";

/** What a frame is. */
export type DescribedFrame = {
  readonly text: string;
  /** Source and destination, where the outermost packet is UDP. */
  readonly udpPorts: readonly number[];
};

/** IANA's port and that of Linux and Flannel. */
const VXLAN_PORTS = [4789, 8472];
const ETHERNET_BYTES = 14;
/** UDP and VXLAN headers (RFC 768; RFC 7348, section 5). */
const [UDP_BYTES, VXLAN_BYTES] = [8, 8];
/** Protocol numbers of IANA. */
const [HOP_BY_HOP, ICMP, TCP, UDP, FRAGMENT, ICMPV6] = [0, 1, 6, 17, 44, 58];

/** RFC 792, RFC 1191 and RFC 1812: type, or type and code. */
const ICMP_NAMES: Readonly<Record<string, string>> = {
  "0": "echo reply",
  "8": "echo request",
  "3 0": "net unreachable",
  "3 1": "host unreachable",
  "3 3": "port unreachable",
  "3 4": "fragmentation needed",
  "3 13": "prohibited",
  "5": "redirect",
  "11": "time exceeded",
};
/** RFC 4443 and RFC 4861. */
const ICMPV6_NAMES: Readonly<Record<string, string>> = {
  "128": "echo request",
  "129": "echo reply",
  "1": "unreachable",
  "2": "packet too big",
  "3": "time exceeded",
  "133": "router solicitation",
  "134": "router advertisement",
  "135": "neighbour solicitation",
  "136": "neighbour advertisement",
};

/** The frame in one line. One that is cut short is described as far as it goes; never throws. */
export function describeFrame(frame: Uint8Array): DescribedFrame {
  const view = viewOf(frame);
  const type = view.u16(12);
  const payload = frame.subarray(ETHERNET_BYTES);
  switch (type) {
    case undefined:
      return plain("short frame");
    case 0x0800:
      return describeIpv4(payload);
    case 0x86dd:
      return describeIpv6(payload);
    case 0x0806:
      return plain(describeArp(payload));
    default:
      return plain(`type 0x${type.toString(16).padStart(4, "0")}`);
  }
}

function describeArp(arp: Uint8Array): string {
  const sender = ipv4FromBytes(arp.subarray(14, 18));
  const target = ipv4FromBytes(arp.subarray(24, 28));
  if (sender === undefined || target === undefined) return "short ARP";
  return viewOf(arp).u16(6) === 1
    ? `ARP who has ${target}, tell ${sender}`
    : `ARP ${sender} is at ${macFromBytes(arp.subarray(8, 14)) ?? "?"}`;
}

function describeIpv4(packet: Uint8Array): DescribedFrame {
  const view = viewOf(packet);
  const [first, fragment, protocol] = [view.u8(0), view.u16(6), view.u8(9)];
  const [from, to] = [ipFromBytes(packet.subarray(12, 16)), ipFromBytes(packet.subarray(16, 20))];
  if (first === undefined || fragment === undefined || protocol === undefined || !from || !to)
    return plain("short IP");
  const payload = packet.subarray((first & 0x0f) * 4);
  // The low 13 bits are the offset (RFC 791): a later fragment has no ports.
  if ((fragment & 0x1fff) > 0) return plain(`IP ${from} > ${to}: fragment`);
  return describeTransport("IP", from, to, protocol, payload);
}

function describeIpv6(packet: Uint8Array): DescribedFrame {
  const view = viewOf(packet);
  const [from, to] = [ipFromBytes(packet.subarray(8, 24)), ipFromBytes(packet.subarray(24, 40))];
  const next = view.u8(6);
  if (next === undefined || !from || !to) return plain("short IP6");
  const payload = packet.subarray(40);
  if (next === FRAGMENT) return plain(`IP6 ${from} > ${to}: fragment`);
  // MLD alone has a hop-by-hop header, of eight bytes (RFC 3810, section 5).
  const [protocol, body] =
    next === HOP_BY_HOP ? [viewOf(payload).u8(0) ?? 0, payload.subarray(8)] : [next, payload];
  return describeTransport("IP6", from, to, protocol, body);
}

function describeTransport(
  family: "IP" | "IP6",
  from: string,
  to: string,
  protocol: number,
  payload: Uint8Array,
): DescribedFrame {
  const view = viewOf(payload);
  const [source, destination] = [view.u16(0), view.u16(2)];
  const hosts = `${family} ${from} > ${to}`;
  const ends = `${family} ${from}.${source ?? "?"} > ${to}.${destination ?? "?"}`;
  switch (protocol) {
    case ICMP:
      return plain(`${hosts}: ICMP ${icmpName(ICMP_NAMES, view.u8(0), view.u8(1))}`);
    case ICMPV6:
      return plain(`${hosts}: ICMP6 ${icmpName(ICMPV6_NAMES, view.u8(0), view.u8(1))}`);
    case TCP:
      return plain(`${ends}: TCP ${tcpFlags(view.u8(13) ?? 0)}`);
    case UDP: {
      if (source === undefined || destination === undefined) return plain(`${hosts}: short UDP`);
      const udpPorts = [source, destination];
      const text = VXLAN_PORTS.includes(destination)
        ? `${ends}: VXLAN ${describeVxlan(payload.subarray(UDP_BYTES))}`
        : `${ends}: UDP length ${(view.u16(4) ?? UDP_BYTES) - UDP_BYTES}`;
      return { text, udpPorts };
    }
    default:
      return plain(`${hosts}: protocol ${protocol}`);
  }
}

/** The VNI is in bytes 4 to 6 (RFC 7348, section 5). */
function describeVxlan(vxlan: Uint8Array): string {
  const view = viewOf(vxlan);
  const [high, low] = [view.u16(4), view.u8(6)];
  if (high === undefined || low === undefined) return "short";
  return `vni ${high * 256 + low} / ${describeFrame(vxlan.subarray(VXLAN_BYTES)).text}`;
}

function icmpName(
  names: Readonly<Record<string, string>>,
  type: number | undefined,
  code: number | undefined,
): string {
  return names[`${type}`] ?? names[`${type} ${code}`] ?? `type ${type} code ${code}`;
}

/** In the order of tcpdump(8): `[S.]` is SYN with ACK. */
function tcpFlags(flags: number): string {
  const letters = ["F", "S", "R", "P", "."].filter((_, bit) => (flags & (1 << bit)) !== 0);
  return `[${letters.join("")}]`;
}

function plain(text: string): DescribedFrame {
  return { text, udpPorts: [] };
}

/** Big-endian reads that give `undefined` beyond the end. */
function viewOf(bytes: Uint8Array): {
  readonly u8: (at: number) => number | undefined;
  readonly u16: (at: number) => number | undefined;
} {
  return {
    u8: (at) => bytes[at],
    u16: (at) => {
      const [high, low] = [bytes[at], bytes[at + 1]];
      return high === undefined || low === undefined ? undefined : high * 256 + low;
    },
  };
}
