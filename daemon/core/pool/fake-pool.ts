/**
 * For tests: pools in a state of their own choosing.
 *
 * @module
 */
import { type Ipv4, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, isIpv6, parseIp } from "../../../proto/addr6.ts";
import { eniId, type VSwitchId, vSwitchId } from "../../../proto/ids.ts";
import { type EniStatus, type EniView, type VSwitchView } from "../cloud.ts";
import { attachmentOf, SETTINGS } from "./fake-node.ts";
import { fakeVpc, INSTANCE, vSwitchViews } from "./fake-vpc.ts";
import {
  type AddressState,
  type Eni,
  type EniState,
  type Pool,
  type PoolEvent,
  type PoolSettings,
  type Step,
} from "./model.ts";
import { restore } from "./restore.ts";
import { step } from "./step.ts";

export const A = vSwitchId("vsw-a");
export const B = vSwitchId("vsw-b");
const MAC = parseMac("00:16:3e:00:00:01");

export const IDLE: AddressState = { kind: "idle" };

export function ip(text: string): Ipv4 {
  const parsed = parseIpv4(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

function anyIp(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

/** The state of an address that the pod `name` has. */
export function used(name: string): AddressState {
  return { kind: "used", attachment: attachmentOf(name) };
}

/** ENI number `slot`, ready unless said otherwise; the first address is the primary one. */
export function eniOf(
  slot: number,
  addresses: Readonly<Record<string, AddressState>>,
  more: Partial<Eni> = {},
): Eni {
  const [primary = ""] = Object.keys(addresses);
  if (MAC === undefined) throw new Error("no MAC address");
  return {
    slot,
    vSwitch: A,
    facts: { id: eniId(`eni-${slot}`), mac: MAC, primary: ip(primary) },
    addresses: new Map(Object.entries(addresses).map(([address, state]) => [anyIp(address), state])),
    misses: 0,
    state: { kind: "ready", ifIndex: 1, confirmed: true },
    ...more,
  };
}

/** A pool that has seen the cloud, with 1,000 free addresses in each of vsw-a and vsw-b. */
export function poolOf(
  enis: readonly Eni[],
  settings: Partial<PoolSettings> = {},
  more: Partial<Pool> = {},
): Pool {
  const vpc = fakeVpc({
    enisMax: 3,
    addressesPerEni: 15,
    vSwitches: [A, B].map((id) => ({ id, size: 1_000 })),
  });
  const empty = restore({
    settings: { ...SETTINGS, ...settings },
    limits: { enisMax: 3, addressesPerEni: 15 },
    vSwitches: vSwitchViews(vpc),
    records: { enis: [], leases: [], cooldowns: [] },
    nowMs: 0,
    seed: 1,
  });
  const survey = { atMs: 1e9, tries: 0 };
  return { ...empty, cloudSeen: true, survey, enis: new Map(enis.map((eni) => [eni.slot, eni])), ...more };
}

/** What the cloud shows of the ENI. */
export function viewOf(eni: Eni, status: EniStatus, addresses?: readonly string[]): EniView {
  const { facts } = eni;
  if (facts === undefined) throw new Error("not created yet");
  const all = addresses?.map(anyIp) ?? [...eni.addresses.keys()];
  return {
    id: facts.id,
    mac: facts.mac,
    status,
    type: "Secondary",
    vSwitch: eni.vSwitch,
    primary: facts.primary,
    addresses: all.filter((address) => !isIpv6(address)),
    addresses6: all.filter(isIpv6),
    securityGroups: [],
    tags: SETTINGS.ownTags,
    serviceManaged: false,
    ...(status === "Available" ? {} : { instance: INSTANCE }),
  };
}

/** Asks for the views of the pool's ENIs at `askedMs`, and answers at `nowMs`. */
export function looked(pool: Pool, views: readonly EniView[], askedMs: number, nowMs: number): Step {
  const ids = [...pool.enis.values()].flatMap(({ facts }) => facts?.id ?? []);
  const describing = { ...pool, describing: { sinceMs: askedMs } };
  return step(describing, { kind: "described", scope: { by: "ids", ids }, views, nowMs });
}

/** The state of the ENI in `slot`. */
export function stateIn(pool: Pool, slot = 0): EniState | undefined {
  return pool.enis.get(slot)?.state;
}

/** The view of a vSwitch of the pool with so many free addresses. */
export function vSwitchOf(pool: Pool, id: VSwitchId, availableAddresses: number): VSwitchView {
  const known = pool.vSwitches.find(({ view }) => view.id === id);
  if (known === undefined) throw new Error(`${id} is not in the pool`);
  return { ...known.view, availableAddresses };
}

/** The pool after these events, and what each asked for. */
export function after(pool: Pool, events: readonly PoolEvent[]): Step {
  return events.reduce<Step>((last, event) => step(last.pool, event), { pool, effects: [] });
}
