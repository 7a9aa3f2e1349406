/**
 * The rules of a topology that concern more than one value: names refer to something, networks do not overlap.
 *
 * @module
 */
import { ipv4ToInt } from "../../proto/addr.ts";
import { cidrContains, cidrsOverlap, firstAddress, lastAddress, prefixLength } from "../../proto/cidr.ts";
import { checkIpv6 } from "./topology-check-ipv6.ts";
import { type Fault, repeated, unless } from "./topology-fault.ts";
import { type Topology } from "./topology.ts";

/** Every broken rule, with the path of the value to change. */
export function checkReferences(topology: Topology): readonly Fault[] {
  return [
    ...repeated(topology.zones, (index) => ["zones", index]),
    ...checkVSwitches(topology),
    ...checkInstances(topology),
    ...checkCredentials(topology),
    ...checkIpv6(topology),
  ];
}

function checkVSwitches(topology: Topology): readonly Fault[] {
  const { vpc, vSwitches, zones } = topology;
  const faults = vSwitches.flatMap((vSwitch, index): readonly Fault[] => {
    const place = ["vSwitches", index] as const;
    const overlapping = vSwitches.slice(0, index).find((other) => cidrsOverlap(other.cidr, vSwitch.cidr));
    const usable = 2 ** (32 - prefixLength(vSwitch.cidr)) - 4;
    return [
      ...unless(zones.includes(vSwitch.zone), [...place, "zone"], unknownName("zone", vSwitch.zone, zones)),
      ...unless(
        prefixLength(vSwitch.cidr) >= 16 && prefixLength(vSwitch.cidr) <= 29,
        [...place, "cidr"],
        `${vSwitch.cidr}: the prefix of a vSwitch is /16 to /29`,
      ),
      ...unless(
        cidrContains(vpc.cidr, firstAddress(vSwitch.cidr)) &&
          cidrContains(vpc.cidr, lastAddress(vSwitch.cidr)),
        [...place, "cidr"],
        `${vSwitch.cidr} is not inside the VPC's ${vpc.cidr}`,
      ),
      ...unless(
        overlapping === undefined,
        [...place, "cidr"],
        `${vSwitch.cidr} overlaps with ${overlapping?.cidr} of ${overlapping?.id}; give them networks apart`,
      ),
      ...unless(
        (vSwitch.availableAddresses ?? 0) <= usable,
        [...place, "availableAddresses"],
        `${vSwitch.cidr} has ${usable} usable addresses`,
      ),
    ];
  });
  const ids = vSwitches.map((vSwitch) => vSwitch.id);
  return [...faults, ...repeated(ids, (index) => ["vSwitches", index, "id"])];
}

function checkInstances(topology: Topology): readonly Fault[] {
  const { instances, vSwitches, instanceTypes, zones } = topology;
  const ids = vSwitches.map((vSwitch) => vSwitch.id);
  const faults = instances.flatMap((instance, index): readonly Fault[] => {
    const place = ["instances", index] as const;
    const vSwitch = vSwitches.find((candidate) => candidate.id === instance.vSwitch);
    const known = instanceTypes[instance.type] !== undefined;
    const typeHint = `no limits are known for ${JSON.stringify(instance.type)}; add it to instanceTypes`;
    return [
      ...unless(zones.includes(instance.zone), [...place, "zone"], unknownName("zone", instance.zone, zones)),
      ...unless(known, [...place, "type"], typeHint),
      ...unless(vSwitch !== undefined, [...place, "vSwitch"], unknownName("vSwitch", instance.vSwitch, ids)),
      ...unless(
        vSwitch === undefined || vSwitch.zone === instance.zone,
        [...place, "vSwitch"],
        `${instance.vSwitch} is in zone ${vSwitch?.zone}, the instance in ${instance.zone}`,
      ),
      ...unless(
        vSwitch === undefined || instance.address === undefined || isUsable(vSwitch.cidr, instance.address),
        [...place, "address"],
        `${instance.address} is not one of the usable addresses of ${vSwitch?.cidr} (the first and the last three are the cloud's)`,
      ),
    ];
  });
  return [
    ...faults,
    ...repeated(
      instances.map((instance) => instance.id),
      (index) => ["instances", index, "id"],
    ),
    ...repeated(
      instances.map((instance) => instance.name),
      (index) => ["instances", index, "name"],
    ),
    ...repeated(
      instances.map((instance) => instance.address),
      (index) => ["instances", index, "address"],
    ),
    ...crowdedVSwitches(topology),
  ];
}

function crowdedVSwitches(topology: Topology): readonly Fault[] {
  return topology.vSwitches.flatMap((vSwitch, index) => {
    const room = vSwitch.availableAddresses ?? 2 ** (32 - prefixLength(vSwitch.cidr)) - 4;
    const primaries = topology.instances.filter((instance) => instance.vSwitch === vSwitch.id).length;
    const message = `${primaries} instances have their primary ENI here, but there are only ${room} addresses`;
    return unless(primaries <= room, ["vSwitches", index], message);
  });
}

function checkCredentials(topology: Topology): readonly Fault[] {
  const { credentials, policies, ramRole } = topology;
  const names = Object.keys(policies);
  const policyFault = (name: string, path: Fault["path"]): readonly Fault[] =>
    unless(names.includes(name), path, unknownName("policy", name, names));
  return [
    ...credentials.flatMap((credential, index) =>
      policyFault(credential.policy, ["credentials", index, "policy"]),
    ),
    ...(ramRole === undefined ? [] : policyFault(ramRole.policy, ["ramRole", "policy"])),
    ...repeated(
      credentials.map((credential) => credential.accessKeyId),
      (index) => ["credentials", index, "accessKeyId"],
    ),
  ];
}

function isUsable(
  cidr: Topology["vpc"]["cidr"],
  address: NonNullable<Topology["instances"][number]["address"]>,
): boolean {
  const value = ipv4ToInt(address);
  return value > ipv4ToInt(firstAddress(cidr)) && value <= ipv4ToInt(lastAddress(cidr)) - 3;
}

function unknownName(kind: string, name: string, known: readonly string[]): string {
  return `there is no ${kind} ${JSON.stringify(name)}; there are: ${known.join(", ")}`;
}
