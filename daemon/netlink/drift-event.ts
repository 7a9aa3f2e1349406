/**
 * What a notification says about the datapath, told by a few bytes before it is decoded: most of what happens on a node is
 * about connections and other people's devices. What the agent's own sockets asked for is no news: a notification bears the
 * port of who asked, 0 where nobody did.
 *
 * @module
 */
import { isIpv6 } from "../../proto/addr6.ts";
import { type Suspect } from "../core/kernel.ts";
import { IPVLAN_NFT } from "../core/datapath/ipvlan-nft.ts";
import { isPodIndex } from "../core/datapath/pod-plan.ts";
import {
  addressesOfAlias,
  GROUP,
  isOurTable,
  NFT,
  PRIORITY,
  SLOT_MAX,
  TABLE,
} from "../core/datapath/layout.ts";
import { i32, readFields, schema, text } from "./codec/attribute.ts";
import { type RawMessage } from "./codec/header.ts";
import { AF } from "./codec/ip.ts";
import { IFF } from "./codec/link-base.ts";
import { decodeLinkLabel, RTM_LINK } from "./codec/link.ts";
import { decodeNeighbour, NUD, RTM_NEIGHBOUR } from "./codec/neighbour.ts";
import { NFNL_SUBSYS, readNfHeader } from "./codec/nfnetlink.ts";
import { decodeRoute, RTM_ROUTE } from "./codec/route.ts";
import { decodeRule, RTM_RULE } from "./codec/rule.ts";
import { skipHeader, spanOf } from "./codec/wire.ts";

/** What a notification is judged by. */
export type DriftFacts = {
  /** Ports of the agent's own sockets. */
  readonly isOwn: (port: number) => boolean;
  /** Indexes of the ENIs' devices. */
  readonly isEni: (ifIndex: number) => boolean;
};

/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE: all are 1. */
const NAMES_TABLE = schema({ table: text(1) });
/** Of <linux/rtnetlink.h>. */
const RTM_NEWNETCONF = 80;
/** `struct netconfmsg` of <linux/netconf.h>: the family, padded like a message. */
const NETCONF_HEADER_BYTES = 4;
const NETCONFA_IFINDEX_ALL = -1;
const NETCONF = schema({ ifIndex: i32(1), forwarding: i32(2), rpFilter: i32(3) });
/** Of <linux/rtnetlink.h>: the table is above 255, and in an attribute. */
const RT_TABLE_COMPAT = 252;
/** NFT_MSG_NEWGEN and above name no table first. */
const NFT_MSG_NEWGEN = 15;

/** A device that may be a pod's: whose it is, only a look tells. */
export type Hint = Suspect | { readonly kind: "device"; readonly ifIndex: number };

/** `undefined`: it is no reason to look. DecodeError where the message is none. */
export function suspectOf(message: RawMessage, facts: DriftFacts): Hint | undefined {
  if (facts.isOwn(message.port)) return undefined;
  const { type, payload } = message;
  if (type >> 8 === NFNL_SUBSYS.NFTABLES) return nftSuspect(type & 0xff, payload);
  switch (type) {
    case RTM_RULE.NEW:
    case RTM_RULE.DEL:
      return ruleSuspect(payload);
    case RTM_ROUTE.NEW:
    case RTM_ROUTE.DEL:
      return routeSuspect(payload);
    case RTM_NEIGHBOUR.NEW:
    case RTM_NEIGHBOUR.DEL:
      return neighbourSuspect(type === RTM_NEIGHBOUR.DEL, payload, facts);
    case RTM_LINK.NEW:
    case RTM_LINK.DEL:
      return linkSuspect(type === RTM_LINK.DEL, payload, facts);
    case RTM_NEWNETCONF:
      return settingSuspect(payload, facts);
    default:
      return undefined;
  }
}

/**
 * A file of /proc/sys/net was written, by whomever: these notifications bear no port. A device that is born is told of with
 * all its values, a file that was written with one.
 */
function settingSuspect(payload: Uint8Array, { isEni }: DriftFacts): Hint | undefined {
  const { ifIndex, forwarding, rpFilter } = readFields(
    skipHeader(spanOf(payload), NETCONF_HEADER_BYTES, "netconfmsg"),
    NETCONF,
  );
  if (ifIndex === undefined) return undefined;
  if (ifIndex === NETCONFA_IFINDEX_ALL || isEni(ifIndex)) return { kind: "node" };
  const isBirth = forwarding !== undefined && rpFilter !== undefined;
  if (isBirth || !isPodIndex(ifIndex)) return undefined;
  return forwarding === 0 || rpFilter !== undefined ? { kind: "device", ifIndex } : undefined;
}

function nftSuspect(command: number, payload: Uint8Array): Suspect | undefined {
  if (command >= NFT_MSG_NEWGEN) return undefined;
  const { table } = readFields(readNfHeader(spanOf(payload)).rest, NAMES_TABLE);
  if (table === NFT.table) return { kind: "all" };
  return table === IPVLAN_NFT.table ? { kind: "node" } : undefined;
}

function ruleSuspect(payload: Uint8Array): Suspect | undefined {
  const { priority = 0, table } = decodeRule(payload);
  // Behind the rules of pods' packets stands one for each ENI, which leads to no table.
  const isOurPlace =
    priority === PRIORITY.pods || (priority >= PRIORITY.eni && priority <= PRIORITY.eni + SLOT_MAX + 1);
  const isOurs = isOurTable(table) || isOurPlace;
  return isOurs ? { kind: "node" } : undefined;
}

function routeSuspect(payload: Uint8Array): Suspect | undefined {
  if (payload[4] !== RT_TABLE_COMPAT) return undefined;
  const { table, dst } = decodeRoute(payload);
  if (!isOurTable(table)) return undefined;
  if (table !== TABLE.pods) return { kind: "node" };
  return dst === undefined ? undefined : { kind: "pod", address: dst.ip };
}

/** The permanent ones of gateways and pods: one that is not permanent any more, or gone. */
function neighbourSuspect(deleted: boolean, payload: Uint8Array, { isEni }: DriftFacts): Suspect | undefined {
  const { family, index, state, dst } = decodeNeighbour(payload);
  if (family === AF.BRIDGE || dst === undefined) return undefined;
  if (!deleted && (state & NUD.PERMANENT) !== 0) return undefined;
  if (isEni(index)) return { kind: "node" };
  return isIpv6(dst) && dst.startsWith("ff") ? undefined : { kind: "pod", address: dst };
}

function linkSuspect(deleted: boolean, payload: Uint8Array, { isEni }: DriftFacts): Suspect | undefined {
  const { index, family, group, alias, flags, name } = decodeLinkLabel(payload);
  // The notifications of bridge ports bear the family of bridges, and little else.
  if (family !== AF.UNSPEC) return undefined;
  if (isEni(index)) return { kind: "node" };
  if (group !== GROUP.pods || alias === undefined || name === undefined) return undefined;
  const [address] = addressesOfAlias(alias);
  if (address === undefined) return undefined;
  return { kind: "pod", address, link: { hostName: name, isUp: !deleted && (flags & IFF.UP) !== 0 } };
}
