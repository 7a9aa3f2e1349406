/**
 * For tests: the state of a cloud in memory, and how it changes by itself: attach, detach and delete take their time.
 *
 * @module
 */
import { intToIpv4, type Ipv4, ipv4ToInt, type Mac, macFromBytes, parseIpv4 } from "../../../proto/addr.ts";
import { intToIpv6, type IpAddress, type Ipv6, ipv6ToInt, parseIpv6 } from "../../../proto/addr6.ts";
import { parseCidr } from "../../../proto/cidr.ts";
import { parseCidr6 } from "../../../proto/cidr6.ts";
import { type EniId, eniId, instanceId, type VSwitchId } from "../../../proto/ids.ts";
import {
  type CreateEni,
  type EniStatus,
  type EniView,
  type FailureClass,
  type VSwitchView,
} from "../cloud.ts";
import { type Family } from "../ip-stack.ts";

export const INSTANCE = instanceId("i-test");

export type FakeEni = { view: EniView; linked: boolean; undo: boolean };

export type FakeVpc = {
  /** Secondary ENIs and addresses of each that the instance really has. */
  readonly enisMax: number;
  readonly addressesPerEni: number;
  readonly addresses6PerEni: number;
  readonly vSwitches: readonly VSwitchId[];
  readonly enis: Map<EniId, FakeEni>;
  readonly free: Map<VSwitchId, Ipv4[]>;
  readonly free6: Map<VSwitchId, Ipv6[]>;
  readonly taken: Map<VSwitchId, Ipv4[]>;
  readonly agenda: { readonly atMs: number; readonly act: (atMs: number) => EniId | undefined }[];
  /** All views after each change, for views that are late. */
  readonly history: { readonly atMs: number; readonly views: readonly EniView[] }[];
  made: number;
};

const LINK_MS = 1_750;
const IN_USE_MS = 2_200;
const DETACH_MS = 2_000;
const DELETE_MS = 1_250;

/** More than the ENIs of a node can have. */
const SIZE6 = 200;

/**
 * The usable addresses of vSwitch number n are those of 10.n.0.0/16 from .0.1 on, and those of fd00:n::/64 from ::1 on.
 * `addresses6PerEni` is `addressesPerEni` where absent.
 */
export function fakeVpc(options: {
  readonly enisMax: number;
  readonly addressesPerEni: number;
  readonly addresses6PerEni?: number;
  readonly vSwitches: readonly { readonly id: VSwitchId; readonly size: number }[];
}): FakeVpc {
  return {
    enisMax: options.enisMax,
    addressesPerEni: options.addressesPerEni,
    addresses6PerEni: options.addresses6PerEni ?? options.addressesPerEni,
    vSwitches: options.vSwitches.map(({ id }) => id),
    enis: new Map(),
    free: new Map(options.vSwitches.map(({ id, size }, index) => [id, addressesOf(index, size)])),
    free6: new Map(options.vSwitches.map(({ id }, index) => [id, addresses6Of(index)])),
    taken: new Map(),
    agenda: [],
    history: [{ atMs: 0, views: [] }],
    made: 0,
  };
}

export function vSwitchViews(vpc: FakeVpc): VSwitchView[] {
  return vpc.vSwitches.map((id, index) => ({
    id,
    vpc: "vpc-test",
    zone: "zone-a",
    cidr: parseCidr(`10.${index}.0.0/16`) ?? never("vSwitch", index),
    cidr6: parseCidr6(`fd00:${index.toString(16)}::/64`) ?? never("vSwitch", index),
    availableAddresses: vpc.free.get(id)?.length ?? 0,
  }));
}

/** Lets everything happen that is due; the ENIs whose device has appeared. */
export function advance(vpc: FakeVpc, nowMs: number): EniId[] {
  const appeared: EniId[] = [];
  for (;;) {
    vpc.agenda.sort((a, b) => a.atMs - b.atMs);
    const next = vpc.agenda[0];
    if (next === undefined || next.atMs > nowMs) return appeared;
    vpc.agenda.shift();
    const id = next.act(next.atMs);
    if (id !== undefined) appeared.push(id);
  }
}

