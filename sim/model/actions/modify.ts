/**
 * ModifyNetworkInterfaceAttribute.
 *
 * @module
 */
import { securityGroupId } from "../../../proto/ids.ts";
import { changeEni } from "../eni.ts";
import { listParameter, readParameters } from "../parameters.ts";
import { type Eni } from "../world.ts";
import { accept, eniNamed, type Handler, refuse, refuseWith } from "./outcome.ts";

/** What is absent stays; a list of security groups replaces the one before. */
export const modifyNetworkInterfaceAttribute: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const deleteOnRelease = read.flag("DeleteOnRelease");
  const sourceDestCheck = read.flag("SourceDestCheck");
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name);
  if (eni.serviceManaged) return refuseWith("InvalidOperation.EniServiceManaged", eni.id);
  const groups = listParameter(parameters, "SecurityGroupId").map(securityGroupId);
  const missing = groups.find((group) => !world.securityGroups.has(group));
  if (missing !== undefined) return refuseWith("InvalidSecurityGroupId.NotFound", missing);
  const patch: Partial<Eni> = {
    description: parameters["Description"] ?? eni.description,
    name: parameters["NetworkInterfaceName"] ?? eni.name,
    deleteOnRelease: deleteOnRelease ?? eni.deleteOnRelease,
    sourceDestCheck: sourceDestCheck ?? eni.sourceDestCheck,
    securityGroups: groups.length > 0 ? groups : eni.securityGroups,
  };
  return accept(() => {
    changeEni(world, eni.id, patch);
    return {};
  });
};
