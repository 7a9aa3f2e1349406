/**
 * The life of an ENI: every change goes through here, and from here it reaches what others see, each with its own lag:
 * the Describe actions, the metadata service and the data plane.
 *
 * @module
 */
import { type Ipv4, type Mac } from "../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6 } from "../../proto/addr6.ts";
import { eniId, type EniId, type InstanceId, type VSwitchId } from "../../proto/ids.ts";
import { isMetadataStale, metadataLagMs } from "./faults.ts";
import { type LatencyName } from "./latencies.ts";
import { giveBack, rested, take, takeExactly } from "./pool.ts";
import { LOWER_ALNUM } from "./random.ts";
import { type InstanceSpec, type VSwitchSpec } from "./topology.ts";
import { after, drawDelay, type Eni, pool6Of, poolOf, type World } from "./world.ts";

/** What a new ENI is made of. */
export type NewEni = Pick<
  Eni,
  | "type"
  | "serviceManaged"
  | "name"
  | "description"
  | "securityGroups"
  | "tags"
  | "sourceDestCheck"
  | "deleteOnRelease"
  | "resourceGroupId"
> & {
  readonly vSwitch: VSwitchSpec;
  /** Absent: the next free one. */
  readonly primary: Ipv4 | undefined;
  /** So many more addresses. */
  readonly secondaryCount: number;
  /** These IPv6 addresses, or so many. */
  readonly ipv6: { readonly count: number; readonly named: readonly Ipv6[] };
};

/** Makes an ENI that is Available. The caller has checked that the addresses can be had. */
export function createEni(world: World, wanted: NewEni): Eni {
  const eni = newRecord(world, wanted);
  world.enis.set(eni.id, eni);
  publish(world, eni.id);
  return eni;
}

/** The primary ENI of an instance: there from the start, for everybody to see. */
export function createPrimaryEni(world: World, instance: InstanceSpec, vSwitch: VSwitchSpec): void {
  const record = newRecord(world, {
    vSwitch,
    type: "Primary",
    serviceManaged: false,
    name: "",
    description: "",
    securityGroups: instance.securityGroups,
    tags: [],
    sourceDestCheck: false,
    deleteOnRelease: true,
    resourceGroupId: "",
    primary: instance.address,
    secondaryCount: 0,
    ipv6:
      instance.ipv6Address === undefined
        ? { count: 0, named: [] }
        : { count: 1, named: [instance.ipv6Address] },
  });
  const eni: Eni = {
    ...record,
    status: "InUse",
    instance: instance.id,
    link: true,
    ownerlessSinceMs: undefined,
  };
  world.enis.set(eni.id, eni);
  world.described.set(eni.id, eni);
  world.metadata.set(eni.id, eni);
  showFabric(world, eni.id);
}

function newRecord(world: World, wanted: NewEni): Eni {
  const id = eniId(`eni-${world.random.text(20, LOWER_ALNUM)}`);
  const pool = poolOf(world, wanted.vSwitch.id);
  if (wanted.primary !== undefined) takeExactly(pool, wanted.primary, id);
  const [primary = wanted.primary] = wanted.primary === undefined ? take(pool, 1, id) : [];
  if (primary === undefined) throw new Error("an ENI without primary address");
  const { vSwitch, primary: _, secondaryCount, ipv6, ...facts } = wanted;
  return {
    ...facts,
    id,
    sequence: world.counters.eni++,
    mac: drawMac(world),
    vSwitch: vSwitch.id,
    zone: vSwitch.zone,
    createdMs: world.nowMs,
    status: "Available",
    instance: undefined,
    link: false,
    addresses: [primary, ...take(pool, secondaryCount, id)],
    ipv6Addresses: takeIpv6(world, vSwitch.id, ipv6, id),
    transition: 0,
    ownerlessSinceMs: world.nowMs,
  };
}

/** Gives out the IPv6 addresses that are named, or so many. The caller has checked that they can be had. */
export function takeIpv6(
  world: World,
  vSwitch: VSwitchId,
  { count, named }: NewEni["ipv6"],
  eni: EniId,
): readonly Ipv6[] {
  if (count === 0) return [];
  const pool = pool6Of(world, vSwitch);
  if (named.length === 0) return take(pool, count, eni);
  for (const address of named) takeExactly(pool, address, eni);
  return named;
}

/** Changes an ENI that exists, and lets the change be seen after the usual lags. */
export function changeEni(
  world: World,
  id: EniId,
  patch: Partial<Eni>,
  metadataLag: LatencyName = "metadata",
): Eni {
  const before = world.enis.get(id);
  if (before === undefined) throw new Error(`${id} is gone`);
  const owned = patch.instance ?? ("instance" in patch ? undefined : before.instance);
  const ownerlessSinceMs = owned === undefined ? (before.ownerlessSinceMs ?? world.nowMs) : undefined;
  const eni = { ...before, ...patch, ownerlessSinceMs };
  world.enis.set(id, eni);
  publish(world, id, metadataLag);
  return eni;
}

/** Changes the state; what was planned for the state before is void. */
export function transit(
  world: World,
  id: EniId,
  patch: Partial<Eni>,
  metadataLag: LatencyName = "metadata",
): Eni {
  const transition = (world.enis.get(id)?.transition ?? 0) + 1;
  return changeEni(world, id, { ...patch, transition }, metadataLag);
}

/** Runs `act` after `delayMs`, if the ENI is then still in the state that it is in now. */
export function whileUnchanged(world: World, eni: Eni, delayMs: number, act: () => void): void {
  after(world, delayMs, () => {
    if (world.enis.get(eni.id)?.transition === eni.transition) act();
  });
}

