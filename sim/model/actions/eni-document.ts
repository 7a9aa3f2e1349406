/**
 * ENIs as the API writes them.
 *
 * @module
 */
import { isoSeconds } from "../iso-time.ts";
import { type JsonObject } from "../json-object.ts";
import { type Eni, type World } from "../world.ts";

/** What Create and Describe have in common. */
export function eniFacts(world: World, eni: Eni): JsonObject {
  return {
    NetworkInterfaceId: eni.id,
    NetworkInterfaceName: eni.name,
    Description: eni.description,
    Type: eni.type,
    Status: eni.status,
    VpcId: world.topology.vpc.id,
    VSwitchId: eni.vSwitch,
    ZoneId: eni.zone,
    MacAddress: eni.mac,
    PrivateIpAddress: eni.addresses[0],
    PrivateIpSets: privateIpSets(eni),
    Ipv6Sets: ipv6Sets(eni),
    Ipv4PrefixSets: { Ipv4PrefixSet: [] },
    Ipv6PrefixSets: { Ipv6PrefixSet: [] },
    SecurityGroupIds: { SecurityGroupId: eni.securityGroups },
    Tags: { Tag: eni.tags.map((tag) => ({ TagKey: tag.key, TagValue: tag.value })) },
    ResourceGroupId: eni.resourceGroupId,
    ServiceManaged: eni.serviceManaged,
    SourceDestCheck: eni.sourceDestCheck,
    OwnerId: world.topology.accountId,
  };
}

/** One element of `NetworkInterfaceSets`. */
export function eniDocument(world: World, eni: Eni): JsonObject {
  const attachment =
    eni.instance === undefined ? {} : { InstanceId: eni.instance, DeviceIndex: 0, NetworkCardIndex: 0 };
  return {
    ...eniFacts(world, eni),
    InstanceId: eni.instance ?? "",
    CreationTime: isoSeconds(eni.createdMs),
    DeleteOnRelease: eni.deleteOnRelease,
    NetworkInterfaceTrafficMode: "Standard",
    QueueNumber: 1,
    Attachment: attachment,
  };
}

/** The primary address first. */
export function privateIpSets(eni: Eni): JsonObject {
  return {
    PrivateIpSet: eni.addresses.map((address, index) => ({
      PrivateIpAddress: address,
      Primary: index === 0,
      PrivateDnsName: "",
    })),
  };
}

/** In the order in which they were assigned. */
export function ipv6Sets(eni: Eni): JsonObject {
  return { Ipv6Set: eni.ipv6Addresses.map((address) => ({ Ipv6Address: address, Primary: false })) };
}
