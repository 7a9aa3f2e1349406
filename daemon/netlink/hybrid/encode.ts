/**
 * Changes of the hybrid network as requests.
 *
 * @module
 */
import { firstOf, bitsOf } from "../../../proto/cidr6.ts";
import { PROTOCOL } from "../../core/datapath/layout.ts";
import { type RouteThing } from "../../core/datapath/thing.ts";
import { type Change } from "../../core/hybrid/plan.ts";
import { HYBRID_TABLE, type HybridThing, type NodeSet, type TableFamily } from "../../core/hybrid/things.ts";
import { addAddress, deleteAddress, IFA_F } from "../codec/address.ts";
import { AF } from "../codec/ip.ts";
import { deleteNeighbour, NTF, NUD, setForwarding, setNeighbour } from "../codec/neighbour.ts";
import { type SetTarget } from "../codec/nft-element.ts";
import { NFPROTO } from "../codec/nfnetlink.ts";
import { type Request } from "../codec/request.ts";
import { addRoute, deleteRoute, type RouteMessage, RTN, RTNH_F } from "../codec/route.ts";

/** What goes by rtnetlink: all but elements. */
export type RouteSocketThing = Exclude<HybridThing, { readonly kind: "node-element" }>;

/** NFPROTO_* of a table's family. */
export const NFT_PROTO = {
  ip: NFPROTO.IPV4,
  ip6: NFPROTO.IPV6,
  netdev: NFPROTO.NETDEV,
} as const satisfies Record<TableFamily, number>;

/** A set of our table. */
export function nodeSet(family: TableFamily, set: NodeSet | "version" | "forwarding" | "exempt"): SetTarget {
  return { family: NFT_PROTO[family], table: HYBRID_TABLE, set };
}

/**
 * The request that carries a change out. What is new on our device takes the place of what is there; a route never does,
 * for it might be somebody else's (EEXIST), unless it is a change of our own.
 */
export function encodeChange(change: Change["kind"], thing: RouteSocketThing): Request {
  return change === "remove" ? removal(thing) : addition(thing, change);
}

function addition(thing: RouteSocketThing, change: "add" | "replace"): Request {
  switch (thing.kind) {
    case "address": {
      const { device, address: local, prefixLength } = thing;
      const flags = local.includes(":") ? IFA_F.NODAD : 0;
      return addAddress({ index: device.ifIndex, local, prefixLength, flags }, "replace");
    }
    case "neighbour": {
      const { device, address: dst, mac: lladdr } = thing;
      return setNeighbour({ index: device.ifIndex, dst, lladdr, protocol: PROTOCOL });
    }
    case "fdb":
      return setForwarding({ index: thing.device.ifIndex, lladdr: thing.mac, dst: thing.remote });
    case "route": {
      const { onlink } = thing;
      const flags = onlink === true ? { flags: RTNH_F.ONLINK } : {};
      return addRoute({ ...routeOf(thing), ...flags }, change === "add" ? "create" : "replace");
    }
    default:
      return thing satisfies never;
  }
}

function removal(thing: RouteSocketThing): Request {
  switch (thing.kind) {
    case "address": {
      const { device, address: local, prefixLength } = thing;
      return deleteAddress({ index: device.ifIndex, local, prefixLength });
    }
    case "neighbour":
      return deleteNeighbour({ index: thing.device.ifIndex, dst: thing.address });
    case "fdb": {
      const { device, mac: lladdr, remote: dst } = thing;
      const state = NUD.NOARP | NUD.PERMANENT;
      return deleteNeighbour({
        family: AF.BRIDGE,
        index: device.ifIndex,
        flags: NTF.SELF,
        state,
        lladdr,
        dst,
      });
    }
    case "route":
      return deleteRoute(routeOf(thing));
    default:
      return thing satisfies never;
  }
}

function routeOf({ to, table, type, device, via, metric }: RouteThing): RouteMessage & { protocol: number } {
  const ip = firstOf(to);
  return {
    family: ip.includes(":") ? AF.INET6 : AF.INET,
    protocol: PROTOCOL,
    table,
    dst: { ip, bits: bitsOf(to) },
    type: type === undefined ? RTN.UNICAST : type === "unreachable" ? RTN.UNREACHABLE : RTN.BLACKHOLE,
    ...(metric !== undefined && metric !== 0 && { priority: metric }),
    ...(device !== undefined && { oif: device.ifIndex }),
    ...(via !== undefined && { gateway: via }),
  };
}
