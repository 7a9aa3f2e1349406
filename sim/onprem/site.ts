/**
 * The shape of a simulated on-premises network: what is asked for, checked, with everything filled in. Pure.
 *
 * @module
 */
import { type Ipv4, parseIpv4 } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Cidr, parseCidr } from "../../proto/cidr.ts";
import { addressOf, bitsOf, type Cidr6, contains, isCidr6, overlap, parseIpCidr } from "../../proto/cidr6.ts";

/** What is asked for. Addresses and networks as people write them. */
export type OnPremSpec = {
  /** The prefix of all its namespaces. */
  readonly name: string;
  readonly subnets: readonly {
    readonly name: string;
    readonly cidr: string;
    /** Absent: the subnet has no IPv6. */
    readonly ipv6Cidr?: string;
    /** Absent: 1500. */
    readonly mtu?: number;
  }[];
  readonly nodes: readonly {
    readonly name: string;
    /** Name of its subnet. */
    readonly subnet: string;
    /** Name of its network device; absent: `eth0`. */
    readonly uplink?: string;
    /** Absent: the 11th of the subnet for its first node, the 12th for the next, … */
    readonly address?: string;
    /** Absent: numbered like `address`, where the subnet has IPv6. */
    readonly ipv6Address?: string;
    /** Of its cable; absent: that of the subnet. */
    readonly mtu?: number;
  }[];
  /** `net.ipv4.conf.all.rp_filter` of the nodes; absent: 0. */
  readonly rpFilter?: 0 | 1 | 2;
};

export type Subnet = {
  readonly name: string;
  /** The bridge in the router's namespace. */
  readonly bridge: string;
  readonly cidr: Cidr;
  /** The router: the first address. */
  readonly gateway: Ipv4;
  readonly ipv6?: { readonly cidr: Cidr6; readonly gateway: Ipv6 };
  readonly mtu: number;
};

export type OnPremNode = {
  readonly name: string;
  /** Name for `ip netns`. */
  readonly namespace: string;
  readonly subnet: Subnet;
  /** The name of its network device. */
  readonly uplink: string;
  /** The router's end of its cable. */
  readonly port: string;
  readonly address: Ipv4;
  readonly ipv6Address?: Ipv6;
  readonly mtu: number;
};

/** A checked network. */
export type Site = {
  readonly routerNamespace: string;
  readonly subnets: readonly Subnet[];
  readonly nodes: readonly OnPremNode[];
  /** A host behind the router that knows the way to the subnets, and to nothing else. */
  readonly outside: { readonly namespace: string; readonly address: Ipv4; readonly ipv6Address: Ipv6 };
  readonly rpFilter: 0 | 1 | 2;
};

/** The networks of the cable to the outside (RFC 5737, RFC 3849); the router has the first address of each. */
export const OUTSIDE = { cidr: network("198.51.100.0/24"), ipv6Cidr: network6("2001:db8:100::/64") };

/** Three nodes in two subnets. The uplink of the third is not called `eth0`, as on most real machines. */
export function threeNodes(options: {
  readonly name: string;
  readonly ipv6?: boolean;
  readonly mtu?: number;
  readonly rpFilter?: 0 | 1 | 2;
}): OnPremSpec {
  const { name, ipv6 = false, mtu = 1500, rpFilter = 0 } = options;
  const subnet = (number: number): OnPremSpec["subnets"][number] => ({
    name: `rack-${number}`,
    cidr: `192.168.${number}.0/24`,
    ...(ipv6 ? { ipv6Cidr: `fd00:192:168:${number}::/64` } : {}),
    mtu,
  });
  return {
    name,
    subnets: [subnet(1), subnet(2)],
    nodes: [
      { name: "node-1", subnet: "rack-1" },
      { name: "node-2", subnet: "rack-1" },
      { name: "node-3", subnet: "rack-2", uplink: "ens192" },
    ],
    rpFilter,
  };
}

/** @throws Error with a sentence about the first thing that is wrong. */
export function siteOf(spec: OnPremSpec): Site {
  const subnets = spec.subnets.map(subnetOf);
  subnets.forEach((subnet, index) => {
    const other = subnets.slice(0, index).find((earlier) => overlap(earlier.cidr, subnet.cidr));
    must(other === undefined, `${subnet.cidr} of ${subnet.name} overlaps with ${other?.cidr}`);
  });
  mustDiffer(subnets.map(({ name }) => name));
  const nodes = spec.nodes.map((node, index) => nodeOf(spec, subnets, node, index));
  mustDiffer(["router", "outside", ...nodes.map(({ name }) => name)]);
  mustDiffer([...nodes.map(({ address }) => address), ...subnets.map(({ gateway }) => gateway)]);
  mustDiffer(nodes.flatMap(({ ipv6Address }) => ipv6Address ?? []));
  return {
    routerNamespace: `${spec.name}-router`,
    subnets,
    nodes,
    outside: {
      namespace: `${spec.name}-outside`,
      address: numbered4(OUTSIDE.cidr, 10n),
      ipv6Address: numbered6(OUTSIDE.ipv6Cidr, 16n),
    },
    rpFilter: spec.rpFilter ?? 0,
  };
}

