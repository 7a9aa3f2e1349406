/**
 * A thing of a plan as the messages that make it or take it away, and which refusals mean that there was nothing to do.
 *
 * Everything is made as by the ip(8) command with `replace` for `add`: what is there already, and is the same, is no
 * failure. Devices are the exception, they have to be new.
 *
 * @module
 */
import { NFT, type NftFamily, PROTOCOL } from "../core/datapath/layout.ts";
import {
  type DeviceSettings,
  type ElementThing,
  type IpvlanThing,
  type Place,
  placeOf,
  type RouteThing,
  type RuleThing,
  type SettingsThing,
  type Thing,
  type VethThing,
  type VxlanThing,
} from "../core/datapath/thing.ts";
import { isIpv6 } from "../../proto/addr6.ts";
import { addAddress, deleteAddress, IFA_F } from "./codec/address.ts";
import { AF, familyOf, prefixOf } from "./codec/ip.ts";
import { createLink, deleteLink, setLink } from "./codec/link.ts";
import { IFF } from "./codec/link-base.ts";
import { IPVLAN_MODE } from "./codec/link-info.ts";
import { deleteNeighbour, NTF, setForwarding, setNeighbour } from "./codec/neighbour.ts";
import { addElements, deleteElements, type SetElement, type SetTarget } from "./codec/nft-element.ts";
import { NFPROTO } from "./codec/nfnetlink.ts";
import { type TableKey } from "./codec/nft-structure.ts";
import { type Request } from "./codec/request.ts";
import { addRoute, deleteRoute, RTN, RTNH_F } from "./codec/route.ts";
import { addRule, deleteRule, FR_ACT } from "./codec/rule.ts";
import { type Setting } from "./job.ts";

/** One message of a plan: to a netlink socket, or to a file of /proc/sys. Those that follow each other on one way are one send. */
export type Message = {
  /** `files`: of the namespace of the place. */
  readonly way: Way;
  /** Refusals that are none: done before, or nothing to do. */
  readonly fine: readonly (keyof typeof ERRNO)[];
} & (
  | { readonly kind: "request"; readonly request: Request }
  | { readonly kind: "setting"; readonly setting: Setting }
);

/** `nft` is the node's; the others are of the place. */
export type Way = Place | "nft" | "node-files" | "pod-files";

/** Numbers of <asm-generic/errno.h>. */
export const ERRNO = {
  ENOENT: 2,
  ESRCH: 3,
  EEXIST: 17,
  ENODEV: 19,
  EAFNOSUPPORT: 97,
  EADDRNOTAVAIL: 99,
} as const;

/** What deletions answer where there is nothing to delete. */
const GONE = ["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL", "EAFNOSUPPORT"] as const;

/** IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE, as an attribute. */
const ADDR_GEN_NONE = Uint8Array.of(5, 0, 8, 0, 1, 0, 0, 0);

/** Without these the kernel makes a queue for each CPU, shows them all in /sys, and gives all but one back. */
const ONE_QUEUE = { numTxQueues: 1, numRxQueues: 1 } as const;

/** `podFd`: the pod's namespace, open in this process; 0 where the plan has no pod. */
export function makeMessages(thing: Thing, podFd: number): readonly Message[] {
  switch (thing.kind) {
    case "veth":
      return [request(thing, vethRequest(thing, podFd))];
    case "ipvlan":
      return [{ kind: "request", way: "node", request: ipvlanRequest(thing, podFd), fine: [] }];
    case "vxlan":
      return [request(thing, vxlanRequest(thing))];
    case "settings":
      return settingsMessages(thing);
    case "address":
      return [request(thing, addAddress(addressOf(thing), "replace"))];
    case "route":
      return [request(thing, addRoute(routeOf(thing), "replace"))];
    case "rule":
      return [request(thing, addRule(ruleOf(thing)), ["EEXIST"])];
    case "neighbour": {
      const { device, address: dst, mac: lladdr } = thing;
      const neighbour = { index: device.ifIndex, dst, lladdr, protocol: PROTOCOL };
      return [request(thing, setNeighbour(neighbour, "replace"))];
    }
    case "fdb":
      return [
        request(
          thing,
          setForwarding({ index: thing.device.ifIndex, lladdr: thing.mac, dst: thing.remote }, "replace"),
        ),
      ];
    case "element":
      return elementMessages(addElements, thing, []);
    default:
      return thing satisfies never;
  }
}

