/**
 * Requests for all there is, filtered by the kernel. The filters need NETLINK_GET_STRICT_CHK on the socket: without it
 * the kernel ignores them silently and sends everything. NLM_F_DUMP_FILTERED in the answers tells.
 *
 * A dump is a run of RTM_NEW* with NLM_F_MULTI that NLMSG_DONE ends. One socket can have one at a time.
 *
 * @module
 */
import { encodeAddress, RTM_ADDRESS } from "./address.ts";
import { NLM_F } from "./header.ts";
import { AF } from "./ip.ts";
import { encodeLink, RTM_LINK } from "./link.ts";
import { encodeNeighbour, NTF, RTM_NEIGHBOUR } from "./neighbour.ts";
import { type Request } from "./request.ts";
import { encodeRoute, RTM_ROUTE } from "./route.ts";
import { encodeRule, RTM_RULE } from "./rule.ts";

const FLAGS = NLM_F.REQUEST | NLM_F.DUMP;
/** RTEXT_FILTER_SKIP_STATS: without the counters of IPv6 and of virtual functions. The others come all the same. */
const SKIP_STATS = 1 << 3;

/** `ip link show [master DEV] [type KIND]`. `targetNetnsId`: of another namespace. */
export function dumpLinks(
  filter: { readonly master?: number; readonly kind?: string; readonly targetNetnsId?: number } = {},
): Request {
  const { kind, ...fields } = filter;
  const info = kind === undefined ? {} : { info: { kind: "raw" as const, name: kind } };
  return {
    type: RTM_LINK.GET,
    flags: FLAGS,
    payload: encodeLink({ ...fields, ...info, extMask: SKIP_STATS }),
  };
}

/** `ip address show [dev DEV]`. */
export function dumpAddresses(filter: { readonly family?: number; readonly index?: number } = {}): Request {
  return { type: RTM_ADDRESS.GET, flags: FLAGS, payload: encodeAddress({ family: AF.INET, ...filter }) };
}

/** `ip route show [table ID] [proto ID] [type TYPE] [dev DEV]`; without `table` those of all tables. */
export function dumpRoutes(
  filter: {
    readonly family?: number;
    readonly table?: number;
    readonly protocol?: number;
    readonly type?: number;
    readonly oif?: number;
  } = {},
): Request {
  return { type: RTM_ROUTE.GET, flags: FLAGS, payload: encodeRoute({ family: AF.INET, ...filter }) };
}

/** `ip rule show`. The kernel has no filter but the family. */
export function dumpRules(filter: { readonly family?: number } = {}): Request {
  return { type: RTM_RULE.GET, flags: FLAGS, payload: encodeRule({ family: AF.INET, ...filter }) };
}

/** `ip neighbour show [proxy] [dev DEV]`. */
export function dumpNeighbours(
  filter: { readonly family?: number; readonly index?: number; readonly proxy?: boolean } = {},
): Request {
  return dumpNdmsg(filter.family ?? AF.INET, filter.index, filter.proxy === true ? NTF.PROXY : 0);
}

/** `bridge fdb show [brport DEV]`: forwarding entries of bridges and vxlans. */
export function dumpForwarding(filter: { readonly index?: number } = {}): Request {
  return dumpNdmsg(AF.BRIDGE, filter.index, 0);
}

/** Strict checking wants the index in an attribute; in the header it is an error. */
function dumpNdmsg(family: number, index: number | undefined, flags: number): Request {
  const ifIndex = index === undefined ? {} : { ifIndex: index };
  return {
    type: RTM_NEIGHBOUR.GET,
    flags: FLAGS,
    payload: encodeNeighbour({ family, flags, ...ifIndex }),
  };
}
