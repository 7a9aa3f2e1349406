/**
 * IPVLAN: a pod's interface is an L2 slave of the ENI that its address is on. Its packets leave by the ENI without passing
 * through the node; slaves of one ENI reach each other inside the driver, for all of them have the ENI's MAC.
 *
 *     pod: eth0 ---+
 *     pod: eth0 ---+-- ENI --- VPC
 *     node: twvN --+    egress of the ENI: Services, host_stack_cidrs -> as if twvN had received them
 *
 * The node has a slave of its own on each ENI, with the node's addresses: by it node and pods reach each other, and by it
 * what a pod sends to a Service or to the node's DNS cache comes into the node's stack. It asks nobody by ARP: to it, every
 * neighbour has the MAC that all slaves share.
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { hostCidr, type IpCidr, networkOf } from "../../../proto/cidr6.ts";
import { type EniLink, type PodAddresses, type PodInterfaces, type PodLink } from "../kernel.ts";
import { VSWITCH_BITS_6 } from "./host-stack.ts";
import { type GatewayMacs, type HostFacts } from "./host-plan.ts";
import { addressesOf, GROUP, LOOPBACK_INDEX, podAlias, slaveName, TABLE } from "./layout.ts";
import { type Device, type Plan, type Thing } from "./thing.ts";
import { type FilterThing, type TrafficThing } from "./traffic.ts";

/** What the node's part is made from. */
export type IpvlanNode = {
  /** Those by which pods and the node's slaves know the node. */
  readonly addresses: PodAddresses;
  /** Destinations that go through the node's stack: the Services' network and `host_stack_cidrs`. At most `HOST_STACK_MAX`. */
  readonly hostStack: readonly IpCidr[];
};

/** An ENI with its device, and whose gateways have answered. */
export type IpvlanEni = Pick<EniLink, "slot" | "mac" | "mtu" | "gateway" | "prefixLength" | "v6"> & {
  readonly device: Device;
  readonly gatewayMacs: GatewayMacs;
};

/** Filters are tried one after the other for each packet. */
export const HOST_STACK_MAX = 32;
/** Priorities of our filters: from this one on, `HOST_STACK_MAX` of them. Others do not use these. */
export const HOST_STACK_PRIORITY = 0x5480;

/** Indexes of the node's slaves: that of the ENI and so much. */
const SLAVE_INDEX_OFFSET = 131_072;

/** The node's slave of an ENI. */
export function slaveOf({ slot, device }: Pick<IpvlanEni, "slot" | "device">): Device {
  return { name: slaveName(slot), ifIndex: device.ifIndex + SLAVE_INDEX_OFFSET };
}

/** The ENI and the node's slave of it. */
export function planIpvlanEni(eni: IpvlanEni, node: IpvlanNode, host: HostFacts): Plan {
  const { device, mtu } = eni;
  const slave = slaveOf(eni);
  const place = "node";
  const hasV6 = host.ipv6 && eni.v6 !== undefined;
  return [
    {
      kind: "settings",
      place,
      device,
      settings: {
        up: true,
        mtu,
        group: GROUP.enis,
        linkLocal: false,
        ...(host.ipv6 && { ipv6: { acceptRa: false } }),
      },
    },
    { kind: "ipvlan", place, device: slave, parent: device, mtu, group: GROUP.slaves },
    {
      kind: "settings",
      place,
      device: slave,
      settings: {
        up: true,
        mtu,
        arp: false,
        linkLocal: false,
        ipv4: { forwarding: true, rpFilter: 1 },
        ...(hasV6 && { ipv6: { enabled: true, acceptRa: false, forwarding: true } as const }),
      },
    },
    ...addressesOf(node.addresses)
      .filter((address) => hasV6 || !isIpv6(address))
      .map((address): Thing => ({
        kind: "address",
        place,
        device: slave,
        address,
        prefixLength: isIpv6(address) ? 128 : 32,
      })),
  ];
}

/** Destinations that the ENI hands back to the node. RangeError for more than `HOST_STACK_MAX`. */
export function planHostStack(eni: IpvlanEni, { hostStack }: IpvlanNode): readonly TrafficThing[] {
  if (hostStack.length > HOST_STACK_MAX)
    throw new RangeError(`${hostStack.length} networks of the host's stack, ${HOST_STACK_MAX} at most`);
  const { device } = eni;
  const slave = slaveOf(eni);
  const filters = hostStack.map((to, at): FilterThing => ({
    kind: "filter",
    place: "node",
    device,
    hook: "egress",
    priority: HOST_STACK_PRIORITY + at,
    to,
    redirect: { into: "ingress", device: slave, anew: true },
  }));
  return filters.length === 0 ? [] : [{ kind: "clsact", place: "node", device }, ...filters];
}

