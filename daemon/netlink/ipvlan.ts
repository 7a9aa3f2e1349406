/**
 * Carrying plans of `daemon/core/datapath/ipvlan-plan.ts` out.
 *
 * @module
 */
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  HOST_STACK_MAX,
  HOST_STACK_PRIORITY,
  type IpvlanEni,
  ipvlanInterfaces,
  type IpvlanNode,
  planHostStack,
  planIpvlanEni,
  planIpvlanPod,
  planIpvlanPodAgain,
  routesTo,
  slaveOf,
} from "../core/datapath/ipvlan-plan.ts";
import { type HostFacts } from "../core/datapath/host-plan.ts";
import { addressesOf, podAlias, slaveName } from "../core/datapath/layout.ts";
import { type Plan, type Thing } from "../core/datapath/thing.ts";
import { planSlaveLimits, planSources } from "../core/datapath/traffic.ts";
import { type PodInterfaces, type PodLink } from "../core/kernel.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { type Client } from "./client.ts";
import { deleteLink, decodeLink, getLink, type Link } from "./codec/link.ts";
import { TC_H } from "./codec/tc.ts";
import { deleteFilter, dumpFilters, type FilterKey } from "./codec/tc-filter.ts";
import { deleteQdisc } from "./codec/tc-qdisc.ts";
import { forgetConnections, openStale } from "./connections.ts";
import { differences } from "./differ.ts";
import { checkLimits, type Limits, makeLimits, mendLimits } from "./limits.ts";
import { lookAt } from "./look.ts";
import { openNetns } from "./netns.ts";
import { askAll } from "./removal.ts";
import { repairPlan } from "./repair.ts";
import { filtersAt, keyOf, lookAtTraffic, makeTraffic } from "./traffic.ts";

export type IpvlanPorts = {
  readonly client: Client;
  /** The node's namespace where it is not the process's. */
  readonly nodeNetns: string | undefined;
  readonly host: HostFacts;
  /** An interface index that is likely to be free in a pod. */
  readonly newIndex: () => number;
};

/** How often a slave is tried with another index. */
const INDEX_TRIES = 4;

/** Makes the ENI what it should be, whatever it was before; filters of networks that are not wanted any more go. */
export async function configureIpvlanEni(
  { client, host }: IpvlanPorts,
  eni: IpvlanEni,
  node: IpvlanNode,
): Promise<Result<void>> {
  const plan = planIpvlanEni(eni, node, host);
  const slave = await linkAt(client, slaveOf(eni).name);
  if (!slave.ok) return slave;
  // Of a device that is not there the kernel cannot be asked what hangs on it.
  const things = slave.value === undefined ? await applyPlan(client, plan) : await repairPlan(client, plan);
  if (!things.ok) return failed(things.fault);
  const filters = planHostStack(eni, node);
  const wrong = await lookAtTraffic(client, filters);
  if (!wrong.ok) return wrong;
  const made = await makeTraffic(client, wrong.value);
  if (!made.ok) return made;
  const wanted = filters.flatMap((thing) => (thing.kind === "filter" ? [keyOf(thing)] : []));
  const stale = await staleFilters(client, eni.device.ifIndex, wanted);
  return stale.ok ? askAll(client, "tc filter delete", stale.value.map(deleteFilter)) : stale;
}

/** Filters of our priorities on the egress of a device that are not wanted. */
async function staleFilters(
  client: Client,
  ifIndex: number,
  wanted: readonly FilterKey[],
): Promise<Result<readonly FilterKey[]>> {
  const place = { index: ifIndex, parent: TC_H.CLSACT_EGRESS };
  const found = await filtersAt(client, place, {});
  if (!found.ok) return found;
  return ok(
    found.value
      .filter(({ priority }) => isOurs(priority))
      .filter(
        ({ priority, protocol }) =>
          !wanted.some((key) => key.priority === priority && key.protocol === protocol),
      )
      .map(({ priority, protocol }) => ({ ...place, priority, protocol })),
  );
}

function isOurs(priority: number): boolean {
  return priority >= HOST_STACK_PRIORITY && priority < HOST_STACK_PRIORITY + HOST_STACK_MAX;
}

/** One line for each thing of the ENI that differs. Changes nothing. */
export async function checkIpvlanEni(
  { client, host }: IpvlanPorts,
  eni: IpvlanEni,
  node: IpvlanNode,
): Promise<Result<readonly string[]>> {
  const slave = await linkAt(client, slaveOf(eni).name);
  if (!slave.ok) return slave;
  if (slave.value === undefined) return ok([`device ${slaveOf(eni).name} is missing`]);
  const filters = planHostStack(eni, node);
  const [things, traffic] = await Promise.all([
    differences(client, planIpvlanEni(eni, node, host)),
    lookAtTraffic(client, filters),
  ]);
  if (!things.ok) return things;
  return traffic.ok ? ok([...things.value, ...traffic.value].map(({ line }) => line)) : traffic;
}

