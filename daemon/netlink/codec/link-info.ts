/**
 * What is particular to a kind of virtual device: IFLA_LINKINFO of <linux/if_link.h>. Each kind with a schema here is
 * `{ kind, options }`; any other (`dummy`, `tun`) is `{ kind: "raw", name, data }` and passes through unharmed.
 *
 * @module
 */
import {
  attributesOf,
  be16,
  type Field,
  ip,
  NLA_TYPE_MASK,
  raw,
  readFields,
  schema,
  text,
  u16,
  u32,
  u8,
  type UnknownAttribute,
  type ValuesOf,
  writeFields,
} from "./attribute.ts";
import { PEER, type PeerLink, readPeer, writeLinkHeader } from "./link-base.ts";
import { type Span, Writer } from "./wire.ts";

/** VETH_INFO_PEER: a whole link message without its frame. */
const peer: Field<PeerLink> = {
  type: 1,
  write: (writer, value) => {
    writeLinkHeader(writer, value);
    writeFields(writer, PEER, value);
  },
  read: readPeer,
};

/** VETH_INFO_*. Dumps have no options; the peer is `link` and `linkNetnsId` there. */
const VETH = schema({ peer });

/** IFLA_VXLAN_*. */
const VXLAN = schema({
  /** VNI, 24 bits. */
  id: u32(1),
  /** Where frames without an FDB entry go: a multicast group or a remote. */
  group: ip(2),
  /** Index of the device below. */
  link: u32(3),
  /** Source address of the outer packets. */
  local: ip(4),
  ttl: u8(5),
  tos: u8(6),
  learning: u8(7),
  ageingSeconds: u32(8),
  proxy: u8(11),
  rsc: u8(12),
  l2miss: u8(13),
  l3miss: u8(14),
  /** UDP; the kernel's own default is 8472, the assigned one 4789. */
  port: be16(15),
  group6: ip(16),
  local6: ip(17),
  udpCsum: u8(18),
  udpZeroCsum6Tx: u8(19),
  udpZeroCsum6Rx: u8(20),
  collectMetadata: u8(25),
});

/** IFLA_IPVLAN_*. */
const IPVLAN = schema({
  /** `IPVLAN_MODE`. */
  mode: u16(1),
  /** `IPVLAN_FLAG`. */
  flags: u16(2),
});

/** IPVLAN_MODE_*. */
export const IPVLAN_MODE = { L2: 0, L3: 1, L3S: 2 } as const;
/** IPVLAN_F_*; 0 is bridge mode. */
export const IPVLAN_FLAG = { PRIVATE: 1, VEPA: 2 } as const;

/** IFLA_MACVLAN_*. */
const MACVLAN = schema({
  /** `MACVLAN_MODE`. */
  mode: u32(1),
  flags: u16(2),
});

/** MACVLAN_MODE_*. */
export const MACVLAN_MODE = { PRIVATE: 1, VEPA: 2, BRIDGE: 4, PASSTHRU: 8, SOURCE: 16 } as const;

/** IFLA_BR_*; the times are in 1/100 s. */
const BRIDGE = schema({
  forwardDelay: u32(1),
  helloTime: u32(2),
  maxAge: u32(3),
  ageingTime: u32(4),
  stpState: u32(5),
  priority: u16(6),
  vlanFiltering: u8(7),
  groupFwdMask: u16(9),
  mcastSnooping: u8(23),
  nfCallIptables: u8(36),
});

const KINDS = { veth: VETH, vxlan: VXLAN, ipvlan: IPVLAN, macvlan: MACVLAN, bridge: BRIDGE } as const;

type Known = {
  [Kind in keyof typeof KINDS]: {
    readonly kind: Kind;
    readonly options?: ValuesOf<(typeof KINDS)[Kind]>;
  };
}[keyof typeof KINDS];

/** A kind without a schema. No `name`: a device that has no kind but is a port of something (`portKind`). */
type Raw = { readonly kind: "raw"; readonly name?: string; readonly data?: Uint8Array };

/** The kind of a device and its options, and what it is a port of. */
export type LinkInfo = (Known | Raw) & {
  /** IFLA_INFO_SLAVE_KIND: what it is a port of (`"bridge"`, `"bond"`, `"vrf"`). */
  readonly portKind?: string;
  readonly portData?: Uint8Array;
  readonly unknown?: readonly UnknownAttribute[];
};

const INFO_DATA = 2;
/** IFLA_INFO_*. */
const INFO = schema({ name: text(1), data: raw(INFO_DATA), portKind: text(4), portData: raw(5) });

/** IFLA_LINKINFO. */
export const linkInfo: Field<LinkInfo> = {
  type: 18,
  write: (writer, info) => writeFields(writer, INFO, flatten(info)),
  read: (span) => unflatten(readFields(span, INFO), optionsOf(span)),
};

function flatten(info: LinkInfo): ValuesOf<typeof INFO> {
  if (info.kind === "raw") {
    const { kind: _, ...rest } = info;
    return rest;
  }
  const { kind, options, ...rest } = info;
  if (options === undefined) return { name: kind, ...rest };
  const writer = new Writer();
  writeOptions(writer, info);
  return { name: kind, data: writer.take(), ...rest };
}

function writeOptions(writer: Writer, info: Known): void {
  switch (info.kind) {
    case "veth":
      return writeFields(writer, VETH, info.options ?? {});
    case "vxlan":
      return writeFields(writer, VXLAN, info.options ?? {});
    case "ipvlan":
      return writeFields(writer, IPVLAN, info.options ?? {});
    case "macvlan":
      return writeFields(writer, MACVLAN, info.options ?? {});
    case "bridge":
      return writeFields(writer, BRIDGE, info.options ?? {});
    default:
      return info satisfies never;
  }
}

/** The payload of IFLA_INFO_DATA where it stands, so that errors in it name the right byte. */
function optionsOf(span: Span): Span | undefined {
  return attributesOf(span).findLast(({ type }) => (type & NLA_TYPE_MASK) === INFO_DATA)?.payload;
}

function unflatten({ name, data, ...rest }: ValuesOf<typeof INFO>, options: Span | undefined): LinkInfo {
  switch (name) {
    case "veth":
      return { kind: name, ...(options && { options: readFields(options, VETH) }), ...rest };
    case "vxlan":
      return { kind: name, ...(options && { options: readFields(options, VXLAN) }), ...rest };
    case "ipvlan":
      return { kind: name, ...(options && { options: readFields(options, IPVLAN) }), ...rest };
    case "macvlan":
      return { kind: name, ...(options && { options: readFields(options, MACVLAN) }), ...rest };
    case "bridge":
      return { kind: name, ...(options && { options: readFields(options, BRIDGE) }), ...rest };
    default:
      return { kind: "raw", ...(name !== undefined && { name }), ...(data && { data }), ...rest };
  }
}
