/**
 * What the data plane has to know of a topology, and the names that it gives to namespaces and devices. Pure.
 *
 * @module
 */
import { type Ipv4 } from "../../proto/addr.ts";
import { type Cidr } from "../../proto/cidr.ts";
import { type Cidr6 } from "../../proto/cidr6.ts";
import { type EniId, type InstanceId } from "../../proto/ids.ts";

/** A node: an instance of the cloud, standing in a network namespace. */
export type FabricNode = {
  readonly instance: InstanceId;
  /** The name that people use for it; unique in the topology. */
  readonly node: string;
};

/** The part of a topology that is made of kernel links. */
export type FabricShape = {
  /** The name of the simulator; the prefix of its namespaces. */
  readonly name: string;
  /** One router for all; they do not overlap. */
  readonly vSwitches: readonly Cidr[];
  /** The IPv6 networks of those that have one. Empty: IPv6 is dropped, and counted as noise. */
  readonly vSwitches6: readonly Cidr6[];
  readonly nodes: readonly FabricNode[];
  /** Addresses of the router itself that every node reaches: the API and the metadata service. */
  readonly services: readonly Ipv4[];
};

/** Where `ip netns` keeps namespaces. */
export const NETNS_DIRECTORY = "/var/run/netns";

/** The nftables table of the router, in the families ip, ip6 and arp. */
export const NFT_TABLE = "fabric";

/** What real VPCs answer to every ARP request, and so the MAC of each router port. */
export const VPC_MAC = "ee:ff:ff:ff:ff:ff";

/** The namespace of the router. */
export function routerNamespace(name: string): string {
  return `${name}-vpc`;
}

/** The namespace of one node. */
export function nodeNamespace(name: string, node: string): string {
  return `${name}-${node}`;
}

/** All namespaces of a simulator, the router's first. */
export function namespacesOf(shape: Pick<FabricShape, "name" | "nodes">): readonly string[] {
  return [routerNamespace(shape.name), ...shape.nodes.map(({ node }) => nodeNamespace(shape.name, node))];
}

/**
 * The router's end of the cable to an ENI: `e` and the end of the ENI's id, within the 15 characters of an interface
 * name (IFNAMSIZ of `linux/if.h`). The end of an id is its random part.
 */
export function routerDevice(eni: EniId): string {
  return `e${eni.replace(/^eni-/, "").slice(-14)}`;
}