/** Takes the node's slave of a slot and the filters away, where they are; the ENI's device stays as the cloud's. */
export async function forgetIpvlanEni(
  { client }: Pick<IpvlanPorts, "client">,
  slot: number,
): Promise<Result<void>> {
  const slave = await slaveLink(client, slot);
  if (!slave.ok || slave.value === undefined) return slave.ok ? ok(undefined) : slave;
  const { index, link: parent } = slave.value;
  const stale = parent === undefined ? ok([]) : await staleFilters(client, parent, []);
  if (!stale.ok) return stale;
  const forgotten = await askAll(client, `forget the slave ${slaveName(slot)}`, [
    ...stale.value.map(deleteFilter),
    deleteLink({ index }),
  ]);
  if (!forgotten.ok || parent === undefined) return forgotten;
  return removeEmptyClsact(client, parent);
}

/** Where nobody has a filter there any more. */
async function removeEmptyClsact(client: Client, index: number): Promise<Result<void>> {
  for (const parent of [TC_H.CLSACT_EGRESS, TC_H.CLSACT_INGRESS]) {
    const left = await client.dump(
      `tc filter show dev ${index}`,
      dumpFilters({ index, parent }),
      ({ length }) => length,
    );
    // A device without clsact is refused.
    if (!left.ok) return ok(undefined);
    if (left.value.length > 0) return ok(undefined);
  }
  return askAll(client, `tc qdisc delete dev ${index} clsact`, [
    deleteQdisc({ index, parent: TC_H.INGRESS }),
  ]);
}

/** The node's slave of a slot; nothing where the device of that name is another. */
async function slaveLink(client: Client, slot: number): Promise<Result<Link | undefined>> {
  const found = await linkAt(client, slaveName(slot));
  return found.ok && found.value?.info?.kind !== "ipvlan" ? ok(undefined) : found;
}

/** All of the pod's interface or nothing; what is there already is made sure of. */
export async function attachIpvlanPod(
  ports: IpvlanPorts,
  pod: PodLink,
  eni: IpvlanEni,
  node: IpvlanNode,
): Promise<Result<PodInterfaces>> {
  const { client, nodeNetns, newIndex } = ports;
  const opened = openNetns(pod.netns, nodeNetns);
  if (!opened.ok) return opened;
  using netns = opened.value;
  for (let tries = 1; ; tries++) {
    const index = newIndex();
    const plan = planIpvlanPod(pod, eni, index, node);
    const applied = await applyPlan(client, plan, netns.fd);
    if (applied.ok) {
      const limited = await makeLimits(client, limitsOf(pod, index), netns.fd);
      if (limited.ok) return ok(ipvlanInterfaces(pod, eni));
      await removePlan(client, plan, netns.fd);
      return limited;
    }
    const isTaken = applied.fault.kind === "kernel" && applied.fault.errno === "EEXIST";
    if (applied.thing.kind !== "ipvlan" || !isTaken) return failed(applied.fault);
    const there = await linkIn(client, pod, netns.fd);
    if (!there.ok) return there;
    if (there.value !== undefined) return await attachAgain(ports, pod, eni, node, there.value, netns.fd);
    if (tries === INDEX_TRIES) return failed(applied.fault);
  }
}

/** A device of the pod's name is there: what hangs on it is made again, if it is the pod's. */
async function attachAgain(
  { client }: IpvlanPorts,
  pod: PodLink,
  eni: IpvlanEni,
  node: IpvlanNode,
  link: Link,
  netnsFd: number,
): Promise<Result<PodInterfaces>> {
  if (!isSlaveOf(link, pod, eni.device.ifIndex))
    return failed({ kind: "interface-exists", ifName: pod.ifName, netns: pod.netns });
  const plan = planIpvlanPodAgain(pod, eni, link.index, node);
  const repaired = await repairPlan(client, plan, { netnsFd, name: pod.netns });
  if (!repaired.ok) return repaired;
  const limited = await mendLimits(client, limitsOf(pod, link.index), netnsFd);
  return limited.ok ? ok(ipvlanInterfaces(pod, eni)) : limited;
}

