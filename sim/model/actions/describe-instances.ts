/**
 * DescribeInstanceAttribute, DescribeInstances and DescribeInstanceTypes.
 *
 * @module
 */
import { apiError } from "../api-error.ts";
import { ipv6Quantity } from "../instance-types.ts";
import { isoMinutes } from "../iso-time.ts";
import { listParameter, readParameters } from "../parameters.ts";
import { type InstanceSpec } from "../topology.ts";
import { type JsonObject } from "../json-object.ts";
import { type World } from "../world.ts";
import { ipv6Sets, privateIpSets } from "./eni-document.ts";
import { accept, type Handler, refuse, refuseWith } from "./outcome.ts";

/** One instance. The only action that needs no RegionId. */
export const describeInstanceAttribute: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("InstanceId");
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const instance = world.topology.instances.find((candidate) => candidate.id === name);
  if (instance === undefined) return refuseWith("InvalidInstanceId.NotFound", name);
  return accept(() => instanceFacts(world, instance));
};

/** `InstanceIds` is a JSON list in one parameter; absent: all. */
export const describeInstances: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const text = read.optional("InstanceIds");
  const ids = text === undefined ? undefined : parseIds(text);
  if (text !== undefined && ids === undefined) {
    read.refuse(apiError("InvalidParameter", 'InstanceIds is not a JSON list such as ["i-1"]'));
  }
  const size = read.integer("MaxResults", 1, 100) ?? read.integer("PageSize", 1, 100) ?? 10;
  const number = read.integer("PageNumber", 1, 1_000_000) ?? 1;
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const matching = world.topology.instances.filter((instance) => ids?.includes(instance.id) ?? true);
  const shown = matching.slice((number - 1) * size, number * size);
  return accept(() => ({
    TotalCount: matching.length,
    PageNumber: number,
    PageSize: size,
    NextToken: "",
    Instances: { Instance: shown.map((instance) => instanceDocument(world, instance)) },
  }));
};

/** The limits of types. Not among the eleven actions of the product's documentation. */
export const describeInstanceTypes: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const size = read.integer("MaxResults", 1, 100) ?? 100;
  const token = read.optional("NextToken") ?? "types-0";
  const start = /^types-(\d{1,6})$/.exec(token)?.[1];
  if (start === undefined) read.refuse(apiError("InvalidParameter", "NextToken is not one of ours"));
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const names = listParameter(parameters, "InstanceTypes");
  const matching = Object.entries(world.topology.instanceTypes).filter(
    ([name]) => names.length === 0 || names.includes(name),
  );
  const end = Number(start) + size;
  return accept(() => ({
    NextToken: end < matching.length ? `types-${end}` : "",
    InstanceTypes: {
      InstanceType: matching.slice(Number(start), end).map(([name, limits]) => ({
        InstanceTypeId: name,
        InstanceTypeFamily: name.split(".").slice(0, 2).join("."),
        EniQuantity: limits.eniQuantity,
        EniTotalQuantity: limits.eniQuantity,
        EniPrivateIpAddressQuantity: limits.eniPrivateIpAddressQuantity,
        EniIpv6AddressQuantity: ipv6Quantity(limits),
        EniTrunkSupported: false,
        EriQuantity: 0,
        QueuePairNumber: 0,
        NetworkCards: { NetworkCardInfo: [] },
      })),
    },
  }));
};

function parseIds(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function instanceFacts(world: World, instance: InstanceSpec): JsonObject {
  const primary = primaryAddress(world, instance);
  return {
    InstanceId: instance.id,
    InstanceName: instance.name,
    HostName: instance.name,
    InstanceType: instance.type,
    RegionId: world.topology.region,
    ZoneId: instance.zone,
    Status: instance.status,
    InstanceNetworkType: "vpc",
    SecurityGroupIds: { SecurityGroupId: instance.securityGroups },
    VpcAttributes: {
      VpcId: world.topology.vpc.id,
      VSwitchId: instance.vSwitch,
      PrivateIpAddress: { IpAddress: primary === undefined ? [] : [primary] },
      NatIpAddress: "",
    },
    InnerIpAddress: { IpAddress: [] },
    PublicIpAddress: { IpAddress: [] },
    OperationLocks: { LockReason: [] },
  };
}

function instanceDocument(world: World, instance: InstanceSpec): JsonObject {
  const enis = [...world.described.values()].filter((eni) => eni.instance === instance.id);
  const httpTokens = instance.httpTokens ?? world.topology.switches.metadataTokens;
  const created = Math.min(world.nowMs, ...enis.map((eni) => eni.createdMs));
  return {
    ...instanceFacts(world, instance),
    InstanceTypeFamily: instance.type.split(".").slice(0, 2).join("."),
    CreationTime: isoMinutes(created),
    MetadataOptions: { HttpEndpoint: "enabled", HttpTokens: httpTokens, HttpPutResponseHopLimit: 1 },
    Tags: { Tag: [] },
    NetworkInterfaces: {
      NetworkInterface: enis.map((eni) => ({
        NetworkInterfaceId: eni.id,
        MacAddress: eni.mac,
        Type: eni.type,
        PrimaryIpAddress: eni.addresses[0],
        PrivateIpSets: privateIpSets(eni),
        Ipv6Sets: ipv6Sets(eni),
        Ipv4PrefixSets: { Ipv4PrefixSet: [] },
        Ipv6PrefixSets: { Ipv6PrefixSet: [] },
      })),
    },
  };
}

/** Address of the primary ENI. */
export function primaryAddress(world: World, instance: InstanceSpec): string | undefined {
  const primary = [...world.enis.values()].find(
    (eni) => eni.type === "Primary" && eni.instance === instance.id,
  );
  return primary?.addresses[0];
}
