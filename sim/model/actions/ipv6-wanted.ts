/**
 * What the actions that give out IPv6 addresses have in common: parameters and refusals.
 *
 * @module
 */
import { type Ipv6, parseIpv6 } from "../../../proto/addr6.ts";
import { type InstanceId, type VSwitchId } from "../../../proto/ids.ts";
import { apiError } from "../api-error.ts";
import { ipv6Quantity } from "../instance-types.ts";
import { listParameter, type ParameterReader, type Parameters } from "../parameters.ts";
import { availableCount, whyNot } from "../pool.ts";
import { type World } from "../world.ts";
import { type Outcome, refuseWith } from "./outcome.ts";

/** Most addresses of an ENI that is not attached, and most in one call. */
const MOST_UNATTACHED = 10;

/** IPv6 addresses that a call wants: these, or so many. */
export type Ipv6Wanted = { readonly count: number; readonly named: readonly Ipv6[] };

/** Reads `Ipv6AddressCount` and `Ipv6Address.N`, which exclude each other. Neither: `count` is 0. */
export function readIpv6(read: ParameterReader, parameters: Parameters): Ipv6Wanted {
  const count = read.integer("Ipv6AddressCount", 1, MOST_UNATTACHED);
  const named = readNamedIpv6(read, parameters);
  if (named.length > 0 && count !== undefined) {
    read.refuse(apiError("InvalidParameter", "Ipv6AddressCount and Ipv6Address.N exclude each other"));
  }
  return { count: count ?? named.length, named };
}

/** Why an ENI of `vSwitch` that has `had` IPv6 addresses cannot get those. `instance`: where it is attached. */
export function refuseIpv6(
  world: World,
  eni: { readonly vSwitch: VSwitchId; readonly had: number; readonly instance: InstanceId | undefined },
  { count, named }: Ipv6Wanted,
): Outcome | undefined {
  if (count === 0) return undefined;
  const pool = world.pools6.get(eni.vSwitch);
  if (pool === undefined) return refuseWith("InvalidVSwitch.Ipv6NotTurnOn", eni.vSwitch);
  const quota = refuseIpv6Count(world, eni.instance, eni.had + count);
  if (quota !== undefined) return quota;
  if (new Set(named).size < named.length) return refuseWith("InvalidIp.IpRepeated", named.join(", "));
  const outside = named.find((address) => whyNot(pool, address) === "outside");
  if (outside !== undefined) return refuseWith("InvalidVSwitchId.IpInvalid", outside);
  const taken = named.find((address) => whyNot(pool, address) === "taken");
  if (taken !== undefined) return refuseWith("InvalidIp.IpAssigned", taken);
  return availableCount(pool) < count ? refuseWith("InvalidVSwitchId.IpNotEnough", eni.vSwitch) : undefined;
}

/** Why an ENI cannot have `count` IPv6 addresses in `instance`, or in none. */
export function refuseIpv6Count(
  world: World,
  instance: InstanceId | undefined,
  count: number,
): Outcome | undefined {
  const type = instance === undefined ? undefined : world.instances.get(instance)?.type;
  const limits = type === undefined ? undefined : world.topology.instanceTypes[type];
  const limit = limits === undefined ? MOST_UNATTACHED : ipv6Quantity(limits);
  if (count <= limit) return undefined;
  if (limit === 0) return refuseWith("InvalidOperation.Ipv6NotSupport", type);
  return refuseWith("InvalidOperation.Ipv6CountExceeded", `${count} of at most ${limit}`);
}

/** Reads `Ipv6Address.N`, in any spelling of an address. */
export function readNamedIpv6(read: ParameterReader, parameters: Parameters): readonly Ipv6[] {
  const texts = listParameter(parameters, "Ipv6Address");
  if (texts.length > MOST_UNATTACHED) {
    read.refuse(apiError("InvalidParameter", `more than ${MOST_UNATTACHED} Ipv6Address.N`));
  }
  return texts.flatMap((text) => {
    const address = parseIpv6(text);
    if (address === undefined) read.refuse(apiError("InvalidIp.Address", text));
    return address ?? [];
  });
}
