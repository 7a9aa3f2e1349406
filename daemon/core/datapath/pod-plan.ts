/**
 * A pod's link. Its end in the pod has the addresses and default routes to 169.254.1.1 and fe80::1; permanent neighbours on
 * each side stand for the other, so nobody ever asks by ARP or neighbour discovery, and nobody can answer in another's name.
 *
 * @module
 */
import { type Mac, macFromBytes } from "../../../proto/addr.ts";
import { isIpv6, type IpAddress } from "../../../proto/addr6.ts";
import { hostCidr, networkOf } from "../../../proto/cidr6.ts";
import { type PodInterfaces, type PodLink } from "../kernel.ts";
import {
  addressesOf,
  ARP_IGNORE_ALL,
  eniChain,
  GROUP,
  LOOPBACK_INDEX,
  NFT,
  nftFamily,
  POD_GATEWAYS,
  podAlias,
  TABLE,
} from "./layout.ts";
import { type Device, type ElementThing, type Ipv4Settings, type Plan, type Thing } from "./thing.ts";

/** What was chosen for the two ends: random, and not in use as far as the kernel knows. */
export type PodEnds = {
  readonly hostIndex: number;
  readonly hostMac: Mac;
  readonly podIndex: number;
  readonly podMac: Mac;
};

/** Of the host's end, where our own table of nftables checks sources. */
export const HOST_END_IPV4: Ipv4Settings = {
  forwarding: true,
  rpFilter: 0,
  acceptLocal: true,
  arpIgnore: ARP_IGNORE_ALL,
};

const LOOPBACK: Device = { name: "lo", ifIndex: LOOPBACK_INDEX };

/** The link and all that hangs on it. */
export function planPod(pod: PodLink, ends: PodEnds): Plan {
  return [
    {
      kind: "veth",
      host: { name: pod.hostName, ifIndex: ends.hostIndex, mac: ends.hostMac },
      pod: { name: pod.ifName, ifIndex: ends.podIndex, mac: ends.podMac },
      mtu: pod.mtu,
      group: GROUP.pods,
    },
    ...planPodAgain(pod, ends),
  ];
}

/**
 * All but the link itself: what a repeated call makes sure of.
 *
 * The elements come last: without one nothing that the pod sends passes, with it what has this very source.
 */
export function planPodAgain(pod: PodLink, ends: PodEnds): Plan {
  const { addresses, mtu } = pod;
  const host = { name: pod.hostName, ifIndex: ends.hostIndex };
  const inPod = { name: pod.ifName, ifIndex: ends.podIndex };
  const all = addressesOf(addresses);
  return [
    // What is written to /proc, of both ends, before the rest, so that the rest is one send for each namespace.
    ...(addresses.v6 === undefined ? [] : ipv6Things(host, inPod)),
    {
      kind: "settings",
      place: "node",
      device: host,
      settings: {
        up: true,
        mtu,
        group: GROUP.pods,
        alias: podAlias(addresses),
        linkLocal: false,
        ipv4: HOST_END_IPV4,
      },
    },
    ...all.flatMap((address) => hostThings(host, address, ends.podMac)),
    { kind: "settings", place: "pod", device: LOOPBACK, settings: { up: true } },
    { kind: "settings", place: "pod", device: inPod, settings: { up: true, mtu } },
    ...all.flatMap((address) => podThings(inPod, address, ends.hostMac)),
    ...podElements(pod, host),
  ];
}

function ipv6Things(host: Device, inPod: Device): readonly Thing[] {
  const ipv6 = { enabled: true, acceptRa: false } as const;
  return [
    { kind: "settings", place: "node", device: host, settings: { ipv6: { ...ipv6, forwarding: true } } },
    { kind: "settings", place: "pod", device: inPod, settings: { ipv6 } },
  ];
}

function hostThings(device: Device, address: IpAddress, podMac: Mac): readonly Thing[] {
  return [
    { kind: "route", place: "node", table: TABLE.pods, to: hostCidr(address), device },
    { kind: "neighbour", place: "node", device, address, mac: podMac },
  ];
}

