/**
 * Addresses of devices, `ip address`: `struct ifaddrmsg` and IFA_* of <linux/if_addr.h>.
 *
 *     0        1               2       3       4          8
 *     | family | prefix length | flags | scope | index    | attributes ...
 *
 * There is no field for IFA_TARGET_NETNSID, on purpose: RTM_NEWADDR ignores it without a word, and the address lands on
 * the device with that index in the caller's own namespace. Use a socket of the namespace.
 *
 * @module
 */
import { ip, readFields, schema, text, u32, u8, type ValuesOf, writeFields } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { AF, familyOf } from "./ip.ts";
import { MAKE, type Make, type Request } from "./request.ts";
import { skipHeader, spanOf, Writer } from "./wire.ts";

/** RTM_*ADDR. */
export const RTM_ADDRESS = { NEW: 20, DEL: 21, GET: 22 } as const;

/** IFA_F_*. */
export const IFA_F = {
  SECONDARY: 0x1,
  NODAD: 0x2,
  DADFAILED: 0x8,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  MANAGETEMPADDR: 0x100,
  /** The kernel makes no route to the address's network. */
  NOPREFIXROUTE: 0x200,
} as const;

const HEADER_BYTES = 8;
const IFA_FLAGS = 8;

/** IFA_*. */
const ADDRESS_FIELDS = {
  /** The network's side of it: equal to `local`, or the other end of a point to point link. */
  address: ip(1),
  /** The device's own address. The kernel wants it for IPv4. */
  local: ip(2),
  /** Old name of the address: `"eth0:1"`, `"eth0"`. */
  label: text(3),
  broadcast: ip(4),
  /** Of the route to its network. */
  metric: u32(9),
  /** IFAPROT_*: who made it. */
  protocol: u8(11),
} as const;

const ADDRESS = schema(ADDRESS_FIELDS);
const ON_WIRE = schema({ ...ADDRESS_FIELDS, flags: u32(IFA_FLAGS) });

/** `struct ifaddrmsg`. */
export type AddressHeader = {
  readonly family: number;
  /** Bits. */
  readonly prefixLength: number;
  /** IFA_F_*, all of them: those above 8 bits go into an attribute of their own. */
  readonly flags: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  readonly index: number;
};

/** An address of the kernel. */
export type Address = AddressHeader & ValuesOf<typeof ADDRESS>;
/** In a request: the family is that of `local` or `address` where it is not given. */
export type AddressMessage = Partial<AddressHeader> & ValuesOf<typeof ADDRESS>;

/** The payload of an RTM_*ADDR. */
export function encodeAddress(address: AddressMessage): Uint8Array {
  const writer = new Writer();
  const ofAddress = address.local ?? address.address;
  const flags = address.flags ?? 0;
  writer.u8(address.family ?? (ofAddress === undefined ? AF.UNSPEC : familyOf(ofAddress)));
  writer.u8(address.prefixLength ?? 0);
  writer.u8(flags & 0xff);
  writer.u8(address.scope ?? 0);
  writer.u32(address.index ?? 0);
  const { flags: _, ...fields } = address;
  writeFields(writer, ON_WIRE, flags > 0xff ? { ...fields, flags } : fields);
  return writer.take();
}

/** The inverse of `encodeAddress`. */
export function decodeAddress(payload: Uint8Array): Address {
  const span = spanOf(payload);
  const rest = skipHeader(span, HEADER_BYTES, "ifaddrmsg");
  const header = {
    family: span.view.getUint8(0),
    prefixLength: span.view.getUint8(1),
    flags: span.view.getUint8(2),
    scope: span.view.getUint8(3),
    index: span.view.getUint32(4, true),
  };
  // IFA_FLAGS, where there is one, stands over the 8 bits of the header.
  return { ...header, ...readFields(rest, ON_WIRE) };
}

/** `ip address add`. The pod's own address is `{ index, local, prefixLength: 32 }`. */
export function addAddress(address: AddressMessage, make: Make = "create"): Request {
  return { type: RTM_ADDRESS.NEW, flags: MAKE[make], payload: encodeAddress(withBoth(address)) };
}

/** `ip address delete`: by index, `local` and `prefixLength`. EADDRNOTAVAIL where it is not there. */
export function deleteAddress(address: AddressMessage): Request {
  return { type: RTM_ADDRESS.DEL, flags: NLM_F.REQUEST, payload: encodeAddress(withBoth(address)) };
}

/** Without IFA_ADDRESS the kernel would make the address one of a point to point link to nowhere. */
function withBoth(address: AddressMessage): AddressMessage {
  return address.local === undefined ? address : { address: address.local, ...address };
}
