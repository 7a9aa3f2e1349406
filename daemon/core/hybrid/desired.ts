/**
 * What the node's network is to be in hybrid mode, as data: the overlay's device, the node's own blocks, the peers and how
 * each is reached, source NAT. Computed from the published records of all nodes; `plan.ts` turns it into what the kernel
 * has to have, `daemon/netlink/hybrid/` carries that out.
 *
 * What can be derived is not said: the device's name follows from its VNI, its addresses and a peer's next hop in the
 * overlay are the first addresses of the blocks, as Flannel's vxlan backend has it.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6 } from "../../../proto/addr6.ts";
import { type IpCidr } from "../../../proto/cidr6.ts";
import { type Device } from "../datapath/thing.ts";

export type HybridDesired = {
  /** The records of all nodes were read. Until then nothing of a peer that is not in `peers` is taken away. */
  readonly complete: boolean;
  /** The device that the node's address is on. */
  readonly uplink: { readonly name: string; readonly ifIndex: number };
  /** The node's own blocks. */
  readonly blocks: readonly IpCidr[];
  /** Absent: no peer is reached by VXLAN, and a device of ours that is there goes. */
  readonly overlay?: OverlayDevice;
  /** Without the node itself, and without those that cannot be reached. */
  readonly peers: readonly HybridPeer[];
  /** Nodes that are known and cannot be reached: what is sent to their pods is refused here, and goes out by no default route. */
  readonly unroutable: readonly Pick<HybridPeer, "name" | "blocks">[];
  readonly sourceNat: SourceNat;
};

/** Where the network's things are: the overlay's device exists before its things are planned. */
export type HybridDevices = { readonly overlay?: Device; readonly uplink: Device };

/** The one VXLAN device. It carries blocks of both families; the family of `local` is that of the outer packets. */
export type OverlayDevice = {
  /** 1 to 2^24-1. */
  readonly vni: number;
  /** 8472 on Linux by convention. */
  readonly udpPort: number;
  /** Published to the peers, so it must never change. Unicast. */
  readonly mac: Mac;
  /** Bytes; see `overlayMtu`. */
  readonly mtu: number;
  /** The node's own VTEP: an address of the uplink. */
  readonly local: IpAddress;
};

/** Another node. */
export type HybridPeer = {
  /** Of the Kubernetes node; unique. For messages. */
  readonly name: string;
  readonly blocks: readonly IpCidr[];
  /** At least one. Of the family of `OverlayDevice.local` it is the peer's VTEP, of the family of a block the next hop of `direct`. */
  readonly nodeIps: { readonly v4?: Ipv4; readonly v6?: Ipv6 };
  /** Of the peer's VXLAN device; `vxlan` needs it. A peer that has one may send VXLAN to us whatever `path` is. */
  readonly vtepMac?: Mac;
  /** `direct`: a route by the uplink. Symmetric: the peer comes to the same for us. */
  readonly path: "direct" | "vxlan";
};

/** Which packets of the node's pods leave with the node's address. */
export type SourceNat = {
  /** False: only packets to nodes that are reached by VXLAN, whose way back to a pod is not the way the packet came. */
  readonly enabled: boolean;
  /** Destinations that see the pod's address: hybrid CIDRs, other pod CIDRs, the service CIDR, the user's own list. May overlap. */
  readonly exempt: readonly IpCidr[];
  /** Addresses of nodes that have a way back to the pods though they are no peer here (a fabric). Those of `direct` peers need not be here. */
  readonly exemptNodes: readonly IpAddress[];
};

/** Not `flannel.N`: a device of that name belongs to flanneld, which would rewrite ours. At most 15 bytes. */
export function overlayName(vni: number): string {
  return `terway.${vni}`;
}

/** Bytes of outer Ethernet, IP, UDP and VXLAN headers less the 14 that the MTU does not count: RFC 7348, section 5. */
const [OVERHEAD_V4, OVERHEAD_V6] = [50, 70];

/** The device's MTU for that of the uplink, both in bytes. `local`: the VTEP, whose family tells the outer header. */
export function overlayMtu(uplinkMtu: number, local: IpAddress): number {
  return uplinkMtu - (isIpv6(local) ? OVERHEAD_V6 : OVERHEAD_V4);
}