/** Makes an ENI, or says why not. */
export function createEni(vpc: FakeVpc, request: CreateEni, nowMs: number): EniView | FailureClass {
  if (request.secondaryCount >= vpc.addressesPerEni) return "address-quota";
  const count6 = request.count6 ?? 0;
  if (count6 > vpc.addresses6PerEni) return "address6-quota";
  const addresses = takeAddresses(vpc.free.get(request.vSwitch), request.secondaryCount + 1);
  const primary = addresses?.[0];
  if (addresses === undefined || primary === undefined) return "vswitch-full";
  vpc.made += 1;
  const serial = vpc.made;
  const view: EniView = {
    id: eniId(`eni-${serial}`),
    mac: macOf(serial),
    status: "Available",
    type: "Secondary",
    vSwitch: request.vSwitch,
    primary,
    addresses,
    addresses6: takeAddresses(vpc.free6.get(request.vSwitch), count6) ?? [],
    securityGroups: request.securityGroups,
    tags: request.tags,
    serviceManaged: false,
  };
  vpc.enis.set(view.id, { view, linked: false, undo: false });
  record(vpc, nowMs);
  return view;
}

export function attachEni(vpc: FakeVpc, eni: FakeEni, nowMs: number): FailureClass | undefined {
  if (eni.view.status !== "Available") return "state";
  const attached = [...vpc.enis.values()].filter(({ view }) => view.instance === INSTANCE);
  if (attached.length >= vpc.enisMax) return "eni-quota";
  setStatus(vpc, eni, "Attaching", nowMs);
  const isCurrent = (): boolean => vpc.enis.get(eni.view.id) === eni && eni.view.status === "Attaching";
  if (eni.undo) {
    later(vpc, nowMs + LINK_MS, (atMs) => {
      if (isCurrent()) setStatus(vpc, eni, "Available", atMs);
      return undefined;
    });
    return undefined;
  }
  later(vpc, nowMs + LINK_MS, () => {
    if (!isCurrent()) return undefined;
    eni.linked = true;
    return eni.view.id;
  });
  later(vpc, nowMs + IN_USE_MS, (atMs) => {
    if (isCurrent()) setStatus(vpc, eni, "InUse", atMs);
    return undefined;
  });
  return undefined;
}

export function assignAddresses(
  vpc: FakeVpc,
  eni: FakeEni,
  { family, count }: { readonly family: Family; readonly count: number },
  nowMs: number,
): readonly IpAddress[] | FailureClass {
  const { view } = eni;
  if (family === "ipv6") {
    if (view.addresses6.length + count > vpc.addresses6PerEni) return "address6-quota";
    const addresses6 = takeAddresses(vpc.free6.get(view.vSwitch), count) ?? never("IPv6 address", SIZE6);
    eni.view = { ...view, addresses6: [...view.addresses6, ...addresses6] };
    record(vpc, nowMs);
    return addresses6;
  }
  if (view.addresses.length + count > vpc.addressesPerEni) return "address-quota";
  const addresses = takeAddresses(vpc.free.get(view.vSwitch), count);
  if (addresses === undefined) return "vswitch-full";
  eni.view = { ...view, addresses: [...view.addresses, ...addresses] };
  record(vpc, nowMs);
  return addresses;
}

