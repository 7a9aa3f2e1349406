/**
 * Networks that must be apart, and what nobody's pods may have.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { bitsOf, contains, type IpCidr, overlap, parseIpCidr } from "../../../proto/cidr6.ts";

/** A network and whose it is: "serviceCIDRs", "the services of the cloud". */
export type Claimed = { readonly cidr: IpCidr; readonly by: string };

const named = (text: string, by: string): Claimed => {
  const parsed = parseIpCidr(text);
  if (!parsed.ok) throw new Error(`${text} is no network`);
  return { cidr: parsed.value, by };
};

/**
 * Sources: IANA special-purpose address registries (RFC 6890); 100.64.0.0/10 has to lead to the cloud's services (ACK,
 * "Use the Terway Hybrid network plugin", step 1).
 */
const RESERVED: readonly Claimed[] = [
  named("0.0.0.0/8", "this host"),
  named("100.64.0.0/10", "services of Alibaba Cloud"),
  named("127.0.0.0/8", "loopback"),
  named("169.254.0.0/16", "link-local addresses"),
  named("224.0.0.0/4", "multicast"),
  named("240.0.0.0/4", "reserved addresses"),
  named("::/127", "this host and loopback"),
  named("::ffff:0:0/96", "IPv4-mapped addresses"),
  named("fe80::/10", "link-local addresses"),
  named("ff00::/8", "multicast"),
];

/** Outside of these, addresses are somebody's on the Internet. Source: RFC 1918, RFC 4193. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(
  (text) => named(text, "").cidr,
);

/** Docker's bridge, unless it is told otherwise: /etc/docker/daemon.json, `bip`. */
const DOCKER = named("172.17.0.0/16", "docker0, unless Docker is told otherwise");

/** All of `others`, and of what is reserved, that has an address of `cidr`. */
export function clashes(cidr: IpCidr, others: readonly Claimed[]): readonly Claimed[] {
  return [...others, ...RESERVED].filter((other) => overlap(cidr, other.cidr));
}

/** What is allowed, and yet often wrong. */
export function doubts(cidr: IpCidr): readonly string[] {
  const isPrivate = PRIVATE.some((other) => overlap(cidr, other) && bitsOf(cidr) >= bitsOf(other));
  return [
    ...(isPrivate ? [] : ["is no private network: pods would hide those whose addresses these are"]),
    ...(overlap(cidr, DOCKER.cidr) ? [`overlaps ${DOCKER.cidr} (${DOCKER.by})`] : []),
  ];
}

/** The first of `networks` that the address is in. */
export function networkOfHost(ip: IpAddress, networks: readonly IpCidr[]): IpCidr | undefined {
  return networks.find((network) => contains(network, ip));
}