/** The pod's slave, born in its namespace, and the way to it. */
export function planIpvlanPod(pod: PodLink, eni: IpvlanEni, podIndex: number, node: IpvlanNode): Plan {
  const device = { name: pod.ifName, ifIndex: podIndex };
  return [
    { kind: "ipvlan", place: "pod", device, parent: eni.device, mtu: pod.mtu, group: 0 },
    ...planIpvlanPodAgain(pod, eni, podIndex, node),
  ];
}

/** All but the device: what a repeated call makes sure of. The route on the node comes last: with it the pod is connected. */
export function planIpvlanPodAgain(pod: PodLink, eni: IpvlanEni, podIndex: number, node: IpvlanNode): Plan {
  const { addresses, ifName, mtu } = pod;
  const device = { name: ifName, ifIndex: podIndex };
  const place = "pod";
  const ipv6 = addresses.v6 === undefined ? {} : { ipv6: { enabled: true, acceptRa: false } as const };
  const all = addressesOf(addresses);
  return [
    { kind: "settings", place, device: { name: "lo", ifIndex: LOOPBACK_INDEX }, settings: { up: true } },
    {
      kind: "settings",
      place,
      device,
      settings: { up: true, mtu, alias: podAlias(addresses), linkLocal: false, ...ipv6 },
    },
    ...all.flatMap((address) => podThings(eni, device, address)),
    ...nodeThings(pod, eni, device, node),
    ...routesTo(pod, slaveOf(eni)),
  ];
}

/** What leads to the pod on the node. */
export function routesTo({ addresses }: Pick<PodLink, "addresses">, slave: Device): Plan {
  return addressesOf(addresses).map((address) => ({
    kind: "route",
    place: "node",
    table: TABLE.pods,
    to: hostCidr(address),
    device: slave,
  }));
}

/** The facts that the CNI result needs. */
export function ipvlanInterfaces({ addresses }: PodLink, eni: IpvlanEni): PodInterfaces {
  const { mac, gateway, v6, prefixLength } = eni;
  const gateways = {
    ...(addresses.v4 !== undefined && { v4: gateway }),
    ...(addresses.v6 !== undefined && v6 !== undefined && { v6: v6.gateway }),
  };
  return {
    hostMac: mac,
    podMac: mac,
    gateways,
    prefixLengths: { v4: prefixLength, v6: VSWITCH_BITS_6 },
  };
}

/** Address and default route of one family. The vSwitch's network is on the link: so the driver finds slaves of the same ENI. */
function podThings(eni: IpvlanEni, device: Device, address: IpAddress): readonly Thing[] {
  const place = "pod";
  const gateway = isIpv6(address) ? eni.v6?.gateway : eni.gateway;
  const mac = isIpv6(address) ? eni.gatewayMacs.v6 : eni.gatewayMacs.v4;
  const prefixLength = isIpv6(address) ? VSWITCH_BITS_6 : eni.prefixLength;
  if (gateway === undefined) throw new TypeError(`${address} is on an ENI without a gateway of IPv6`);
  const to = networkOf(gateway, 0);
  return [
    { kind: "address", place, device, address, prefixLength },
    ...(mac === undefined ? [] : [neighbour(device, gateway, mac)]),
    { kind: "route", place, table: TABLE.main, to, via: gateway, device, onlink: true },
  ];
}

/** The node's own addresses: on the link, with the MAC that the driver delivers to slaves of the same ENI. */
function nodeThings(pod: PodLink, eni: IpvlanEni, device: Device, node: IpvlanNode): readonly Thing[] {
  const families = addressesOf(pod.addresses).map(isIpv6);
  return addressesOf(node.addresses)
    .filter((address) => families.includes(isIpv6(address)))
    .flatMap((address): readonly Thing[] => [
      neighbour(device, address, eni.mac),
      { kind: "route", place: "pod", table: TABLE.main, to: hostCidr(address), device },
    ]);
}

function neighbour(device: Device, address: IpAddress, mac: Mac): Thing {
  return { kind: "neighbour", place: "pod", device, address, mac };
}
