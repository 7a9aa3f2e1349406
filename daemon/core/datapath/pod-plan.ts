/**
 * A pod's link. Its end in the pod has the address and a default route to 169.254.1.1; a permanent neighbour on each side
 * stands for the other, so nobody ever asks by ARP, and nobody can answer in another's name.
 *
 * @module
 */
import { type Ipv4, type Mac, macFromBytes } from "../../../proto/addr.ts";
import { type PodInterfaces, type PodLink } from "../kernel.ts";
import { GROUP, LOOPBACK_INDEX, POD_GATEWAY, podAlias, TABLE } from "./layout.ts";
import { type Step } from "./step.ts";

/** What was chosen for the two ends: random, and not in use as far as the kernel knows. */
export type PodEnds = {
  readonly hostIndex: number;
  readonly hostMac: Mac;
  readonly podIndex: number;
  readonly podMac: Mac;
};

/** Makes the link and all that hangs on it. */
export function planPod(pod: PodLink, ends: PodEnds): readonly Step[] {
  return [
    {
      op: "add-veth",
      host: { name: pod.hostName, ifIndex: ends.hostIndex, mac: ends.hostMac },
      pod: { name: pod.ifName, ifIndex: ends.podIndex, mac: ends.podMac },
      mtu: pod.mtu,
    },
    ...planPodAgain(pod, ends),
  ];
}

/**
 * All but the link itself: what a repeated call makes sure of.
 *
 * The host's end is strict (`rp_filter` 1): a source that is not the pod's address has another way back and is dropped.
 * The element comes last: with it the pod is connected.
 */
export function planPodAgain(pod: PodLink, ends: PodEnds): readonly Step[] {
  const { slot, mtu } = pod;
  const address = addressOf(pod);
  const { hostIndex, podIndex } = ends;
  const inPod = { where: "pod", ifIndex: podIndex } as const;
  return [
    { op: "no-link-local", ifIndex: hostIndex },
    {
      op: "set-link",
      where: "node",
      ifIndex: hostIndex,
      mtu,
      group: GROUP.pods,
      alias: podAlias(address),
      settings: { forwarding: true, rpFilter: 1 },
      up: true,
    },
    { op: "add-route", where: "node", table: TABLE.pods, ifIndex: hostIndex, to: address },
    { op: "add-neighbour", where: "node", ifIndex: hostIndex, address, mac: ends.podMac },
    { op: "set-link", where: "pod", ifIndex: LOOPBACK_INDEX, up: true },
    { op: "set-link", ...inPod, mtu, up: true },
    { op: "add-address", ...inPod, address },
    { op: "add-route", ...inPod, table: TABLE.main, to: POD_GATEWAY },
    { op: "add-route", ...inPod, table: TABLE.main, via: POD_GATEWAY },
    { op: "add-neighbour", ...inPod, address: POD_GATEWAY, mac: ends.hostMac },
    ...(slot === undefined ? [] : [{ op: "map-pod", address, slot } as const]),
  ];
}

/** The address that everything hangs on. */
export function addressOf({ addresses: { v4 } }: Pick<PodLink, "addresses">): Ipv4 {
  if (v4 === undefined) throw new RangeError("a pod without an IPv4 address");
  return v4;
}

/** The facts that the CNI result needs. */
export function podInterfaces({ hostMac, podMac }: PodEnds): PodInterfaces {
  return { hostMac, podMac, gateways: { v4: POD_GATEWAY } };
}

/** Bits of the first octet of a MAC (IEEE 802-2014, section 8.2.2): set for local administration, clear for one receiver. */
const [LOCAL_BIT, GROUP_BIT] = [0x02, 0x01];
/** Indexes that we choose: above what the kernel gives by itself on a node, and within 16 bits, which some BPF programs keep. */
const [INDEX_MIN, INDEX_MAX] = [16_384, 65_535];

/** Bytes that `podEnds` takes. */
export const POD_ENDS_BYTES = 16;

/** Two locally administered MACs and two indexes out of `POD_ENDS_BYTES` random bytes. */
export function podEnds(random: Uint8Array): PodEnds {
  const view = new DataView(random.buffer, random.byteOffset, POD_ENDS_BYTES);
  const index = (at: number): number => INDEX_MIN + (view.getUint16(at) % (INDEX_MAX - INDEX_MIN + 1));
  return {
    hostMac: localMac(random.subarray(0, 6)),
    podMac: localMac(random.subarray(6, 12)),
    hostIndex: index(12),
    podIndex: index(14),
  };
}

function localMac(random: Uint8Array): Mac {
  const mac = macFromBytes(random.map((byte, at) => (at === 0 ? (byte | LOCAL_BIT) & ~GROUP_BIT : byte)));
  if (mac === undefined) throw new RangeError(`${random.length} random bytes are no MAC`);
  return mac;
}
