/**
 * What the tests of the model share: a virtual cloud of the default topology, and short words for what is done with it.
 *
 * @module
 */
import { type OrderInput, parseOrder } from "./orders.ts";
import { DEFAULT_TOPOLOGY_FILE } from "./topology-default.ts";
import { formatProblem, parseTopology } from "./topology-file.ts";
import { type Topology, type TopologyFile } from "./topology.ts";
import { createVirtualCloud, type VirtualAnswer, type VirtualCloud } from "./virtual-cloud.ts";

/** When virtual clouds begin: 2026-01-01. */
export const START_MS = 1_767_225_600_000;
/** The parameter for the first instance. */
export const NODE_1 = { InstanceId: "i-node-1" };

/** The default topology with some keys of the file replaced. Throws where the result is wrong. */
export function topologyWith(file: Partial<TopologyFile>): Topology {
  const parsed = parseTopology(JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, ...file }));
  if (!parsed.ok) throw new Error(parsed.fault.map(formatProblem).join("\n"));
  return parsed.value;
}

/** A virtual cloud of the default topology with some keys of the file replaced. */
export function cloudOf(file: Partial<TopologyFile> = {}, seed = 1): VirtualCloud {
  return createVirtualCloud({ topology: topologyWith(file), seed, startMs: START_MS });
}

/** Orders a fault (its id) or an event (its ENI, or why not). */
export function order(cloud: VirtualCloud, wanted: OrderInput): string | undefined {
  const parsed = parseOrder(wanted);
  if (!parsed.ok) throw new Error(parsed.fault);
  if (parsed.value.order === "fault") return cloud.model.addFault(parsed.value.fault);
  const happened = cloud.model.happen(parsed.value.event, cloud.nowMs());
  return happened.ok ? happened.value.eni : happened.fault;
}

/** CreateNetworkInterface in the large vSwitch of zone h. */
export function create(cloud: VirtualCloud, more: Readonly<Record<string, string>> = {}): VirtualAnswer {
  return cloud.call("CreateNetworkInterface", {
    VSwitchId: "vsw-pods-h2",
    SecurityGroupId: "sg-pods",
    ...more,
  });
}

/** A new ENI that is InUse on node 1, with its device. */
export function attached(cloud: VirtualCloud): string {
  const eni = String(create(cloud).body["NetworkInterfaceId"]);
  const { code } = cloud.call("AttachNetworkInterface", { ...NODE_1, NetworkInterfaceId: eni });
  cloud.pass(10_000);
  if (statusOf(cloud, eni) !== "InUse") throw new Error(`${eni} is not attached: ${code}`);
  return eni;
}

/** `undefined` where the ENI is gone. */
export function statusOf(cloud: VirtualCloud, eni: string): string | undefined {
  return cloud.model.state(cloud.nowMs()).enis.find(({ id }) => id === eni)?.status;
}

/** The primary address first. */
export function addressesOf(cloud: VirtualCloud, eni: string): readonly string[] {
  return cloud.model.state(cloud.nowMs()).enis.find(({ id }) => id === eni)?.addresses ?? [];
}

/** The counts of a vSwitch. */
export function vSwitch(
  cloud: VirtualCloud,
  id: string,
): { used: number; held: number; available: number } | undefined {
  return cloud.model.state(cloud.nowMs()).vSwitches.find((entry) => entry.id === id);
}

/** Asks the metadata service as node 1; a relative path is below /latest/meta-data/. */
export function metadata(
  cloud: VirtualCloud,
  path: string,
  more: { readonly token?: string; readonly method?: string; readonly ttlSeconds?: string } = {},
): { readonly status: number; readonly body: string } {
  const instance = cloud.model.topology.instances[0]?.id;
  if (instance === undefined) throw new Error("no instance");
  const { token, method = "GET", ttlSeconds } = more;
  const full = path.startsWith("/") ? path : `/latest/meta-data/${path}`;
  return cloud.model.metadata(
    { instance, method, path: full, token, ttlSeconds },
    cloud.nowMs(),
    cloud.nowMs(),
  );
}

/** `none` where the ENI is gone. */
export function macOf(cloud: VirtualCloud, eni: string): string {
  return cloud.model.state(cloud.nowMs()).enis.find(({ id }) => id === eni)?.mac ?? "none";
}
