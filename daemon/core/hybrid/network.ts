/**
 * What all hybrid nodes know of each other: the network's settings and one record for each node.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6 } from "../../../proto/addr6.ts";
import { type Cidr } from "../../../proto/cidr.ts";
import { type Cidr6, type IpCidr } from "../../../proto/cidr6.ts";

/** The settings of the whole network: `spec` of HybridNetwork. */
export type HybridNetwork = {
  /** What nodes' blocks are cut from; apart from each other and from all others below. */
  readonly podCidrs: readonly IpCidr[];
  /** Prefix length of a node's IPv4 block. */
  readonly blockBits: number;
  /** Prefix length of a node's IPv6 block. */
  readonly blockBitsV6: number;
  readonly mode: "Overlay" | "Underlay";
  /** What joins nodes of an underlay that are not on one link. */
  readonly fallback: "None" | "VXLAN";
  /** True: a pod that talks to the outside has its node's address there. */
  readonly sourceNat: boolean;
  /** Destinations that see the pod's own address in any case. */
  readonly nonMasqueradeCidrs: readonly IpCidr[];
  readonly serviceCidrs: readonly IpCidr[];
  /** Of nodes, vSwitches and whatever else is in the cloud. */
  readonly cloudCidrs: readonly IpCidr[];
  readonly onPremNodeCidrs: readonly IpCidr[];
  /** Of the cluster's other pods. */
  readonly clusterPodCidrs: readonly IpCidr[];
  readonly vxlan: VxlanSettings;
};

export type VxlanSettings = {
  readonly vni: number;
  readonly port: number;
  /** Bytes, of the device and of pods; 0: what the uplink leaves. */
  readonly mtuBytes: number;
  /** True: nodes of an overlay that are on one link talk without VXLAN. */
  readonly directRouting: boolean;
};

/**
 * What a node says it can do: `direct`: forward packets of pods as they are on its link; `vxlan`: send and take VXLAN;
 * `fabric`: routers of the network know its blocks (BGP, static routes).
 */
export type Capability = "direct" | "vxlan" | "fabric";

/** An address of a node as its interface has it. */
export type HostAddress<Ip extends IpAddress> = { readonly ip: Ip; readonly prefixLength: number };

/** What a node publishes: `spec` of HybridNode. At least one of `nodeIp` and `nodeIpv6` is there. */
export type HybridNode = {
  readonly name: string;
  readonly nodeIp?: HostAddress<Ipv4>;
  readonly nodeIpv6?: HostAddress<Ipv6>;
  /** Nodes with the same one are on one link, whatever their addresses look like. */
  readonly l2Domain?: string;
  /** Of its VXLAN device. */
  readonly vtepMac?: Mac;
  readonly capabilities: readonly Capability[];
  /** One of each family at most. */
  readonly block?: Cidr;
  readonly blockV6?: Cidr6;
};

/** A record that cannot be used. Nothing is set up for it; the other nodes do not notice. */
export type RefusedNode = { readonly name: string; readonly reasons: readonly string[] };

/** All that is published at one time. Of all sound records no two share a name, a block, a MAC or an address. */
export type HybridView = {
  readonly network: HybridNetwork;
  readonly nodes: readonly HybridNode[];
  readonly refused: readonly RefusedNode[];
};