/** The device appears or goes: the data plane is told at once. */
export function setLink(world: World, id: EniId, link: boolean): void {
  changeEni(world, id, { link });
  showFabric(world, id);
}

/** Takes addresses off an ENI; they rest before anybody gets them. */
export function releaseAddresses(world: World, eni: Eni, addresses: readonly IpAddress[]): void {
  const holdOffMs = drawDelay(world, "addressHoldOff");
  for (const address of addresses) {
    if (isIpv6(address)) giveBack(pool6Of(world, eni.vSwitch), address);
    else giveBack(poolOf(world, eni.vSwitch), address);
  }
  after(world, holdOffMs, () => {
    // The data plane must have let go of an address before somebody else can get it.
    showFabric(world, eni.id);
    for (const address of addresses) {
      if (isIpv6(address)) rested(pool6Of(world, eni.vSwitch), address);
      else rested(poolOf(world, eni.vSwitch), address);
    }
  });
}

/** The ENI is no more, its addresses are released. */
export function removeEni(world: World, id: EniId): void {
  const eni = world.enis.get(id);
  if (eni === undefined) return;
  world.enis.delete(id);
  world.locks.delete(id);
  showFabric(world, id);
  releaseAddresses(world, eni, [...eni.addresses, ...eni.ipv6Addresses]);
  publish(world, id);
}

/** ENIs that count against the limit of the instance. */
export function enisOf(world: World, instance: InstanceId): readonly Eni[] {
  return [...world.enis.values()].filter((eni) => eni.instance === instance);
}

/** Shows what the metadata service has missed, for the instances where it is not stale any more. */
export function catchUpMetadata(world: World): void {
  const missed = [...world.metadataMissed];
  world.metadataMissed.clear();
  for (const [id, eni] of missed) showMetadata(world, id, eni);
}

/**
 * Lets the ENI as it is now be seen later. Each view goes through the states in order, none before its time, however
 * soon others follow. The data plane alone is always made as the ENI is at that moment.
 */
function publish(world: World, id: EniId, metadataLag: LatencyName = "metadata"): void {
  const eni = world.enis.get(id);
  const instance = eni?.instance ?? world.metadata.get(id)?.instance;
  const metadataMs = drawDelay(world, metadataLag) + metadataLagMs(world.faults, instance);
  inOrder(world, world.shownAt.described, id, drawDelay(world, "visibility"), () =>
    showDescribed(world, id, eni),
  );
  inOrder(world, world.shownAt.metadata, id, metadataMs, () => showMetadata(world, id, eni));
  after(world, drawDelay(world, "dataPlane"), () => showFabric(world, id));
}

/** Runs `show` after `delayMs`, but not before what was to be shown of this ENI earlier. */
function inOrder(
  world: World,
  shownAt: Map<EniId, number>,
  id: EniId,
  delayMs: number,
  show: () => void,
): void {
  const dueMs = Math.max(world.nowMs + delayMs, shownAt.get(id) ?? 0);
  shownAt.set(id, dueMs);
  world.agenda.at(dueMs, () => {
    if (shownAt.get(id) === dueMs && !world.enis.has(id)) shownAt.delete(id);
    show();
  });
}

function showDescribed(world: World, id: EniId, eni: Eni | undefined): void {
  if (eni === undefined) world.described.delete(id);
  else world.described.set(id, eni);
}

function showMetadata(world: World, id: EniId, eni: Eni | undefined): void {
  const instance = eni?.instance ?? world.metadata.get(id)?.instance;
  if (isMetadataStale(world.faults, instance)) {
    world.metadataMissed.set(id, eni);
  } else if (eni?.instance === undefined) {
    world.metadata.delete(id);
  } else {
    world.metadata.set(id, eni);
  }
}

/** Makes the data plane as the ENI is: asks for the differences. */
function showFabric(world: World, id: EniId): void {
  const eni = world.enis.get(id);
  const known = world.fabric.get(id);
  const { changes } = world.out;
  if (eni?.instance === undefined || !eni.link) {
    if (known !== undefined) changes.push({ op: "unplug", eni: id });
    world.fabric.delete(id);
    return;
  }
  const copy = known ?? { allowed: new Set<IpAddress>(), checkSource: eni.sourceDestCheck };
  if (known === undefined) {
    world.fabric.set(id, copy);
    changes.push({ op: "plug", eni: id, instance: eni.instance, mac: eni.mac });
  }
  if (known === undefined || copy.checkSource !== eni.sourceDestCheck) {
    copy.checkSource = eni.sourceDestCheck;
    changes.push({ op: "check-source", eni: id, on: eni.sourceDestCheck });
  }
  const wanted: readonly IpAddress[] = [...eni.addresses, ...eni.ipv6Addresses];
  for (const address of copy.allowed) {
    if (wanted.includes(address)) continue;
    copy.allowed.delete(address);
    changes.push({ op: "revoke", eni: id, address });
  }
  for (const address of wanted) {
    if (copy.allowed.has(address)) continue;
    copy.allowed.add(address);
    changes.push({ op: "allow", eni: id, address });
  }
}

/** Alibaba Cloud's MAC prefix and three drawn bytes that nobody has. */
function drawMac(world: World): Mac {
  const taken = new Set([...world.enis.values()].map((eni) => eni.mac));
  for (let tried = 0; tried < 1000; tried++) {
    const bytes = Array.from({ length: 3 }, () => world.random.text(2, "0123456789abcdef"));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- in canonical form by construction
    const mac = `00:16:3e:${bytes.join(":")}` as Mac;
    if (!taken.has(mac)) return mac;
  }
  throw new Error("no free MAC address was drawn");
}
