/**
 * Any message that a NETLINK_ROUTE socket receives, as one tagged value: answers of a dump, notifications of a multicast
 * group, acknowledgements.
 *
 * @module
 */
import { type Address, decodeAddress, RTM_ADDRESS } from "./address.ts";
import { type Ack, decodeAck, decodeDone, type Done } from "./error.ts";
import { NLMSG, type RawMessage } from "./header.ts";
import { decodeLink, type Link, RTM_LINK } from "./link.ts";
import { decodeNeighbour, type Neighbour, RTM_NEIGHBOUR } from "./neighbour.ts";
import { decodeNsid, type Nsid, RTM_NSID } from "./nsid.ts";
import { decodeRoute, type Route, RTM_ROUTE } from "./route.ts";
import { decodeRule, RTM_RULE, type Rule } from "./rule.ts";
import { decodeFilter, type Filter, RTM_FILTER } from "./tc-filter.ts";
import { decodeQdisc, type Qdisc, RTM_CLASS, RTM_QDISC } from "./tc-qdisc.ts";

/** `deleted`: the notification that it is gone. */
export type RtMessage =
  | { readonly kind: "link"; readonly deleted: boolean; readonly link: Link }
  | { readonly kind: "address"; readonly deleted: boolean; readonly address: Address }
  | { readonly kind: "route"; readonly deleted: boolean; readonly route: Route }
  | { readonly kind: "rule"; readonly deleted: boolean; readonly rule: Rule }
  | { readonly kind: "neighbour"; readonly deleted: boolean; readonly neighbour: Neighbour }
  | { readonly kind: "nsid"; readonly deleted: boolean; readonly nsid: Nsid }
  | { readonly kind: "qdisc"; readonly deleted: boolean; readonly qdisc: Qdisc }
  | { readonly kind: "class"; readonly deleted: boolean; readonly class: Qdisc }
  | { readonly kind: "filter"; readonly deleted: boolean; readonly filter: Filter }
  | { readonly kind: "ack"; readonly ack: Ack }
  | { readonly kind: "done"; readonly done: Done }
  /** A type that has no decoder here, NLMSG_NOOP among them. */
  | { readonly kind: "other"; readonly type: number };

/** DecodeError where the payload is not what the type says. */
export function decodeMessage(message: Omit<RawMessage, "port">): RtMessage {
  const { type, payload } = message;
  switch (type) {
    case NLMSG.ERROR:
      return { kind: "ack", ack: decodeAck(message) };
    case NLMSG.DONE:
      return { kind: "done", done: decodeDone(message) };
    case RTM_LINK.NEW:
    case RTM_LINK.DEL:
      return { kind: "link", deleted: type === RTM_LINK.DEL, link: decodeLink(payload) };
    case RTM_ADDRESS.NEW:
    case RTM_ADDRESS.DEL:
      return { kind: "address", deleted: type === RTM_ADDRESS.DEL, address: decodeAddress(payload) };
    case RTM_ROUTE.NEW:
    case RTM_ROUTE.DEL:
      return { kind: "route", deleted: type === RTM_ROUTE.DEL, route: decodeRoute(payload) };
    case RTM_RULE.NEW:
    case RTM_RULE.DEL:
      return { kind: "rule", deleted: type === RTM_RULE.DEL, rule: decodeRule(payload) };
    case RTM_NEIGHBOUR.NEW:
    case RTM_NEIGHBOUR.DEL:
      return {
        kind: "neighbour",
        deleted: type === RTM_NEIGHBOUR.DEL,
        neighbour: decodeNeighbour(payload),
      };
    case RTM_NSID.NEW:
    case RTM_NSID.DEL:
      return { kind: "nsid", deleted: type === RTM_NSID.DEL, nsid: decodeNsid(payload) };
    case RTM_QDISC.NEW:
    case RTM_QDISC.DEL:
      return { kind: "qdisc", deleted: type === RTM_QDISC.DEL, qdisc: decodeQdisc(payload) };
    case RTM_CLASS.NEW:
    case RTM_CLASS.DEL:
      return { kind: "class", deleted: type === RTM_CLASS.DEL, class: decodeQdisc(payload) };
    case RTM_FILTER.NEW:
    case RTM_FILTER.DEL:
      return { kind: "filter", deleted: type === RTM_FILTER.DEL, filter: decodeFilter(payload) };
    default:
      return { kind: "other", type };
  }
}
