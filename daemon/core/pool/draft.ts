/**
 * The pool while one step changes it: a shallow copy of the pool, copies of the ENIs that are touched, and the effects so far.
 * Nothing of the pool that went in is changed, and what is not touched is shared with it.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { type Fault } from "../../../proto/fault.ts";
import { type EniId } from "../../../proto/ids.ts";
import { type CloudFailure, type Priority } from "../cloud.ts";
import { backOffMs } from "./back-off.ts";
import {
  type AddressState,
  type Call,
  type Eni,
  type EniFacts,
  type EniState,
  type Pool,
  type PoolEffect,
} from "./model.ts";
import { nextRandom } from "./prng.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export type DraftEni = Mutable<Omit<Eni, "addresses">> & { addresses: Map<IpAddress, AddressState> };

/** An ENI that the cloud has made. */
export type KnownEni = DraftEni & { facts: EniFacts };

export type Draft = {
  readonly nowMs: number;
  readonly pool: Mutable<Omit<Pool, "enis">> & { enis: Map<number, Eni> };
  readonly touched: Map<number, DraftEni>;
  readonly effects: PoolEffect[];
};

export function openDraft(pool: Pool, nowMs: number): Draft {
  return { nowMs, pool: { ...pool, enis: new Map(pool.enis) }, touched: new Map(), effects: [] };
}

/** The ENI of a slot, ready to be changed; `undefined` where there is none. */
export function edit(draft: Draft, slot: number): DraftEni | undefined {
  const touched = draft.touched.get(slot);
  if (touched !== undefined) return touched;
  const eni = draft.pool.enis.get(slot);
  return eni === undefined ? undefined : putEni(draft, { ...eni, addresses: new Map(eni.addresses) });
}

/** All ENIs, ready to be changed. ENIs that are dropped on the way do not disturb it. */
export function editAll(draft: Draft): DraftEni[] {
  return [...draft.pool.enis.keys()].flatMap((slot) => edit(draft, slot) ?? []);
}

/** The ENI an answer of the cloud is about; `undefined` where it has left its slot. */
export function editKnown(draft: Draft, slot: number, id: EniId): KnownEni | undefined {
  const eni = edit(draft, slot);
  return eni !== undefined && isKnown(eni) && eni.facts.id === id ? eni : undefined;
}

export function isKnown(eni: DraftEni): eni is KnownEni {
  return eni.facts !== undefined;
}

export function freeSlot(pool: Pick<Pool, "enis">): number {
  let slot = 0;
  while (pool.enis.has(slot)) slot += 1;
  return slot;
}

export function putEni(draft: Draft, eni: DraftEni): DraftEni {
  draft.pool.enis.set(eni.slot, eni);
  draft.touched.set(eni.slot, eni);
  return eni;
}

/** Takes the ENI out of the pool: it is not in the cloud (any more), or not ours. */
export function dropEni(draft: Draft, eni: DraftEni): void {
  for (const [address, state] of eni.addresses) if (state.kind === "cooling") setAside(draft, address, state);
  draft.pool.enis.delete(eni.slot);
  draft.touched.delete(eni.slot);
  draft.effects.push({ kind: "forget-eni", slot: eni.slot });
}

/** Changes the state of an ENI that the store has to know about. */
export function moveTo(draft: Draft, eni: DraftEni, state: EniState): void {
  eni.state = state;
  persist(draft, eni);
}

/** Keeps the state of an address that is on no ENI any more: should it come back, its cooldown goes on. */
export function setAside({ pool }: Draft, address: IpAddress, state: AddressState): void {
  pool.unplaced = new Map([...pool.unplaced, [address, { state }]]);
}

export function persist(draft: Draft, eni: DraftEni): void {
  draft.effects.push({ kind: "persist-eni", slot: eni.slot });
}

export function note(draft: Draft, level: "info" | "warn", text: string, fault?: Fault): void {
  draft.effects.push({ kind: "note", level, text, ...(fault === undefined ? {} : { fault }) });
}

/** A number in [0, 1). */
export function draw(draft: Draft): number {
  const { value, state } = nextRandom(draft.pool.random);
  draft.pool.random = state;
  return value;
}

/**
 * A new ClientToken (at most 64 ASCII characters). The instance, the time and the slot make it unique among all nodes and
 * restarts, the random part within one millisecond.
 */
export function newToken(draft: Draft, slot: number): string {
  const random = Math.floor(draw(draft) * 2 ** 32).toString(36);
  return `${draft.pool.settings.instance}-${slot}-${draft.nowMs.toString(36)}-${random}`.slice(-64);
}

/** The call after one more failure, with its back-off. */
export function backedOff(draft: Draft, call: Call | undefined, failure?: CloudFailure): Call {
  const tries = (call?.tries ?? 0) + 1;
  return { tries, retryAtMs: draft.nowMs + backOffMs(tries, draw(draft), failure?.retryAfterMs) };
}

/**
 * The call after a failure that leaves open whether it had its effect: at once the first time (`retryAtMs` is now), so that
 * a lost reply costs no more than a round trip; after a back-off from then on.
 */
export function repeated(draft: Draft, call: Call, failure: CloudFailure): Call {
  const atOnce = call.tries === 0 && failure.retryAfterMs === undefined;
  return atOnce ? { tries: 1, retryAtMs: draft.nowMs } : backedOff(draft, call, failure);
}

/** Wants a view of the ENI in `inMs`, earlier if one was wanted earlier already. */
export function lookIn(draft: Draft, eni: DraftEni, inMs: number): void {
  const atMs = draft.nowMs + inMs;
  eni.look = { atMs: Math.min(eni.look?.atMs ?? atMs, atMs), tries: 0 };
}

/** Growth is urgent where a pod waits for it. */
export function growthPriority(draft: Draft): Priority {
  return draft.pool.waiting.length > 0 ? "pod" : "warm-up";
}

/** True where a pod has, or just had, an address of the ENI. */
export function isBusy(eni: Eni | DraftEni): boolean {
  for (const { kind } of eni.addresses.values()) if (kind === "used" || kind === "cooling") return true;
  return false;
}
