/**
 * CreateNetworkInterface.
 *
 * @module
 */
import { parseIpv4 } from "../../../proto/addr.ts";
import { securityGroupId } from "../../../proto/ids.ts";
import { type ApiError, apiError } from "../api-error.ts";
import { createEni, type NewEni } from "../eni.ts";
import {
  listParameter,
  type ParameterReader,
  type Parameters,
  readParameters,
  tagParameters,
} from "../parameters.ts";
import { availableCount, type Pool, whyNot } from "../pool.ts";
import { type JsonObject } from "../json-object.ts";
import { type World } from "../world.ts";
import { eniFacts } from "./eni-document.ts";
import { readIpv6, refuseIpv6 } from "./ipv6-wanted.ts";
import { accept, type Handler, type Outcome, refuse, refuseWith } from "./outcome.ts";

/** Most secondary addresses of an ENI that is not attached. */
const MOST_SECONDARY = 49;

/** Synchronous: the ENI is Available when the answer comes. */
export const createNetworkInterface: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const vSwitchName = read.required("VSwitchId");
  const wanted = readWanted(read, parameters);
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const pool = [...world.pools.values()].find((candidate) => candidate.spec.id === vSwitchName);
  if (pool === undefined) return refuseWith("InvalidVSwitchId.NotFound", vSwitchName);
  const missing = wanted.securityGroups.find((group) => !world.securityGroups.has(group));
  if (missing !== undefined) return refuseWith("InvalidSecurityGroupId.NotFound", missing);
  if (world.enis.size >= world.topology.limits.enis) return refuseWith("MaxEniCountExceeded");
  const refusal =
    refuseAddresses(world, pool, wanted.primary, 1 + wanted.secondaryCount) ??
    refuseIpv6(world, { vSwitch: pool.spec.id, had: 0, instance: undefined }, wanted.ipv6);
  return refusal ?? accept(() => created(world, { ...wanted, vSwitch: pool.spec }));
};

/** What an exhausted vSwitch answers: one of two codes, as the topology says. */
export function exhausted(world: World, pool: Pool): ApiError {
  const { exhaustionCode } = world.topology.switches;
  const codes = {
    IpNotEnough: "InvalidVSwitchId.IpNotEnough",
    QuotaExceeded: "QuotaExceeded.PrivateIpAddress",
  } as const;
  const code =
    exhaustionCode === "random"
      ? world.random.pick(["IpNotEnough", "QuotaExceeded"] as const)
      : exhaustionCode;
  return apiError(codes[code], pool.spec.id);
}

function refuseAddresses(
  world: World,
  pool: Pool,
  primary: NewEni["primary"],
  count: number,
): Outcome | undefined {
  const why = primary === undefined ? undefined : whyNot(pool, primary);
  if (why === "outside") return refuseWith("InvalidVSwitchId.IpInvalid", primary);
  if (why === "taken") return refuseWith("InvalidIp.IpAssigned", primary);
  return availableCount(pool) < count ? refuse(exhausted(world, pool)) : undefined;
}

function readWanted(read: ParameterReader, parameters: Parameters): Omit<NewEni, "vSwitch"> {
  const groups = listParameter(parameters, "SecurityGroupIds");
  const single = read.optional("SecurityGroupId");
  if (groups.length === 0 && single === undefined)
    read.refuse(apiError("MissingParameter", "SecurityGroupId"));
  if (groups.length > 0 && single !== undefined) {
    read.refuse(apiError("InvalidParameter", "SecurityGroupId and SecurityGroupIds exclude each other"));
  }
  const tags = tagParameters(parameters);
  if (tags.length > 20) read.refuse(apiError("InvalidParameter", "more than 20 tags"));
  const description = read.optional("Description") ?? "";
  if (description.length === 1 || description.length > 256) {
    read.refuse(apiError("InvalidParameter", "Description has 2 to 256 characters"));
  }
  const instanceType = read.optional("InstanceType") ?? "Secondary";
  if (instanceType !== "Secondary") {
    read.refuse(apiError("InvalidParameter", `InstanceType ${instanceType} is not supported by this cloud`));
  }
  const address = read.optional("PrimaryIpAddress");
  const primary = address === undefined ? undefined : parseIpv4(address);
  if (address !== undefined && primary === undefined) {
    read.refuse(apiError("InvalidParameter", `PrimaryIpAddress ${address}`));
  }
  return {
    type: "Secondary",
    serviceManaged: false,
    primary,
    secondaryCount: read.integer("SecondaryPrivateIpAddressCount", 1, MOST_SECONDARY) ?? 0,
    ipv6: readIpv6(read, parameters),
    name: read.optional("NetworkInterfaceName") ?? "",
    description,
    securityGroups: (single === undefined ? groups : [single]).map(securityGroupId),
    tags,
    sourceDestCheck: read.flag("SourceDestCheck") ?? false,
    deleteOnRelease: read.flag("DeleteOnRelease") ?? true,
    resourceGroupId: read.optional("ResourceGroupId") ?? "",
  };
}

function created(world: World, wanted: NewEni): JsonObject {
  return eniFacts(world, createEni(world, wanted));
}
