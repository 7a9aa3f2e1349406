/**
 * From a topology to what is made of it on this machine. Pure.
 *
 * @module
 */
import { type Ipv4, parseIpv4 } from "../../proto/addr.ts";
import { type FabricShape } from "../fabric/shape.ts";
import { type Topology } from "../model/topology.ts";

/** Where the simulated services answer, inside every node: plain HTTP on port 80. */
export const SERVICES = { api: address("100.100.0.10"), metadata: address("100.100.100.200") };

/** The port of both services. */
export const SERVICE_PORT = 80;

/** The data plane of `topology` for a simulator named `name`. */
export function fabricShape(name: string, topology: Topology): FabricShape {
  return {
    name,
    vSwitches: topology.vSwitches.map(({ cidr }) => cidr),
    vSwitches6: topology.vSwitches.flatMap(({ ipv6Cidr }) => ipv6Cidr ?? []),
    nodes: topology.instances.map((instance) => ({ instance: instance.id, node: instance.name })),
    services: Object.values(SERVICES),
  };
}

function address(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}
