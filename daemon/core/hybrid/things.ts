/**
 * The objects of the node's hybrid network that come and go with peers: what of the plan model it uses, and node addresses
 * in the sets of nftables. By keys, because there are thousands and few of them change.
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type IpAddress } from "../../../proto/addr6.ts";
import {
  type AddressThing,
  describeThing,
  type FdbThing,
  type NeighbourThing,
  type RouteThing,
} from "../datapath/thing.ts";

/** Of a table of nftables: what packets it sees. */
export type NftFamily = "ip" | "ip6";

/** Of a table of ours; that of `netdev` sees what leaves by the uplink. */
export type TableFamily = NftFamily | "netdev";

/** Which set or map of node addresses; `nft-text.ts` and `redirect-text.ts` say what for. */
export type NodeSet = "vteps" | "direct" | "macs_ip" | "macs_ip6";

/** The table of nftables, in each family that the network has. */
export const HYBRID_TABLE = "terway_hybrid";

/** An address in a set of `HYBRID_TABLE`. */
export type NodeElement = {
  readonly kind: "node-element";
  readonly family: TableFamily;
  readonly set: NodeSet;
  readonly address: IpAddress;
  /** What it leads to, in a map. */
  readonly mac?: Mac;
};

export type HybridThing = AddressThing | NeighbourThing | FdbThing | RouteThing | NodeElement;

/** Things by `keyOf`, in the order in which they are made. */
export type Things = ReadonlyMap<string, HybridThing>;

/** Of what the kernel can have one only. */
export function keyOf(thing: HybridThing): string {
  switch (thing.kind) {
    case "address":
      return `address ${thing.address}/${thing.prefixLength}`;
    case "neighbour":
      return `neighbour ${thing.address}`;
    case "fdb":
      return `fdb ${thing.mac}`;
    case "route":
      return `route ${thing.to} ${thing.metric ?? 0}`;
    case "node-element":
      return `element ${thing.family} ${thing.set} ${thing.address}`;
    default:
      return thing satisfies never;
  }
}

/** Whether two things with the same key are the same in all. */
export function isSameThing(a: HybridThing, b: HybridThing): boolean {
  switch (a.kind) {
    case "address":
      return b.kind === a.kind && isSameDevice(a, b);
    case "neighbour":
      return b.kind === a.kind && a.mac === b.mac && isSameDevice(a, b);
    case "fdb":
      return b.kind === a.kind && a.remote === b.remote && isSameDevice(a, b);
    case "route":
      return (
        b.kind === a.kind &&
        a.via === b.via &&
        a.type === b.type &&
        a.onlink === b.onlink &&
        isSameDevice(a, b)
      );
    case "node-element":
      return b.kind === a.kind && a.mac === b.mac;
    default:
      return a satisfies never;
  }
}

type OnDevice = { readonly device?: { readonly ifIndex: number } };

function isSameDevice(a: OnDevice, b: OnDevice): boolean {
  return a.device?.ifIndex === b.device?.ifIndex;
}

/** As ip(8), bridge(8) and nft(8) would say it, one line. */
export function describeHybridThing(thing: HybridThing): string {
  if (thing.kind !== "node-element") return describeThing(thing);
  const { family, set, address, mac } = thing;
  return `nft element ${family} ${HYBRID_TABLE} ${set} { ${address}${mac === undefined ? "" : ` : ${mac}`} }`;
}