/** Nobody can reach or use the addresses any more. Goes on past what is gone already. */
export async function detachIpvlanPod(ports: IpvlanPorts, pod: PodLink): Promise<Result<void>> {
  const { client, nodeNetns } = ports;
  const { slot } = pod;
  const slave = slot === undefined ? ok(undefined) : await slaveLink(client, slot);
  if (!slave.ok) return slave;
  const opened = openNetns(pod.netns, nodeNetns);
  using netns = opened.ok ? opened.value : undefined;
  const there = netns === undefined ? ok(undefined) : await linkIn(client, pod, netns.fd);
  if (!there.ok) return there;
  const own =
    there.value !== undefined && isSlaveOf(there.value, pod, slave.value?.link) ? there.value : undefined;
  // The route first: what is sent to the pod from now on is told that it is unreachable.
  const things: Plan = [
    ...(own === undefined ? [] : [slaveThing(pod, own)]),
    ...(slave.value === undefined
      ? []
      : routesTo(pod, { name: slaveName(slot ?? 0), ifIndex: slave.value.index })),
  ];
  const removed = await removePlan(client, things, netns?.fd);
  // What delays for the pod in its own namespace goes with it.
  const ifb =
    netns === undefined || own === undefined
      ? ok(undefined)
      : await freeAll(client, pod, own.index, netns.fd);
  const { v4, v6 } = pod.addresses;
  const forgotten = await forgetConnections(client, v4 === undefined ? [] : [v4]);
  const stale = openStale(client);
  stale.add(v6 === undefined ? [] : [v6]);
  return [removed, ifb, forgotten, await stale.forget()].find(({ ok: isOk }) => !isOk) ?? ok(undefined);
}

/** As far as its removal has to know it. */
function slaveThing({ ifName, mtu }: PodLink, { index, link = 0 }: Link): Thing {
  const parent = { name: String(link), ifIndex: link };
  return { kind: "ipvlan", place: "pod", device: { name: ifName, ifIndex: index }, parent, mtu, group: 0 };
}

function freeAll(client: Client, pod: PodLink, index: number, podFd: number): Promise<Result<void>> {
  return mendLimits(client, { ...limitsOf(pod, index), plan: [] }, podFd);
}

/** One line for each thing that differs from what `attachIpvlanPod` made. Changes nothing. */
export async function checkIpvlanPod(
  { client, nodeNetns }: IpvlanPorts,
  pod: PodLink,
  eni: IpvlanEni,
  node: IpvlanNode,
): Promise<Result<readonly string[]>> {
  const opened = openNetns(pod.netns, nodeNetns);
  if (!opened.ok) return ok([`network namespace ${pod.netns} is gone`]);
  using netns = opened.value;
  const there = await linkIn(client, pod, netns.fd);
  if (!there.ok) return there;
  if (there.value === undefined) return ok([`device ${pod.ifName} in ${pod.netns} is missing`]);
  const { index, mtu = pod.mtu } = there.value;
  // The kernel gives slaves the MTU of their ENI whenever that changes.
  const asMade = { ...pod, mtu };
  const plan: Plan = planIpvlanPod(asMade, eni, index, node);
  const found = await differences(client, plan, { netnsFd: netns.fd, name: pod.netns });
  if (!found.ok) return found;
  const limits = await checkLimits(client, limitsOf(asMade, index), netns.fd);
  return limits.ok ? ok([...found.value.map(({ line }) => line), ...limits.value]) : limits;
}

function linkIn(client: Client, { ifName }: PodLink, netnsFd: number): Promise<Result<Link | undefined>> {
  return linkAt(client, ifName, netnsFd);
}

async function linkAt(client: Client, name: string, netnsFd?: number): Promise<Result<Link | undefined>> {
  const where = netnsFd === undefined ? {} : { netnsFd };
  const what = `ip link show dev ${name}`;
  const found = await lookAt(client, what, [getLink({ name })], ({ payload }) => decodeLink(payload), where);
  return found.ok ? ok(found.value[0]) : found;
}

/** Whether the device is this pod's. Without an alias its making was cut short right behind its birth. */
function isSlaveOf(link: Link, { addresses }: PodLink, parent: number | undefined): boolean {
  const isOurs = link.alias === undefined ? link.link === parent : link.alias === podAlias(addresses);
  return isOurs && link.info?.kind === "ipvlan" && (parent === undefined || link.link === parent);
}

/** Both directions, and the check of the source, at the pod's own device: of what passes between slaves of one ENI the node sees nothing. */
function limitsOf({ ifName, mtu, addresses, bandwidth = {} }: PodLink, ifIndex: number): Limits {
  const device = { name: ifName, ifIndex };
  const sources = planSources({ place: "pod", device }, addressesOf(addresses));
  return {
    device,
    plan: [...sources, ...planSlaveLimits({ place: "pod", device, mtu, group: 0 }, bandwidth)],
  };
}
