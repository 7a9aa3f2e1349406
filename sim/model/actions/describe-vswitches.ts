/**
 * DescribeVSwitches (product VPC).
 *
 * @module
 */
import { isoSeconds } from "../iso-time.ts";
import { readParameters } from "../parameters.ts";
import { availableCount, type Pool } from "../pool.ts";
import { type JsonObject } from "../json-object.ts";
import { type World } from "../world.ts";
import { accept, type Handler, refuse } from "./outcome.ts";

/** Filters by VSwitchId, VpcId, ZoneId and VSwitchName; the count of free addresses is live. */
export const describeVSwitches: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const size = read.integer("PageSize", 1, 50) ?? 10;
  const number = read.integer("PageNumber", 1, 1_000_000) ?? 1;
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const equals = (name: string, value: string): boolean =>
    (parameters[name] ?? "") === "" || parameters[name] === value;
  return accept(() => {
    const matching = [...world.pools.values()].filter(
      ({ spec }) =>
        equals("VSwitchId", spec.id) &&
        equals("VpcId", world.topology.vpc.id) &&
        equals("ZoneId", spec.zone) &&
        equals("VSwitchName", spec.id),
    );
    return {
      TotalCount: matching.length,
      PageNumber: number,
      PageSize: size,
      VSwitches: {
        VSwitch: matching
          .slice((number - 1) * size, number * size)
          .map((pool) => vSwitchDocument(world, pool)),
      },
    };
  });
};

function vSwitchDocument(world: World, pool: Pool): JsonObject {
  const { spec } = pool;
  return {
    VSwitchId: spec.id,
    VSwitchName: spec.id,
    VpcId: world.topology.vpc.id,
    ZoneId: spec.zone,
    CidrBlock: spec.cidr,
    Ipv6CidrBlock: spec.ipv6Cidr ?? "",
    EnabledIpv6: spec.ipv6Cidr !== undefined,
    AvailableIpAddressCount: availableCount(pool),
    Status: "Available",
    IsDefault: false,
    Description: "",
    CreationTime: isoSeconds(world.startedMs),
    OwnerId: Number(world.topology.accountId),
    ResourceGroupId: "",
    ShareType: "",
    NetworkAclId: "",
    RouteTable: { RouteTableId: "vtb-main", RouteTableType: "System" },
    Tags: { Tag: [] },
  };
}
