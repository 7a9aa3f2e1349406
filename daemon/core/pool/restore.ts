/**
 * The pool at the start of the agent, from what the store kept. The first "ticked" then asks for everything that is needed:
 * the devices of attached ENIs, the cloud's view, and after that the calls that a former run may have left half done.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { type VSwitchView } from "../cloud.ts";
import {
  type AddressState,
  type Eni,
  type EniState,
  type Limits,
  type Pool,
  type PoolSettings,
  type Unplaced,
} from "./model.ts";
import { type CooldownRecord, type EniRecord, type LeaseRecord } from "./records.ts";

export type RestoreInput = {
  readonly settings: PoolSettings;
  readonly limits: Limits;
  /** What a former run learnt about the instance type; `limits` respects it already. */
  readonly learnt?: Partial<Limits>;
  /** Those of the configuration, in its order. */
  readonly vSwitches: readonly VSwitchView[];
  readonly records: {
    readonly enis: readonly EniRecord[];
    readonly leases: readonly LeaseRecord[];
    readonly cooldowns: readonly CooldownRecord[];
  };
  readonly nowMs: number;
  /** Any integer; differs from start to start. */
  readonly seed: number;
};

/**
 * Leases come before everything else: an address that a pod has is never idle, whatever the other records say. What belongs
 * to an ENI that is not known waits for it in `unplaced`.
 */
export function restore(input: RestoreInput): Pool {
  const { settings, limits, nowMs } = input;
  const unplaced = knownStates(input);
  const enis = new Map<number, Eni>();
  // Those that leave come last: their addresses may be others' already.
  const records = [...input.records.enis].sort((a, b) => Number(isLeaving(a)) - Number(isLeaving(b)));
  for (const record of records) enis.set(record.slot, eniOf(record, unplaced, nowMs));
  return {
    settings,
    limits,
    learnt: input.learnt ?? {},
    vSwitches: input.vSwitches.map((view) => ({ view })),
    vSwitchesSeenMs: nowMs,
    enis,
    departed: new Map(),
    foreign: 0,
    unplaced,
    waiting: [],
    cloudSeen: false,
    survey: { atMs: nowMs, tries: 0 },
    random: input.seed >>> 0,
  };
}

function knownStates({ records, settings, nowMs }: RestoreInput): Map<IpAddress, Unplaced> {
  const states = new Map<IpAddress, Unplaced>();
  for (const { address, untilMs } of records.cooldowns) {
    // A clock that was set back meanwhile must not make it longer than it is.
    const latestMs = nowMs + settings.cooldownMs;
    states.set(address, { state: { kind: "cooling", untilMs: Math.min(untilMs, latestMs) } });
  }
  for (const { address, address6, attachment, slot } of records.leases)
    for (const held of address6 === undefined ? [address] : [address, address6])
      states.set(held, { state: { kind: "used", attachment }, slot });
  return states;
}

function isLeaving({ kind }: EniRecord): boolean {
  return kind === "detaching" || kind === "deleting";
}

/** Takes the states of the ENI's addresses out of `unplaced`. */
function eniOf(record: EniRecord, unplaced: Map<IpAddress, Unplaced>, nowMs: number): Eni {
  const { slot, vSwitch } = record;
  const addresses = new Map<IpAddress, AddressState>();
  const common = {
    slot,
    vSwitch,
    misses: 0,
    ...(record.borrowed === true ? { borrowed: true as const } : {}),
  };
  if (record.kind === "creating") {
    // The former run may have sent it: only the same token tells whether the ENI exists.
    const call = { tries: 0, retryAtMs: nowMs };
    return { ...common, addresses, state: { kind: "creating", request: record.request, unsure: true, call } };
  }
  for (const address of record.addresses) {
    const known = unplaced.get(address);
    const isHere = known !== undefined && (!isLeaving(record) || known.slot === slot);
    const free: AddressState = record.unassigning.includes(address)
      ? { kind: "unassigning" }
      : { kind: "idle", sinceMs: nowMs };
    addresses.set(address, isHere ? known.state : free);
    if (isHere) unplaced.delete(address);
  }
  const kinds = new Set(addresses.values().map(({ kind }) => kind));
  const isBusy = kinds.has("used") || kinds.has("cooling");
  return {
    ...common,
    facts: record.facts,
    addresses,
    state: stateOf(record.kind, isBusy, nowMs),
    // How long ago that was is not known, since the clock may have been set.
    grewAtMs: nowMs,
    ...(record.shrankAtMs !== undefined && { shrankAtMs: nowMs }),
    // The former run may have sent it: what the cloud lists decides.
    ...(kinds.has("unassigning") && { unassigning: { unsure: true, call: { tries: 0 } } }),
  };
}

/** An ENI on which a pod has, or just had, an address does not leave, whatever was begun. */
function stateOf(kind: Exclude<EniRecord["kind"], "creating">, isBusy: boolean, nowMs: number): EniState {
  if (kind === "ready" || isBusy)
    return {
      kind: "linking",
      sinceMs: nowMs,
      rounds: 0,
      inUse: false,
      unsure: false,
      relinkAtMs: nowMs,
      ...(kind === "ready" && { wasReady: true }),
    };
  const call = { tries: 0, retryAtMs: nowMs };
  if (kind === "attaching") return { kind, rounds: 0, call };
  // The former run may have sent it.
  return { kind, sinceMs: nowMs, unsure: false, call, repeated: true };
}
