/**
 * What a notification says about the hybrid network, told by a few bytes before it is decoded: most of what happens on a
 * node is about pods, and most of what happens in nftables about Services.
 *
 * @module
 */
import { networkOf } from "../../../proto/cidr6.ts";
import { PROTOCOL, TABLE } from "../../core/datapath/layout.ts";
import { type HybridDevices } from "../../core/hybrid/desired.ts";
import { HYBRID_TABLE, type HybridThing, keyOf } from "../../core/hybrid/things.ts";
import { decodeAddress, RTM_ADDRESS } from "../codec/address.ts";
import { type RawMessage } from "../codec/header.ts";
import { decodeLink, type Link, RTM_LINK } from "../codec/link.ts";
import { decodeNeighbour, RTM_NEIGHBOUR } from "../codec/neighbour.ts";
import { readFields, schema, text } from "../codec/attribute.ts";
import { NFNL_SUBSYS, nfType, readNfHeader } from "../codec/nfnetlink.ts";
import { NFT_ELEMENT } from "../codec/nft-element.ts";
import { decodeRoute, RTM_ROUTE } from "../codec/route.ts";
import { spanOf } from "../codec/wire.ts";
import { AF } from "../codec/ip.ts";
import { addressThing, forwardingThing, neighbourThing, routeThing, thingsOfElements } from "./read.ts";

/** NFT_MSG_NEWGEN of <linux/netfilter/nf_tables.h>. */
const NFT_NEWGEN = nfType(NFNL_SUBSYS.NFTABLES, 15);

export type NetworkEvent =
  /** `thing` is what has the key now; absent: nothing of ours has. */
  | { readonly kind: "thing"; readonly key: string; readonly thing?: HybridThing }
  /** Absent: the device is gone. */
  | { readonly kind: "link"; readonly index: number; readonly link?: Link }
  /** Something of a table of ours that is no node's address: what it is now only a look tells. */
  | { readonly kind: "table" };

/** None: it does not concern us. DecodeError where the message is none. */
export function eventsOf(message: RawMessage, devices: HybridDevices): readonly NetworkEvent[] {
  if (message.type >> 8 === NFNL_SUBSYS.NFTABLES) return tableEvents(message);
  const event = routingEvent(message, devices);
  return event === undefined ? [] : [event];
}

/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE, NFTA_OBJ_TABLE: all are 1. */
const OF_TABLE = schema({ table: text(1) });

function tableEvents({ type, payload }: RawMessage): readonly NetworkEvent[] {
  // What closes each transaction tells whose it was, and of no table.
  if (type === NFT_NEWGEN) return [];
  const { table } = readFields(readNfHeader(spanOf(payload)).rest, OF_TABLE);
  if (table !== HYBRID_TABLE) return [];
  const isElement = type === NFT_ELEMENT.NEW || type === NFT_ELEMENT.DEL;
  const things = isElement ? thingsOfElements(payload) : undefined;
  if (things === undefined || things.length === 0) return [{ kind: "table" }];
  return things.map((thing) => ({
    kind: "thing",
    key: keyOf(thing),
    ...(type === NFT_ELEMENT.NEW && { thing }),
  }));
}

function routingEvent({ type, payload }: RawMessage, devices: HybridDevices): NetworkEvent | undefined {
  switch (type) {
    case RTM_LINK.NEW:
    case RTM_LINK.DEL:
      return linkEvent(type === RTM_LINK.DEL, payload, devices);
    case RTM_ADDRESS.NEW:
    case RTM_ADDRESS.DEL: {
      const { overlay } = devices;
      if (overlay === undefined || indexIn(payload) !== overlay.ifIndex) return undefined;
      return thingEvent(type === RTM_ADDRESS.DEL, addressThing(decodeAddress(payload), overlay));
    }
    case RTM_NEIGHBOUR.NEW:
    case RTM_NEIGHBOUR.DEL:
      return neighbourEvent(type === RTM_NEIGHBOUR.DEL, payload, devices);
    case RTM_ROUTE.NEW:
    case RTM_ROUTE.DEL:
      return routeEvent(type === RTM_ROUTE.DEL, payload, devices);
    default:
      return undefined;
  }
}

/** Of `struct ifinfomsg`, `ifaddrmsg` and `ndmsg`. */
function indexIn(payload: Uint8Array): number {
  return payload.length < 8 ? 0 : spanOf(payload).view.getInt32(4, true);
}

function thingEvent(deleted: boolean, thing: HybridThing | undefined): NetworkEvent | undefined {
  if (thing === undefined) return undefined;
  return { kind: "thing", key: keyOf(thing), ...(!deleted && { thing }) };
}

function linkEvent(
  deleted: boolean,
  payload: Uint8Array,
  { overlay, uplink }: HybridDevices,
): NetworkEvent | undefined {
  const index = indexIn(payload);
  if (index !== overlay?.ifIndex && index !== uplink.ifIndex) return undefined;
  const link = decodeLink(payload);
  // The notifications of bridge ports bear the family of bridges, and little else.
  if (link.family !== AF.UNSPEC) return undefined;
  return { kind: "link", index, ...(!deleted && { link }) };
}

/** One that is not ours any more (another state, another protocol) stands where ours was. */
function neighbourEvent(
  deleted: boolean,
  payload: Uint8Array,
  { overlay }: HybridDevices,
): NetworkEvent | undefined {
  if (overlay === undefined || indexIn(payload) !== overlay.ifIndex) return undefined;
  const neighbour = decodeNeighbour(payload);
  if (neighbour.family === AF.BRIDGE) return thingEvent(deleted, forwardingThing(neighbour, overlay));
  const thing = neighbourThing(neighbour, overlay);
  if (thing !== undefined && !deleted) return thingEvent(false, thing);
  return neighbour.dst === undefined ? undefined : { kind: "thing", key: `neighbour ${neighbour.dst}` };
}

/** A route of another protocol that took the place of ours is told as new, and ours not as gone. */
function routeEvent(deleted: boolean, payload: Uint8Array, devices: HybridDevices): NetworkEvent | undefined {
  const [table, protocol] = [payload[4], payload[5]];
  if (table !== TABLE.main || (protocol !== PROTOCOL && deleted)) return undefined;
  const route = decodeRoute(payload);
  const thing = routeThing(route, devices);
  if (thing !== undefined) return thingEvent(deleted, thing);
  const { dst, priority = 0 } = route;
  return dst === undefined
    ? undefined
    : { kind: "thing", key: `route ${networkOf(dst.ip, dst.bits)} ${priority}` };
}