/** All namespaces, the router's first. */
export function namespacesOfSite(site: Site): readonly string[] {
  return [site.routerNamespace, site.outside.namespace, ...site.nodes.map(({ namespace }) => namespace)];
}

/** `192.168.1.11/24`: the address with the prefix length of its network. */
export function withPrefix(address: IpAddress, cidr: Cidr | Cidr6): string {
  return `${address}/${bitsOf(cidr)}`;
}

/** The router's addresses of the cable to the outside. */
export const OUTSIDE_GATEWAY = { v4: numbered4(OUTSIDE.cidr, 1n), v6: numbered6(OUTSIDE.ipv6Cidr, 1n) };

function subnetOf(spec: OnPremSpec["subnets"][number], index: number): Subnet {
  const cidr = network(spec.cidr);
  const ipv6Cidr = spec.ipv6Cidr === undefined ? undefined : network6(spec.ipv6Cidr);
  const { name, mtu = 1500 } = spec;
  must(mtu >= 1280 && mtu <= 65_535, `mtu ${mtu} of ${name}: 1280 to 65535`);
  return {
    name,
    bridge: `br${index}`,
    cidr,
    gateway: numbered4(cidr, 1n),
    ...(ipv6Cidr === undefined ? {} : { ipv6: { cidr: ipv6Cidr, gateway: numbered6(ipv6Cidr, 1n) } }),
    mtu,
  };
}

function nodeOf(
  spec: OnPremSpec,
  subnets: readonly Subnet[],
  node: OnPremSpec["nodes"][number],
  index: number,
): OnPremNode {
  const { name, uplink = "eth0" } = node;
  const subnet = subnets.find((candidate) => candidate.name === node.subnet);
  if (subnet === undefined) throw new Error(`${name}: there is no subnet ${node.subnet}`);
  must(/^[a-z0-9][a-z0-9.-]{0,40}$/.test(name), `${name}: a node has a lower-case name`);
  // IFNAMSIZ of <linux/if.h>, with its NUL.
  must(/^[a-z][\w.-]{0,14}$/.test(uplink), `${uplink}: a device has a name of at most 15 characters`);
  const earlier = spec.nodes.slice(0, index).filter((other) => other.subnet === node.subnet).length;
  const number = BigInt(11 + earlier);
  const address = node.address === undefined ? numbered4(subnet.cidr, number) : parseIpv4(node.address);
  if (address === undefined || !contains(subnet.cidr, address))
    throw new Error(`${node.address} of ${name} is not in ${subnet.cidr}`);
  const ipv6Address = ipv6Of(subnet, node.ipv6Address, number);
  return {
    name,
    namespace: `${spec.name}-${name}`,
    subnet,
    uplink,
    port: `port${index}`,
    address,
    ...(ipv6Address === undefined ? {} : { ipv6Address }),
    mtu: node.mtu ?? subnet.mtu,
  };
}

function ipv6Of(subnet: Subnet, text: string | undefined, number: bigint): Ipv6 | undefined {
  if (text === undefined) return subnet.ipv6 && numbered6(subnet.ipv6.cidr, number + 6n);
  const address = parseIpv6(text);
  if (address === undefined || subnet.ipv6 === undefined || !contains(subnet.ipv6.cidr, address))
    throw new Error(`${text} is not in ${subnet.ipv6?.cidr ?? `${subnet.name}, which has no IPv6`}`);
  return address;
}

function numbered4(cidr: Cidr, number: bigint): Ipv4 {
  const address = addressOf(cidr, number);
  if (isIpv6(address)) throw new Error(`not of IPv4: ${cidr}`);
  return address;
}

function numbered6(cidr: Cidr6, number: bigint): Ipv6 {
  const address = addressOf(cidr, number);
  if (!isIpv6(address)) throw new Error(`not of IPv6: ${cidr}`);
  return address;
}

function network(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is not an IPv4 network`);
  return cidr;
}

function network6(text: string): Cidr6 {
  const cidr = parseIpCidr(text);
  if (!cidr.ok || !isCidr6(cidr.value)) throw new Error(`${text} is not an IPv6 network`);
  return cidr.value;
}

function mustDiffer(values: readonly string[]): void {
  values.forEach((value, index) => must(values.indexOf(value) === index, `${value} is there twice`));
}

function must(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}
