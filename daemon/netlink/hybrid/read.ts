/**
 * What of the hybrid network the kernel has: its objects as the things of a plan. What is not ours is not among them: other
 * protocols' routes, neighbours that the kernel found itself.
 *
 * @module
 */
import { failed, ok, type Result } from "../../../proto/result.ts";
import { networkOf } from "../../../proto/cidr6.ts";
import { PROTOCOL, TABLE } from "../../core/datapath/layout.ts";
import { type Device } from "../../core/datapath/thing.ts";
import { type HybridDevices } from "../../core/hybrid/desired.ts";
import { TABLE_FAMILIES } from "../../core/hybrid/nft-text.ts";
import { REDIRECT_MAPS } from "../../core/hybrid/redirect-text.ts";
import {
  type HybridThing,
  keyOf,
  type NftFamily,
  type NodeSet,
  type TableFamily,
} from "../../core/hybrid/things.ts";
import { type Client, GONE, type Place } from "../client.ts";
import { type Address, decodeAddress } from "../codec/address.ts";
import { dumpAddresses, dumpForwarding, dumpNeighbours, dumpRoutes } from "../codec/dump.ts";
import { AF } from "../codec/ip.ts";
import { decodeNeighbour, type Neighbour, NUD } from "../codec/neighbour.ts";
import { decodeSetElements, dumpElements } from "../codec/nft-element.ts";
import { type Request } from "../codec/request.ts";
import { decodeRoute, type Route, RT_SCOPE, RTN, RTNH_F } from "../codec/route.ts";
import { NFT_PROTO, nodeSet } from "./encode.ts";

/** What a kernel answers that has not the family. */
const NO_FAMILY: ReadonlySet<string> = new Set(["EAFNOSUPPORT", "EOPNOTSUPP"]);

/** All that is ours, of one look. `families`: of the tables that are there. */
export async function readThings(
  client: Client,
  devices: HybridDevices,
  families: readonly TableFamily[],
): Promise<Result<Map<string, HybridThing>>> {
  const things = new Map<string, HybridThing>();
  const keep = (thing: HybridThing | undefined): void => {
    if (thing !== undefined) things.set(keyOf(thing), thing);
  };
  for (const look of looksOf(client, devices, families, keep)) {
    const looked = await look();
    if (!looked.ok) return looked;
  }
  return ok(things);
}

type Look = () => Promise<Result<void>>;

/** One dump each, so that what else the netlink thread has to do comes between. */
function looksOf(
  client: Client,
  devices: HybridDevices,
  families: readonly TableFamily[],
  keep: (thing: HybridThing | undefined) => void,
): readonly Look[] {
  const { overlay } = devices;
  const inet = [AF.INET, AF.INET6];
  const all = async <Value>(
    what: string,
    request: Request,
    decode: (payload: Uint8Array) => Value,
    each: (value: Value) => void,
    place?: Place,
  ): Promise<Result<void>> => {
    const dumped = await client.dump(what, request, decode, place);
    if (dumped.ok) dumped.value.forEach(each);
    return dumped.ok || isNothing(dumped.fault) ? ok(undefined) : failed(dumped.fault);
  };
  return [
    ...inet.map((family): Look => () => {
      const request = dumpRoutes({ family, table: TABLE.main, protocol: PROTOCOL });
      return all("ip route show proto 84", request, decodeRoute, (route) => keep(routeThing(route, devices)));
    }),
    ...(overlay === undefined
      ? []
      : [
          ...inet.flatMap((family): readonly Look[] => [
            () => {
              const request = dumpAddresses({ family, index: overlay.ifIndex });
              const what = `ip address show dev ${overlay.name}`;
              return all(what, request, decodeAddress, (address) => keep(addressThing(address, overlay)));
            },
            () => {
              const request = dumpNeighbours({ family, index: overlay.ifIndex });
              const what = `ip neighbour show dev ${overlay.name}`;
              return all(what, request, decodeNeighbour, (one) => keep(neighbourThing(one, overlay)));
            },
          ]),
          (): Promise<Result<void>> => {
            const request = dumpForwarding({ index: overlay.ifIndex });
            const what = `bridge fdb show dev ${overlay.name}`;
            return all(what, request, decodeNeighbour, (one) => keep(forwardingThing(one, overlay)));
          },
        ]),
    ...families.flatMap((family) =>
      SETS[family].map(([set, key]): Look => () => {
        const what = `nft list set ${family} ${set}`;
        const decode = (payload: Uint8Array): readonly HybridThing[] =>
          elementThings(payload, { family, set, key });
        const request = dumpElements(nodeSet(family, set));
        return all(what, request, decode, (list) => list.forEach(keep), { family: "netfilter" });
      }),
    ),
  ];
}

