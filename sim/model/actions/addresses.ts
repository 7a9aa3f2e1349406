/**
 * AssignPrivateIpAddresses and UnassignPrivateIpAddresses. One of them at a time per ENI.
 *
 * @module
 */
import { type Ipv4, parseIpv4 } from "../../../proto/addr.ts";
import { apiError } from "../api-error.ts";
import { changeEni, releaseAddresses } from "../eni.ts";
import { listParameter, readParameters } from "../parameters.ts";
import { availableCount, take, takeExactly, whyNot } from "../pool.ts";
import { type JsonObject } from "../json-object.ts";
import { type Eni, poolOf, type World } from "../world.ts";
import { exhausted } from "./create.ts";
import { accept, eniNamed, type Handler, type Outcome, refuse, refuseWith } from "./outcome.ts";

/** Most addresses of an ENI that is not attached, the primary one included. */
const MOST_UNATTACHED = 50;
/** Most addresses that can be named in one call. */
const MOST_NAMED = 32;

/** All or nothing. The addresses are the ENI's when the answer comes; packets and metadata follow. */
export const assignPrivateIpAddresses: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const count = read.integer("SecondaryPrivateIpAddressCount", 1, MOST_UNATTACHED - 1);
  const named = listParameter(parameters, "PrivateIpAddress");
  const exactlyOne = named.length > 0 !== (count !== undefined);
  if (!exactlyOne || named.length > MOST_NAMED) {
    const about = `either SecondaryPrivateIpAddressCount or 1 to ${MOST_NAMED} PrivateIpAddress.N`;
    read.refuse(apiError(named.length > 0 ? "InvalidParameter" : "MissingParameter", about));
  }
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name);
  const addresses = named.flatMap((text) => parseIpv4(text) ?? []);
  const wanted = count ?? named.length;
  const refusal =
    refuseState(eni) ??
    (addresses.length < named.length ? refuseWith("InvalidParameter", named.join(", ")) : undefined) ??
    refuseCount(world, eni, wanted) ??
    refuseNamed(world, eni, addresses) ??
    (availableCount(poolOf(world, eni.vSwitch)) < wanted
      ? refuse(exhausted(world, poolOf(world, eni.vSwitch)))
      : undefined);
  return refusal ?? accept(() => assign(world, eni, wanted, addresses), eni.id);
};

function refuseCount(world: World, eni: Eni, wanted: number): Outcome | undefined {
  const type = eni.instance === undefined ? undefined : world.instances.get(eni.instance)?.type;
  const limit =
    type === undefined
      ? MOST_UNATTACHED
      : (world.topology.instanceTypes[type]?.eniPrivateIpAddressQuantity ?? MOST_UNATTACHED);
  if (eni.addresses.length + wanted <= limit) return undefined;
  return refuseWith(
    "InvalidOperation.Ipv4CountExceeded",
    `${eni.id} has ${eni.addresses.length} of ${limit}`,
  );
}

function refuseNamed(world: World, eni: Eni, addresses: readonly Ipv4[]): Outcome | undefined {
  if (new Set(addresses).size < addresses.length)
    return refuseWith("InvalidIp.IpRepeated", addresses.join(", "));
  const pool = poolOf(world, eni.vSwitch);
  const outside = addresses.find((address) => whyNot(pool, address) === "outside");
  if (outside !== undefined) return refuseWith("InvalidVSwitchId.IpInvalid", outside);
  const taken = addresses.find((address) => whyNot(pool, address) === "taken");
  return taken === undefined ? undefined : refuseWith("InvalidIp.IpAssigned", taken);
}

function assign(world: World, eni: Eni, count: number, named: readonly Ipv4[]): JsonObject {
  const pool = poolOf(world, eni.vSwitch);
  for (const address of named) takeExactly(pool, address, eni.id);
  const added = named.length > 0 ? named : take(pool, count, eni.id);
  changeEni(world, eni.id, { addresses: [...eni.addresses, ...added] });
  return {
    AssignedPrivateIpAddressesSet: {
      NetworkInterfaceId: eni.id,
      PrivateIpSet: { PrivateIpAddress: added },
      Ipv4PrefixSet: { Ipv4Prefixes: [] },
    },
  };
}

/** One address that is not the ENI's makes the whole call fail. */
export const unassignPrivateIpAddresses: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const named = listParameter(parameters, "PrivateIpAddress");
  if (named.length === 0) read.refuse(apiError("MissingParameter", "PrivateIpAddress.1"));
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name);
  const [primary, ...secondary] = eni.addresses;
  const gone = secondary.filter((address) => named.includes(address));
  const refusal =
    refuseState(eni) ??
    (named.includes(primary) ? refuseWith("InvalidIp.PrimaryIp", primary) : undefined) ??
    refuseUnknown(named, gone);
  return refusal ?? accept(() => unassign(world, eni, gone), eni.id);
};

function refuseUnknown(named: readonly string[], gone: readonly Ipv4[]): Outcome | undefined {
  const unknown = named.find((text) => !gone.some((address) => address === text));
  return unknown === undefined ? undefined : refuseWith("InvalidIp.IpUnassigned", unknown);
}

function unassign(world: World, eni: Eni, gone: readonly Ipv4[]): JsonObject {
  const [primary, ...secondary] = eni.addresses;
  const left = secondary.filter((address) => !gone.includes(address));
  const changed = changeEni(world, eni.id, { addresses: [primary, ...left] });
  releaseAddresses(world, changed, gone);
  return {};
}

/** Addresses change only while the ENI is Available or InUse, and not by us where a service owns it. */
export function refuseState(eni: Eni): Outcome | undefined {
  if (eni.serviceManaged) return refuseWith("InvalidOperation.EniServiceManaged", eni.id);
  return eni.status === "Available" || eni.status === "InUse"
    ? undefined
    : refuseWith("InvalidOperation.InvalidEniState", `${eni.id} is ${eni.status}`);
}