/** What a device was set to before is not known: who sets a device that is not ours has to keep it. */
export function removeMessages(thing: Thing): readonly Message[] {
  switch (thing.kind) {
    case "veth":
      return [request(thing, deleteLink({ name: thing.host.name }), GONE)];
    case "ipvlan":
      return [request(thing, deleteLink({ name: thing.device.name }), GONE)];
    case "vxlan":
      return [request(thing, deleteLink({ name: thing.device.name }), GONE)];
    case "settings":
      return [];
    case "address":
      return [request(thing, deleteAddress(addressOf(thing)), GONE)];
    case "route":
      return [request(thing, deleteRoute(routeOf(thing)), GONE)];
    case "rule":
      return [request(thing, deleteRule(ruleOf(thing)), GONE)];
    case "neighbour": {
      const { device, address: dst } = thing;
      return [request(thing, deleteNeighbour({ index: device.ifIndex, dst }), GONE)];
    }
    case "fdb": {
      const entry = { index: thing.device.ifIndex, lladdr: thing.mac, dst: thing.remote };
      return [request(thing, deleteNeighbour({ family: AF.BRIDGE, flags: NTF.SELF, ...entry }), GONE)];
    }
    case "element":
      return elementMessages(deleteElements, thing, GONE);
    default:
      return thing satisfies never;
  }
}

function request(thing: Thing, of: Request, fine: Message["fine"] = []): Message {
  return { kind: "request", way: placeOf(thing), request: of, fine };
}

function vethRequest({ host, pod, mtu, group }: VethThing, podFd: number): Request {
  const peer = { index: pod.ifIndex, name: pod.name, address: pod.mac, mtu, netNsFd: podFd, ...ONE_QUEUE };
  return createLink({
    ...ONE_QUEUE,
    index: host.ifIndex,
    name: host.name,
    address: host.mac,
    mtu,
    group,
    info: { kind: "veth", options: { peer } },
  });
}

/** Sent from the node's namespace, where the parent is; it is born in its own. */
function ipvlanRequest({ place, device, parent, mtu, group }: IpvlanThing, podFd: number): Request {
  return createLink({
    index: device.ifIndex,
    name: device.name,
    link: parent.ifIndex,
    mtu,
    group,
    ...(place === "pod" && { netNsFd: podFd }),
    info: { kind: "ipvlan", options: { mode: IPVLAN_MODE.L2, flags: 0 } },
  });
}

function vxlanRequest({ device, vni, port, local, underlay, mtu }: VxlanThing): Request {
  return createLink({
    index: device.ifIndex,
    name: device.name,
    address: device.mac,
    mtu,
    info: {
      kind: "vxlan",
      options: {
        id: vni,
        link: underlay.ifIndex,
        ...(isIpv6(local) ? { local6: local } : { local }),
        learning: 0,
        port,
      },
    },
  });
}

/** The files first: an address wants a device whose IPv6 is enabled. */
function settingsMessages(thing: SettingsThing): readonly Message[] {
  const { device, settings, place } = thing;
  const { linkLocal, ipv6, arp, ...rest } = settings;
  const afSpec = { unknown: [{ type: AF.INET6, bytes: ADDR_GEN_NONE }] };
  const others = Object.values(rest).some((setting) => setting !== undefined);
  const path = `/proc/sys/net/ipv6/conf/${device.name}`;
  // A kernel before 6.17 forwards for all devices or for none: `forwardingRefusal` of `ipv6.ts` says which.
  const files: readonly (readonly [name: string, value: string | undefined])[] = [
    ["disable_ipv6", ipv6?.enabled && "0"],
    ["accept_ra", ipv6?.acceptRa === false ? "0" : undefined],
    ["force_forwarding", ipv6?.forwarding && "1"],
  ];
  return [
    ...files.flatMap(([name, value]): readonly Message[] =>
      value === undefined
        ? []
        : [
            {
              kind: "setting",
              way: `${place}-files`,
              setting: { path: `${path}/${name}`, value },
              fine: name === "disable_ipv6" ? [] : ["ENOENT"],
            },
          ],
    ),
    ...(linkLocal === false
      ? [request(thing, setLink({ index: device.ifIndex, afSpec }), ["EAFNOSUPPORT"])]
      : []),
    ...(others ? [request(thing, settingsRequest(device.ifIndex, rest))] : []),
    // ipvlan_open() clears the flag: it is set when the device is up.
    ...(arp === false
      ? [request(thing, setLink({ index: device.ifIndex, flags: IFF.NOARP, change: IFF.NOARP }))]
      : []),
  ];
}