/** A link-local gateway of IPv6 is on the link by its nature; one of IPv4 needs a route that says so. */
function podThings(device: Device, address: IpAddress, hostMac: Mac): readonly Thing[] {
  const gateway = isIpv6(address) ? POD_GATEWAYS.v6 : POD_GATEWAYS.v4;
  const route = { kind: "route", place: "pod", table: TABLE.main, device } as const;
  const prefixLength = isIpv6(address) ? 128 : 32;
  const toAll = networkOf(gateway, 0);
  return [
    { kind: "address", place: "pod", device, address, prefixLength },
    ...(isIpv6(gateway)
      ? [{ ...route, to: toAll, via: gateway }]
      : [
          { ...route, to: hostCidr(gateway) },
          { ...route, to: toAll, via: gateway, onlink: true as const },
        ]),
    { kind: "neighbour", place: "pod", device, address: gateway, mac: hostMac },
  ];
}

/** What lets the pod send: one element for each address. Those of a block of the node have no ENI to go to. */
export function podElements(
  { addresses, slot }: Pick<PodLink, "addresses" | "slot">,
  host: Device,
): readonly ElementThing[] {
  const chain = slot === undefined ? undefined : eniChain(slot);
  return addressesOf(addresses).map((address) => podElement(host, address, chain));
}

/** `host`: the host's end. `chain`: of the ENI, where there is one. */
export function podElement(host: Device, address: IpAddress, chain: string | undefined): ElementThing {
  const { name, ifIndex } = host;
  return {
    kind: "element",
    family: nftFamily(address),
    table: NFT.table,
    map: NFT.map,
    device: { name, ifIndex },
    key: address,
    ...(chain !== undefined && { chain }),
  };
}

/** The facts that the CNI result needs. */
export function podInterfaces({ addresses }: PodLink, { hostMac, podMac }: PodEnds): PodInterfaces {
  const { v4, v6 } = POD_GATEWAYS;
  const gateways = {
    ...(addresses.v4 !== undefined && { v4 }),
    ...(addresses.v6 !== undefined && { v6 }),
  };
  return { hostMac, podMac, gateways };
}

/** Bits of the first octet of a MAC (IEEE 802-2014, section 8.2.2): set for local administration, clear for one receiver. */
const [LOCAL_BIT, GROUP_BIT] = [0x02, 0x01];
/** Indexes that we choose: above what the kernel gives by itself on a node, and within 16 bits, which some BPF programs keep. */
const [INDEX_MIN, INDEX_MAX] = [16_384, 65_535];

/** Whether a device of a pod may have this index. */
export function isPodIndex(ifIndex: number): boolean {
  return ifIndex >= INDEX_MIN && ifIndex <= INDEX_MAX;
}

/** Bytes that `podEnds` takes. */
export const POD_ENDS_BYTES = 16;

/** Two locally administered MACs and two indexes out of `POD_ENDS_BYTES` random bytes. */
export function podEnds(random: Uint8Array): PodEnds {
  return {
    hostMac: localMac(random.subarray(0, 6)),
    podMac: localMac(random.subarray(6, 12)),
    hostIndex: podIndex(random.subarray(12, 14)),
    podIndex: podIndex(random.subarray(14, 16)),
  };
}

/** Bytes that `podIndex` takes. */
export const POD_INDEX_BYTES = 2;

/** An index out of `POD_INDEX_BYTES` random bytes. */
export function podIndex(random: Uint8Array): number {
  const view = new DataView(random.buffer, random.byteOffset, POD_INDEX_BYTES);
  return INDEX_MIN + (view.getUint16(0) % (INDEX_MAX - INDEX_MIN + 1));
}

function localMac(random: Uint8Array): Mac {
  const mac = macFromBytes(random.map((byte, at) => (at === 0 ? (byte | LOCAL_BIT) & ~GROUP_BIT : byte)));
  if (mac === undefined) throw new RangeError(`${random.length} random bytes are no MAC`);
  return mac;
}
