/**
 * AttachNetworkInterface, DetachNetworkInterface and DeleteNetworkInterface: asynchronous transitions of an ENI.
 *
 *     Available -> Attaching -> InUse -> Detaching -> Available -> Deleting -> gone
 *
 * @module
 */
import { changeEni, enisOf, removeEni, setLink, transit, whileUnchanged } from "../eni.ts";
import { takeEniFault } from "../faults.ts";
import { type ParameterReader, readParameters } from "../parameters.ts";
import { type InstanceSpec } from "../topology.ts";
import { type JsonObject } from "../json-object.ts";
import { drawDelay, type Eni, type World } from "../world.ts";
import { refuseIpv6Count } from "./ipv6-wanted.ts";
import { accept, eniNamed, type Handler, type Outcome, refuse, refuseWith } from "./outcome.ts";

/** The device, the status InUse and the metadata come later, in any order; or the ENI is Available again. */
export const attachNetworkInterface: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const target = readTarget(world, read);
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const { eni, instance } = target;
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", target.eniName);
  if (instance === undefined) return refuseWith("InvalidInstanceId.NotFound", target.instanceName);
  return refuseAttach(world, eni, instance) ?? accept(() => attach(world, eni, instance));
};

function refuseAttach(world: World, eni: Eni, instance: InstanceSpec): Outcome | undefined {
  if (eni.type === "Primary") return refuseWith("InvalidOperation.InvalidEniType", eni.id);
  if (eni.serviceManaged) return refuseWith("InvalidOperation.EniServiceManaged", eni.id);
  if (eni.status !== "Available") return refuseState(eni);
  if (instance.status !== "Running" && instance.status !== "Stopped") {
    return refuseWith("InvalidOperation.InvalidEcsState", `${instance.id} is ${instance.status}`);
  }
  if (eni.zone !== instance.zone) {
    return refuseWith("InvalidOperation.AvailabilityZoneMismatch", `${eni.id}, ${instance.id}`);
  }
  const limits = world.topology.instanceTypes[instance.type];
  if (limits === undefined) throw new Error(`no limits for ${instance.type}`);
  if (enisOf(world, instance.id).length >= limits.eniQuantity) {
    return refuseWith("EniPerInstanceLimitExceeded", `${instance.type} has ${limits.eniQuantity}`);
  }
  if (eni.addresses.length > limits.eniPrivateIpAddressQuantity) {
    return refuseWith(
      "InvalidOperation.Ipv4CountExceeded",
      `${instance.type}: ${limits.eniPrivateIpAddressQuantity}`,
    );
  }
  return refuseIpv6Count(world, instance.id, eni.ipv6Addresses.length);
}

function attach(world: World, eni: Eni, instance: InstanceSpec): JsonObject {
  const target = { id: eni.id, instance: instance.id };
  const attaching = transit(world, eni.id, { status: "Attaching", instance: instance.id }, "attachMetadata");
  const inUseMs = drawDelay(world, "attachInUse");
  const linkMs = drawDelay(world, "attachLink");
  if (takeEniFault(world.faults, "attachFails", target)) {
    whileUnchanged(world, attaching, inUseMs, () =>
      transit(world, eni.id, { status: "Available", instance: undefined }),
    );
    return {};
  }
  // The status is not a transition of its own: the device may come before or after it.
  whileUnchanged(world, attaching, inUseMs, () => changeEni(world, eni.id, { status: "InUse" }));
  if (!takeEniFault(world.faults, "linkNeverAppears", target)) {
    whileUnchanged(world, attaching, linkMs, () => setLink(world, eni.id, true));
  }
  return {};
}

/** Asynchronous. Allowed from InUse, and from Detaching, where it begins again. */
export const detachNetworkInterface: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const { eni, instance, eniName, instanceName } = readTarget(world, read);
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", eniName);
  if (instance === undefined) return refuseWith("InvalidEcsId.NotFound", instanceName);
  if (eni.type === "Primary") return refuseWith("InvalidOperation.DetachPrimaryEniNotAllowed", eni.id);
  if (eni.serviceManaged) return refuseWith("InvalidOperation.EniServiceManaged", eni.id);
  if (eni.status === "Available" && !world.topology.switches.strictDetach) return accept(() => ({}));
  if (eni.status !== "InUse" && eni.status !== "Detaching") return refuseState(eni);
  if (eni.instance !== instance.id) return refuseWith("InvalidParameter.EniNotBelongEcs", eni.id);
  return accept(() => detach(world, eni));
};

function detach(world: World, eni: Eni): JsonObject {
  const detaching = transit(world, eni.id, { status: "Detaching" });
  const doneMs = drawDelay(world, "detachDone");
  const linkGoneMs = Math.round(doneMs * world.random.unit());
  if (takeEniFault(world.faults, "stuckDetach", eni)) return {};
  whileUnchanged(world, detaching, linkGoneMs, () => setLink(world, eni.id, false));
  whileUnchanged(world, detaching, doneMs, () =>
    transit(world, eni.id, { status: "Available", instance: undefined, link: false }),
  );
  return {};
}

/** Asynchronous. Allowed from Available, and from Deleting, where it begins again. */
export const deleteNetworkInterface: Handler = (world, parameters) => {
  const read = readParameters(parameters);
  const name = read.required("NetworkInterfaceId");
  const problem = read.problem();
  if (problem !== undefined) return refuse(problem);
  const eni = eniNamed(world, name);
  if (eni === undefined) return refuseWith("InvalidEniId.NotFound", name, 403);
  if (eni.type === "Primary") return refuseWith("InvalidOperation.InvalidEniType", eni.id);
  if (eni.serviceManaged) return refuseWith("InvalidOperation.EniServiceManaged", eni.id);
  if (eni.status !== "Available" && eni.status !== "Deleting") return refuseState(eni);
  return accept(() => {
    const deleting = transit(world, eni.id, { status: "Deleting" });
    const doneMs = drawDelay(world, "deleteDone");
    if (!takeEniFault(world.faults, "stuckDelete", eni)) {
      whileUnchanged(world, deleting, doneMs, () => removeEni(world, eni.id));
    }
    return {};
  });
};

type Target = {
  readonly eniName: string;
  readonly instanceName: string;
  readonly eni: Eni | undefined;
  readonly instance: InstanceSpec | undefined;
};

function readTarget(world: World, read: ParameterReader): Target {
  const eniName = read.required("NetworkInterfaceId");
  const instanceName = read.required("InstanceId");
  const instance = world.topology.instances.find((candidate) => candidate.id === instanceName);
  return { eniName, instanceName, eni: eniNamed(world, eniName), instance };
}

function refuseState(eni: Eni): Outcome {
  return refuseWith("InvalidOperation.InvalidEniState", `${eni.id} is ${eni.status}`);
}