function settingsRequest(index: number, { up, mtu, group, alias, ipv4 }: DeviceSettings): Request {
  const { forwarding, rpFilter, srcValidMark, acceptLocal, arpIgnore } = ipv4 ?? {};
  const conf = {
    ...(forwarding !== undefined && { forwarding: Number(forwarding) }),
    ...(rpFilter !== undefined && { rpFilter }),
    ...(srcValidMark !== undefined && { srcValidMark: Number(srcValidMark) }),
    ...(acceptLocal !== undefined && { acceptLocal: Number(acceptLocal) }),
    ...(arpIgnore !== undefined && { arpIgnore }),
  };
  return setLink({
    index,
    ...(up !== undefined && { flags: up ? IFF.UP : 0, change: IFF.UP }),
    ...(mtu !== undefined && { mtu }),
    ...(group !== undefined && { group }),
    ...(alias !== undefined && { alias }),
    ...(ipv4 !== undefined && { afSpec: { inet: { conf } } }),
  });
}

function addressOf({
  device,
  address: local,
  prefixLength,
}: Extract<Thing, { readonly kind: "address" }>): Parameters<typeof addAddress>[0] {
  return { index: device.ifIndex, local, prefixLength, ...(isIpv6(local) && { flags: IFA_F.NODAD }) };
}

/** RTN_* of routes that lead nowhere. */
export const ROUTE_TYPES = { unreachable: RTN.UNREACHABLE, blackhole: RTN.BLACKHOLE } as const;

function routeOf(thing: RouteThing): Parameters<typeof addRoute>[0] {
  const { table, to, type, device, via, onlink, src, metric } = thing;
  const dst = prefixOf(to);
  return {
    family: familyOf(dst.ip),
    protocol: PROTOCOL,
    table,
    ...(type !== undefined && { type: ROUTE_TYPES[type] }),
    ...(device !== undefined && { oif: device.ifIndex }),
    ...(dst.bits > 0 && { dst }),
    ...(via !== undefined && { gateway: via }),
    ...(onlink === true && { flags: RTNH_F.ONLINK }),
    ...(src !== undefined && { prefSrc: src }),
    ...(metric !== undefined && { priority: metric }),
  };
}

function ruleOf({ family, priority, table, mark, iif }: RuleThing): Parameters<typeof addRule>[0] {
  return {
    family: family === 4 ? AF.INET : AF.INET6,
    priority,
    ...(table === undefined ? { action: FR_ACT.BLACKHOLE } : { table }),
    protocol: PROTOCOL,
    ...(iif !== undefined && { iifName: iif }),
    ...(mark !== undefined && { fwmark: mark.value, fwmask: mark.mask }),
  };
}

const NFT_FAMILIES = { ip: NFPROTO.IPV4, ip6: NFPROTO.IPV6 } as const satisfies Record<NftFamily, number>;

/** Our table of a family. */
export function tableKeyOf(family: NftFamily): TableKey {
  return { family: NFT_FAMILIES[family], table: NFT.table };
}

/** The map that an element is in. */
export function mapOf({ family, table, map }: Pick<ElementThing, "family" | "table" | "map">): SetTarget {
  return { family: NFT_FAMILIES[family], table, set: map };
}

/** The key of an element, in the order of the map's type. */
export function elementKey({ device, key }: Pick<ElementThing, "device" | "key">): SetElement["key"] {
  return [
    { kind: "ifindex", ifIndex: device.ifIndex },
    { kind: "ip", ip: key },
  ];
}

/** One element is one message. */
function elementMessages(
  make: (target: SetTarget, list: readonly SetElement[]) => readonly Request[],
  thing: ElementThing,
  fine: Message["fine"],
): readonly Message[] {
  const { chain } = thing;
  const data =
    chain === undefined
      ? ({ kind: "verdict", verdict: "accept" } as const)
      : ({ kind: "verdict", verdict: "goto", chain } as const);
  const key = elementKey(thing);
  const element = make === deleteElements ? { key } : { key, data };
  return make(mapOf(thing), [element]).map((of) => ({ kind: "request", way: "nft", request: of, fine }));
}
