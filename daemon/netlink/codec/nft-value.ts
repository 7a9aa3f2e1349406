/**
 * Keys and data of nftables sets and maps: what stands in the registers of the rule that looks them up.
 *
 * A key of one part is its bytes. In a key of several parts (`ip saddr . meta mark`) each is padded to 4 bytes. The bytes
 * do not say what they are; the definition of the set does, so decoding takes the kinds.
 *
 * @module
 */
import { type Mac, macBytes, macFromBytes } from "../../../proto/addr.ts";
import { type IpAddress, ipBytes, ipFromBytes } from "../../../proto/addr6.ts";
import { align4, bytesOfText, DecodeError, textFromBytes, Writer } from "./wire.ts";

/** One part of a key, or the data of a map. Named as in nft(8). */
export type NftValue =
  /** `ipv4_addr` and `ipv6_addr`. */
  | { readonly kind: "ip"; readonly ip: IpAddress }
  /** `mark`: 32 bits, in the byte order of the host. */
  | { readonly kind: "mark"; readonly mark: number }
  /** `iface_index`: 32 bits, in the byte order of the host. */
  | { readonly kind: "ifindex"; readonly ifIndex: number }
  /** `inet_service`: 16 bits, network order. */
  | { readonly kind: "port"; readonly port: number }
  /** `inet_proto`: IPPROTO_*. */
  | { readonly kind: "protocol"; readonly protocol: number }
  /** `ether_addr`. */
  | { readonly kind: "mac"; readonly mac: Mac }
  /** `ifname`: up to 15 bytes, in a register of 16. */
  | { readonly kind: "ifname"; readonly name: string }
  /** Whatever it is; a multiple of 4 long where it is one of several parts. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** What a set's definition says of one part; `"ip6"` because decoding has to know the length. */
export type NftType = "ip" | "ip6" | "mark" | "ifindex" | "port" | "protocol" | "mac" | "ifname";

const IFNAME_BYTES = 16;
const BYTES: Readonly<Record<NftType, number>> = {
  ip: 4,
  ip6: 16,
  mark: 4,
  ifindex: 4,
  port: 2,
  protocol: 1,
  mac: 6,
  ifname: IFNAME_BYTES,
};

/** The bytes of a key. */
export function encodeKey(parts: readonly NftValue[]): Uint8Array {
  const writer = new Writer();
  for (const part of parts) {
    writer.bytes(valueBytes(part));
    if (parts.length > 1) writer.pad();
  }
  return writer.take();
}

/** The inverse of `encodeKey`. DecodeError where the length is not that of `types`; `[]`: as bytes. */
export function decodeKey(bytes: Uint8Array, types: readonly NftType[], offset: number): readonly NftValue[] {
  if (types.length === 0) return [{ kind: "bytes", bytes }];
  const sizes = types.map((type) => (types.length > 1 ? align4(BYTES[type]) : BYTES[type]));
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  if (bytes.length !== whole)
    throw new DecodeError(`${types.join(" . ")} of ${bytes.length} bytes, not ${whole}`, offset);
  let at = 0;
  return types.map((type, index) => {
    const part = bytes.subarray(at, at + BYTES[type]);
    at += sizes[index] ?? 0;
    return decodeValue(part, type);
  });
}

/** The bytes of one value alone. */
export function valueBytes(value: NftValue): Uint8Array {
  const writer = new Writer();
  switch (value.kind) {
    case "ip":
      return ipBytes(value.ip);
    case "mark":
      writer.u32(value.mark);
      return writer.take();
    case "ifindex":
      writer.u32(value.ifIndex);
      return writer.take();
    case "port":
      writer.be16(value.port);
      return writer.take();
    case "protocol":
      writer.u8(value.protocol);
      return writer.take();
    case "mac":
      return macBytes(value.mac);
    case "ifname":
      return ifnameBytes(value.name);
    case "bytes":
      return value.bytes;
    default:
      return value satisfies never;
  }
}

/** `bytes` has the length of `type`. A name that is not text or has bytes behind its NUL stays bytes. */
function decodeValue(bytes: Uint8Array, type: NftType): NftValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case "ip":
    case "ip6": {
      const ip = ipFromBytes(bytes);
      return ip === undefined ? { kind: "bytes", bytes } : { kind: "ip", ip };
    }
    case "mark":
      return { kind: "mark", mark: view.getUint32(0, true) };
    case "ifindex":
      return { kind: "ifindex", ifIndex: view.getUint32(0, true) };
    case "port":
      return { kind: "port", port: view.getUint16(0, false) };
    case "protocol":
      return { kind: "protocol", protocol: view.getUint8(0) };
    case "mac": {
      const mac = macFromBytes(bytes);
      return mac === undefined ? { kind: "bytes", bytes } : { kind: "mac", mac };
    }
    case "ifname": {
      const name = textFromBytes(bytes);
      return name === undefined || bytes.subarray(bytes.indexOf(0)).some((byte) => byte !== 0)
        ? { kind: "bytes", bytes }
        : { kind: "ifname", name };
    }
    default:
      return type satisfies never;
  }
}

function ifnameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(IFNAME_BYTES);
  const text = bytesOfText(name);
  if (text.length >= IFNAME_BYTES) throw new RangeError(`netlink: ${name} is too long for a device's name`);
  bytes.set(text);
  return bytes;
}