export function unassignAddresses(
  vpc: FakeVpc,
  eni: FakeEni,
  given: readonly IpAddress[],
  nowMs: number,
): FailureClass | undefined {
  const { view } = eni;
  const assigned: readonly IpAddress[] = [...view.addresses, ...view.addresses6];
  if (given.some((address) => !assigned.includes(address))) return "gone";
  vpc.free.get(view.vSwitch)?.push(...view.addresses.filter((address) => given.includes(address)));
  vpc.free6.get(view.vSwitch)?.push(...view.addresses6.filter((address) => given.includes(address)));
  eni.view = {
    ...view,
    addresses: view.addresses.filter((address) => !given.includes(address)),
    addresses6: view.addresses6.filter((address) => !given.includes(address)),
  };
  record(vpc, nowMs);
  return undefined;
}

export function detachEni(vpc: FakeVpc, eni: FakeEni, nowMs: number): void {
  if (eni.view.status === "Available" || eni.view.status === "Deleting") return;
  eni.linked = false;
  setStatus(vpc, eni, "Detaching", nowMs);
  later(vpc, nowMs + DETACH_MS, (atMs) => {
    if (eni.view.status === "Detaching") setStatus(vpc, eni, "Available", atMs);
    return undefined;
  });
}

export function deleteEni(vpc: FakeVpc, eni: FakeEni, nowMs: number): FailureClass | undefined {
  if (eni.view.status === "Deleting") return undefined;
  if (eni.view.status !== "Available") return "state";
  setStatus(vpc, eni, "Deleting", nowMs);
  later(vpc, nowMs + DELETE_MS, (atMs) => {
    vpc.free.get(eni.view.vSwitch)?.push(...eni.view.addresses);
    vpc.free6.get(eni.view.vSwitch)?.push(...eni.view.addresses6);
    vpc.enis.delete(eni.view.id);
    record(vpc, atMs);
    return undefined;
  });
  return undefined;
}

/** Makes others take (or, negative, give back) addresses of a vSwitch. */
export function occupy(vpc: FakeVpc, id: VSwitchId, count: number): void {
  const free = vpc.free.get(id) ?? [];
  const others = vpc.taken.get(id) ?? [];
  vpc.taken.set(id, others);
  if (count > 0) others.push(...free.splice(0, count));
  else free.push(...others.splice(0, -count));
}

/** Remembers what the views show from now on. */
export function record(vpc: FakeVpc, atMs: number): void {
  vpc.history.push({ atMs, views: [...vpc.enis.values()].map(({ view }) => view) });
}

function setStatus(vpc: FakeVpc, eni: FakeEni, status: EniStatus, atMs: number): void {
  const { instance: _, ...rest } = eni.view;
  const isAttached = status === "Attaching" || status === "InUse" || status === "Detaching";
  eni.view = { ...rest, status, ...(isAttached ? { instance: INSTANCE } : {}) };
  record(vpc, atMs);
}

/** The address that was freed last goes out first: whoever keeps an old one will collide. */
function takeAddresses<Address>(free: Address[] | undefined, count: number): Address[] | undefined {
  return free === undefined || free.length < count ? undefined : free.splice(free.length - count, count);
}

function later(vpc: FakeVpc, atMs: number, act: (atMs: number) => EniId | undefined): void {
  vpc.agenda.push({ atMs, act });
}

function addressesOf(index: number, size: number): Ipv4[] {
  const base = ipv4ToInt(parseIpv4(`10.${index}.0.1`) ?? never("vSwitch", index));
  return Array.from({ length: size }, (_, offset) => intToIpv4(base + size - 1 - offset));
}

function addresses6Of(index: number): Ipv6[] {
  const base = ipv6ToInt(parseIpv6(`fd00:${index.toString(16)}::`) ?? never("vSwitch", index));
  return Array.from({ length: SIZE6 }, (_, offset) => intToIpv6(base + BigInt(SIZE6 - offset)));
}

function macOf(serial: number): Mac {
  const bytes = [0, 0x16, 0x3e, serial >>> 16, (serial >>> 8) & 255, serial & 255];
  return macFromBytes(Uint8Array.from(bytes)) ?? never("ENI", serial);
}

function never(what: string, serial: number): never {
  throw new Error(`${what} number ${serial} is out of range`);
}