function isNothing(fault: { readonly kind: string; readonly errno?: string }): boolean {
  const { kind, errno = "" } = fault;
  return kind === "kernel" && (GONE.has(errno) || NO_FAMILY.has(errno));
}

/** A route of ours; `undefined`: somebody else's. */
export function routeThing(route: Route, devices: HybridDevices): HybridThing | undefined {
  const { table, protocol, dst, oif, gateway, priority, type, flags } = route;
  if (table !== TABLE.main || protocol !== PROTOCOL || dst === undefined) return undefined;
  const known = type === RTN.UNREACHABLE ? "unreachable" : type === RTN.BLACKHOLE ? "blackhole" : undefined;
  return {
    kind: "route",
    place: "node",
    table,
    to: networkOf(dst.ip, dst.bits),
    ...(known !== undefined && { type: known }),
    // IPv6 says `lo` for what leads nowhere.
    ...(oif !== undefined && known === undefined && { device: deviceOf(oif, devices) }),
    ...(gateway !== undefined && { via: gateway }),
    ...((flags & RTNH_F.ONLINK) !== 0 && { onlink: true }),
    ...(priority !== undefined && { metric: priority }),
  };
}

function deviceOf(ifIndex: number, { overlay, uplink }: HybridDevices): Device {
  return [overlay, uplink].find((device) => device?.ifIndex === ifIndex) ?? { name: `#${ifIndex}`, ifIndex };
}

/** An address of our device; `undefined`: link-local, or another device's. */
export function addressThing(address: Address, device: Device): HybridThing | undefined {
  const ip = address.local ?? address.address;
  if (address.index !== device.ifIndex || ip === undefined || address.scope === RT_SCOPE.LINK)
    return undefined;
  return { kind: "address", place: "node", device, address: ip, prefixLength: address.prefixLength };
}

/** A neighbour that we made; `undefined`: the kernel or somebody else did. */
export function neighbourThing(neighbour: Neighbour, device: Device): HybridThing | undefined {
  const { index, state, protocol, dst, lladdr } = neighbour;
  const isOurs = index === device.ifIndex && (state & NUD.PERMANENT) !== 0 && protocol === PROTOCOL;
  if (!isOurs || dst === undefined || lladdr === undefined) return undefined;
  return { kind: "neighbour", place: "node", device, address: dst, mac: lladdr };
}

/** A forwarding entry of our device that does not age; all such are ours. */
export function forwardingThing(entry: Neighbour, device: Device): HybridThing | undefined {
  const { index, state, dst, lladdr } = entry;
  if (index !== device.ifIndex || (state & NUD.PERMANENT) === 0) return undefined;
  if (dst === undefined || lladdr === undefined) return undefined;
  return { kind: "fdb", device, mac: lladdr, remote: dst };
}

/** Sets and maps with nodes' addresses, and of which family those are. */
const SETS: Readonly<Record<TableFamily, readonly (readonly [NodeSet, NftFamily])[]>> = {
  ip: [
    ["vteps", "ip"],
    ["direct", "ip"],
  ],
  ip6: [
    ["vteps", "ip6"],
    ["direct", "ip6"],
  ],
  netdev: [
    [REDIRECT_MAPS.ip, "ip"],
    [REDIRECT_MAPS.ip6, "ip6"],
  ],
};

/** Of a notification; `undefined`: of a set of ours that holds other things than nodes' addresses. */
export function thingsOfElements(payload: Uint8Array): readonly HybridThing[] | undefined {
  const { family: protocol, set: name } = decodeSetElements(payload, { key: [] });
  for (const family of TABLE_FAMILIES) {
    const found = SETS[family].find(([set]) => set === name);
    if (NFT_PROTO[family] === protocol && found !== undefined)
      return elementThings(payload, { family, set: found[0], key: found[1] });
  }
  return undefined;
}

type SetAt = { readonly family: TableFamily; readonly set: NodeSet; readonly key: NftFamily };

function elementThings(payload: Uint8Array, { family, set, key }: SetAt): readonly HybridThing[] {
  const types = { key: [key], ...(family === "netdev" && { data: "mac" as const }) };
  return decodeSetElements(payload, types).elements.flatMap(({ key: [part], data }) => {
    if (part?.kind !== "ip") return [];
    const mac = data?.kind === "mac" ? { mac: data.mac } : {};
    return [{ kind: "node-element", family, set, address: part.ip, ...mac } as const];
  });
}
