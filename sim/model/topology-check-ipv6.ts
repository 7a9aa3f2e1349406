/**
 * The rules of a topology about IPv6: networks of vSwitches, addresses of instances.
 *
 * @module
 */
import { bitsOf, overlap } from "../../proto/cidr6.ts";
import { isUsableIpv6 } from "./pool.ts";
import { type Fault, repeated, unless } from "./topology-fault.ts";
import { type InstanceSpec, type Topology, type VSwitchSpec } from "./topology.ts";

/** Unique local and global unicast addresses: fc00::/7 (RFC 4193) and 2000::/3 (RFC 4291, section 2.4). */
const UNICAST = /^(?:f[cd]|[23][0-9a-f]{3}:)/;

/** Every broken rule, with the path of the value to change. */
export function checkIpv6(topology: Topology): readonly Fault[] {
  const { vSwitches, instances } = topology;
  return [
    ...vSwitches.flatMap((vSwitch, index) => checkNetwork(vSwitch, index, vSwitches.slice(0, index))),
    ...instances.flatMap((instance, index) => checkAddress(topology, instance, index)),
    ...repeated(
      instances.map(({ ipv6Address }) => ipv6Address),
      (index) => ["instances", index, "ipv6Address"],
    ),
  ];
}

function checkNetwork(
  vSwitch: VSwitchSpec,
  index: number,
  earlier: readonly VSwitchSpec[],
): readonly Fault[] {
  const { ipv6Cidr, availableIpv6Addresses } = vSwitch;
  const place = ["vSwitches", index, "ipv6Cidr"] as const;
  if (ipv6Cidr === undefined) {
    return unless(
      availableIpv6Addresses === undefined,
      ["vSwitches", index, "availableIpv6Addresses"],
      `${vSwitch.id} has no ipv6Cidr; add one, or remove this key`,
    );
  }
  const other = earlier.find((candidate) => candidate.ipv6Cidr && overlap(candidate.ipv6Cidr, ipv6Cidr));
  return [
    ...unless(bitsOf(ipv6Cidr) === 64, place, `${ipv6Cidr}: the prefix of a vSwitch is /64`),
    ...unless(UNICAST.test(ipv6Cidr), place, `${ipv6Cidr} is not inside 2000::/3 or fc00::/7`),
    ...unless(
      other === undefined,
      place,
      `${ipv6Cidr} overlaps with ${other?.ipv6Cidr} of ${other?.id}; give them networks apart`,
    ),
  ];
}

function checkAddress(topology: Topology, instance: InstanceSpec, index: number): readonly Fault[] {
  const { ipv6Address } = instance;
  if (ipv6Address === undefined) return [];
  const place = ["instances", index, "ipv6Address"] as const;
  const network = topology.vSwitches.find(({ id }) => id === instance.vSwitch)?.ipv6Cidr;
  if (network === undefined) {
    return [{ path: place, message: `${instance.vSwitch} has no ipv6Cidr; add one, or remove this key` }];
  }
  return unless(
    isUsableIpv6(network, ipv6Address),
    place,
    `${ipv6Address} is not one of the usable addresses of ${network} (the first and the last nine are the cloud's)`,
  );
}
