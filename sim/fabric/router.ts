/**
 * The fixed parts of the data plane as text for `ip -batch`, `nft -f` and `sh`: namespaces, the router, and what the
 * image of a node does at boot. Pure.
 *
 * @module
 */
import { type Ipv4 } from "../../proto/addr.ts";
import { cidrContains, prefixLength, vSwitchGateway } from "../../proto/cidr.ts";
import { type Ipv6 } from "../../proto/addr6.ts";
import { contains, vSwitchGateway6 } from "../../proto/cidr6.ts";
import { type FabricShape, namespacesOf, NFT_TABLE } from "./shape.ts";

/** Lines for `ip -batch`: the namespaces appear. */
export function planNamespaces(shape: Pick<FabricShape, "name" | "nodes">): readonly string[] {
  return namespacesOf(shape).map((namespace) => `netns add ${namespace}`);
}

/**
 * Lines for `ip -n ROUTER -batch -`: the router has the gateway of each vSwitch and the addresses of the services, and
 * drops packets for addresses of a vSwitch that no ENI has.
 */
export function planRouter(shape: FabricShape): readonly string[] {
  return [
    "link set lo up",
    ...shape.services.map((address) => `addr add ${address}/32 dev lo`),
    ...shape.vSwitches.flatMap((cidr) => [
      `addr add ${vSwitchGateway(cidr)}/32 dev lo`,
      `route add blackhole ${cidr}`,
    ]),
    ...shape.vSwitches6.map((cidr) => `route add blackhole ${cidr}`),
  ];
}

/**
 * Settings of the router, below /proc/sys/net. A new namespace takes some of them from the machine's own, hence the
 * ones that look like defaults. Later devices copy `default`. No link-local addresses, so no noise of its own.
 */
export const ROUTER_SYSCTLS: Readonly<Record<string, number>> = {
  "ipv4/ip_forward": 1,
  "ipv4/conf/all/rp_filter": 0,
  "ipv4/conf/default/rp_filter": 0,
  "ipv4/conf/all/proxy_arp": 1,
  "ipv4/conf/default/proxy_arp": 1,
  "ipv4/conf/all/send_redirects": 0,
  "ipv4/conf/default/send_redirects": 0,
  "ipv4/conf/all/arp_ignore": 0,
  "ipv4/conf/default/arp_ignore": 0,
  "ipv4/conf/all/arp_filter": 0,
  "ipv4/conf/default/arp_filter": 0,
  "ipv6/conf/default/addr_gen_mode": 1,
  "ipv6/conf/all/forwarding": 1,
  "ipv6/conf/all/proxy_ndp": 1,
};

/** A script for `sh` in the router's namespace. A kernel without IPv6 has no such files. */
export function sysctlScript(settings: Readonly<Record<string, number>>): string {
  const lines = Object.entries(settings).map(([key, value]) => {
    const file = `/proc/sys/net/${key}`;
    return key.startsWith("ipv6/")
      ? `[ ! -e ${file} ] || echo ${value} > ${file}`
      : `echo ${value} > ${file}`;
  });
  return `set -e\n${lines.join("\n")}\n`;
}

/**
 * The anti-spoofing of the VPC. A packet or ARP message enters only from the port, with the MAC and with an address of
 * one ENI; or from an ENI whose SourceDestCheck is off. ARP probes (RFC 5227, section 1.1: sender 0.0.0.0) claim no
 * address. What else IPv6 sends by itself, as every interface that comes up does, is dropped and counted apart.
 */
export function routerNft(shape: Pick<FabricShape, "vSwitches6">): string {
  return `${NFT_IPV4}${shape.vSwitches6.length === 0 ? NFT_NO_IPV6 : NFT_IPV6}`;
}

const NFT_IPV4 = `
table ip ${NFT_TABLE} {
  counter spoofed { }
  set allowed { type ifname . ether_addr . ipv4_addr; }
  set unchecked { type ifname . ether_addr; }
  chain prerouting {
    type filter hook prerouting priority raw; policy drop;
    iifname "lo" accept
    iifname . ether saddr . ip saddr @allowed accept
    iifname . ether saddr @unchecked accept
    counter name "spoofed"
  }
}
table arp ${NFT_TABLE} {
  counter spoofed { }
  set allowed { type ifname . ether_addr . ipv4_addr; }
  set unchecked { type ifname . ether_addr; }
  chain input {
    type filter hook input priority filter; policy drop;
    arp saddr ip 0.0.0.0 accept
    iifname . arp saddr ether . arp saddr ip @allowed accept
    iifname . arp saddr ether @unchecked accept
    counter name "spoofed"
  }
}
`;

const NFT_NO_IPV6 = `
table ip6 ${NFT_TABLE} {
  counter noise { }
  counter spoofed { }
  chain prerouting {
    type filter hook prerouting priority raw; policy drop;
    counter name "noise"
  }
  chain output {
    type filter hook output priority filter; policy drop;
  }
}
`;

/**
 * Neighbour discovery comes from link-local addresses, and from none while an address is being tested (RFC 4862,
 * section 5.4.2): with the MAC of the ENI it may enter. What it claims has no effect, because the router has a permanent
 * neighbour for each address of an ENI. Everything else of link-local scope stays on its link.
 */
const NFT_IPV6 = `
table ip6 ${NFT_TABLE} {
  counter noise { }
  counter spoofed { }
  set allowed { type ifname . ether_addr . ipv6_addr; }
  set unchecked { type ifname . ether_addr; }
  set ports { type ifname . ether_addr; }
  chain prerouting {
    type filter hook prerouting priority raw; policy drop;
    iifname "lo" accept
    ip6 saddr { ::, fe80::/10 } goto local
    iifname . ether saddr . ip6 saddr @allowed accept
    iifname . ether saddr @unchecked accept
    counter name "spoofed"
  }
  chain local {
    icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } counter name "noise" drop
    iifname . ether saddr @ports accept
    counter name "spoofed"
  }
  chain output {
    type filter hook output priority filter; policy accept;
    ip6 saddr { ::, fe80::/10 } drop
  }
}
`;

/**
 * Lines for `ip -n NODE -batch -`: what the DHCP client of a cloud image does with the primary ENI, `eth0`.
 *
 * @throws Error where `address` is in no vSwitch of `shape`: a bug of the model.
 */
export function planPrimary(
  shape: Pick<FabricShape, "vSwitches" | "vSwitches6">,
  address: Ipv4,
  ipv6?: Ipv6,
): readonly string[] {
  const vSwitch = shape.vSwitches.find((cidr) => cidrContains(cidr, address));
  if (vSwitch === undefined) throw new Error(`${address} is in no vSwitch`);
  return [
    "link set lo up",
    "link set eth0 up",
    `addr replace ${address}/${prefixLength(vSwitch)} dev eth0`,
    `route replace default via ${vSwitchGateway(vSwitch)} dev eth0`,
    ...(ipv6 === undefined ? [] : planPrimary6(shape, ipv6)),
  ];
}

/** As with DHCPv6: an address without a network, so that everything goes by the gateway. */
function planPrimary6(shape: Pick<FabricShape, "vSwitches6">, address: Ipv6): readonly string[] {
  const vSwitch = shape.vSwitches6.find((cidr) => contains(cidr, address));
  if (vSwitch === undefined) throw new Error(`${address} is in no vSwitch`);
  const gateway = vSwitchGateway6(vSwitch);
  return [
    `addr replace ${address}/128 dev eth0 nodad`,
    `route replace ${gateway}/128 dev eth0`,
    `route replace default via ${gateway} dev eth0`,
  ];
}
