import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeFrame } from "./frame.ts";

/** Hexadecimal digits in groups, as people write them. */
function bytes(...parts: readonly string[]): Uint8Array {
  const digits = parts.join("").replaceAll(/\s/g, "");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const MACS = "0200 0000 0002 0200 0000 0001";
/** 10.0.0.1 to 10.0.0.2; the protocol is missing. */
function ipv4(protocol: string, fragment = "0000"): string {
  return `${MACS} 0800 4500 0020 0000 ${fragment} 40${protocol} 0000 0a00 0001 0a00 0002`;
}
/** fd00::1 to fd00::2. */
function ipv6(next: string): string {
  const addresses = ["1", "2"].map((last) => `fd00 0000 0000 0000 0000 0000 0000 000${last}`);
  return `${MACS} 86dd 6000 0000 0010 ${next} 40 ${addresses.join(" ")}`;
}

describe("describeFrame()", () => {
  it.each<[string, Uint8Array]>([
    [
      "ARP who has 10.0.0.2, tell 10.0.0.1",
      bytes(MACS, "0806 0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002"),
    ],
    [
      "ARP 10.0.0.1 is at 02:00:00:00:00:01",
      bytes(MACS, "0806 0001 0800 0604 0002 020000000001 0a000001 020000000002 0a000002"),
    ],
    ["IP 10.0.0.1 > 10.0.0.2: ICMP echo request", bytes(ipv4("01"), "0800 0000")],
    ["IP 10.0.0.1 > 10.0.0.2: ICMP fragmentation needed", bytes(ipv4("01"), "0304 0000")],
    ["IP 10.0.0.1 > 10.0.0.2: ICMP type 3 code 9", bytes(ipv4("01"), "0309 0000")],
    ["IP 10.0.0.1.4660 > 10.0.0.2.53: UDP length 12", bytes(ipv4("11"), "1234 0035 0014 0000")],
    ["IP 10.0.0.1.80 > 10.0.0.2.4660: TCP [S.]", bytes(ipv4("06"), "0050 1234 00000000 00000000 50 12")],
    ["IP 10.0.0.1 > 10.0.0.2: fragment", bytes(ipv4("11", "00b9"), "1234 0035 0014 0000")],
    ["IP 10.0.0.1 > 10.0.0.2: protocol 132", bytes(ipv4("84"))],
    ["IP6 fd00::1 > fd00::2: ICMP6 neighbour solicitation", bytes(ipv6("3a"), "8700")],
    ["IP6 fd00::1 > fd00::2: ICMP6 type 143 code 0", bytes(ipv6("00"), "3a00 0502 0000 0100 8f00")],
    ["IP6 fd00::1.1 > fd00::2.2: UDP length 0", bytes(ipv6("11"), "0001 0002 0008 0000")],
    ["IP6 fd00::1 > fd00::2: fragment", bytes(ipv6("2c"))],
    [
      "IP 10.0.0.1.4660 > 10.0.0.2.8472: VXLAN vni 70000 / IP6 fd00::1 > fd00::2: ICMP6 echo reply",
      bytes(ipv4("11"), "1234 2118 0000 0000", "0800 0000 0111 7000", ipv6("3a"), "8100"),
    ],
    ["IP 10.0.0.1.4660 > 10.0.0.2.8472: VXLAN short", bytes(ipv4("11"), "1234 2118 0000 0000 00")],
    ["type 0x88cc", bytes(MACS, "88cc")],
    ["short frame", bytes("0200")],
    ["short IP", bytes(MACS, "0800 45")],
    ["short ARP", bytes(MACS, "0806 0001")],
  ])("%s", (text, frame) => {
    expect(describeFrame(frame).text).toBe(text);
  });

  it("gives the ports of the outermost packet", () => {
    const tunnel = bytes(
      ipv4("11"),
      "1234 2118 0000 0000",
      "0800 0000 0000 0100",
      ipv4("11"),
      "0001 0002 0008 0000",
    );
    expect(describeFrame(tunnel)).toEqual({
      text: "IP 10.0.0.1.4660 > 10.0.0.2.8472: VXLAN vni 1 / IP 10.0.0.1.1 > 10.0.0.2.2: UDP length 0",
      udpPorts: [4660, 8472],
    });
    expect(describeFrame(bytes(ipv4("06"), "0050 1234")).udpPorts).toEqual([]);
  });

  it("never throws", () => {
    const begins = fc.constantFrom(ipv4("11"), ipv4("01"), ipv6("3a"), ipv6("00"), `${MACS} 0806`, "");
    fc.assert(
      fc.property(begins, fc.uint8Array({ maxLength: 80 }), fc.nat(100), (begin, rest, cut) => {
        const frame = Uint8Array.of(...bytes(begin), ...rest).subarray(0, cut);
        expect(describeFrame(frame).text).toMatch(/./);
      }),
    );
  });
});
