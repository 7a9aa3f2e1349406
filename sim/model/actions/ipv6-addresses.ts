/**
 * AssignIpv6Addresses and UnassignIpv6Addresses. One change of addresses at a time per ENI, of whichever family.
 *
 * @module
 */
import { type Ipv6 } from "../../../proto/addr6.ts";
import { apiError } from "../api-error.ts";
import { changeEni, releaseAddresses, takeIpv6 } from "../eni.ts";
import { type JsonObject } from "../json-object.ts";
import { listParameter, readParameters } from "../parameters.ts";
import { type Eni, type World } from "../world.ts";
import { refuseState } from "./addresses.ts";
import { type Ipv6Wanted, readIpv6, readNamedIpv6, refuseIpv6 } from "./ipv6-wanted.ts";
import { accept, eniNamed, type Handler, refuse, refuseWith } from "./outcome.ts";

/** All or nothing. The addresses are the ENI's when the answer comes; packets and metadata follow. */
export const assignIpv6Addresses: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const wanted = readIpv6(read, parameters);
  if (wanted.count === 0) {
    read.refuse(apiError("MissingParameter", "either Ipv6AddressCount or Ipv6Address.N"));
  }
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name);
  const { vSwitch, instance } = eni;
  const refusal =
    refuseState(eni) ?? refuseIpv6(world, { vSwitch, instance, had: eni.ipv6Addresses.length }, wanted);
  return refusal ?? accept(() => assign(world, eni, wanted), eni.id);
};

function assign(world: World, eni: Eni, wanted: Ipv6Wanted): JsonObject {
  const added = takeIpv6(world, eni.vSwitch, wanted, eni.id);
  changeEni(world, eni.id, { ipv6Addresses: [...eni.ipv6Addresses, ...added] });
  return {
    NetworkInterfaceId: eni.id,
    Ipv6Sets: { Ipv6Address: added },
    Ipv6PrefixSets: { Ipv6Prefix: [] },
  };
}

/** One address that is not the ENI's makes the whole call fail. */
export const unassignIpv6Addresses: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const named = readNamedIpv6(read, parameters);
  if (listParameter(parameters, "Ipv6Address").length === 0) {
    read.refuse(apiError("MissingParameter", "Ipv6Address.1"));
  }
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name);
  const unknown = named.find((address) => !eni.ipv6Addresses.includes(address));
  const refusal =
    refuseState(eni) ?? (unknown === undefined ? undefined : refuseWith("InvalidIp.IpUnassigned", unknown));
  return refusal ?? accept(() => unassign(world, eni, [...new Set(named)]), eni.id);
};

function unassign(world: World, eni: Eni, gone: readonly Ipv6[]): JsonObject {
  const left = eni.ipv6Addresses.filter((address) => !gone.includes(address));
  releaseAddresses(world, changeEni(world, eni.id, { ipv6Addresses: left }), gone);
  return {};
}
