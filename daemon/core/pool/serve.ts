/**
 * Gives idle addresses to the pods that wait, takes them back when the pods are gone, and lets them cool down.
 *
 * @module
 */
import { type Ipv4 } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, isIpv6 } from "../../../proto/addr6.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { describeFault, type Fault } from "../../../proto/fault.ts";
import { wantsPairs } from "../ip-stack.ts";
import { type Draft, type DraftEni, dropEni, edit, note, setAside } from "./draft.ts";
import { awaited } from "./awaited.ts";
import { type AddressState, type Eni, type Granted, type Pool } from "./model.ts";
import { countOf, idleOf } from "./pairs.ts";

/** More than any node has pods: whoever asks beyond it is refused at once. */
const WAITING_MAX = 1_000;

/** The address or pair that an attachment has, with the ENI's slot. */
export function addressOf(pool: Pick<Pool, "enis">, attachment: Attachment): Granted | undefined {
  for (const [slot, eni] of pool.enis) {
    let address: Ipv4 | undefined;
    let address6: Ipv6 | undefined;
    for (const [held, state] of eni.addresses) {
      if (state.kind !== "used" || !sameAttachment(state.attachment, attachment)) continue;
      if (isIpv6(held)) address6 = held;
      else address = held;
    }
    if (address !== undefined) return { slot, address, ...(address6 === undefined ? {} : { address6 }) };
  }
  return undefined;
}

/**
 * A pod wants an address. One that has an address gets the same one; one that waits already goes on waiting with the
 * later deadline.
 */
export function enqueue(draft: Draft, attachment: Attachment, deadlineMs: number): void {
  const { pool, nowMs } = draft;
  const held = addressOf(pool, attachment);
  if (held !== undefined) {
    draft.effects.push({ kind: "grant", attachment, ...held });
    return;
  }
  const [unplaced] = unplacedOf(pool, attachment);
  if (unplaced !== undefined) {
    const reason = `its address ${unplaced} belongs to an ENI that the cloud has not shown yet`;
    refuse(draft, attachment, { kind: "not-ready", reason });
    return;
  }
  const known = pool.waiting.find((waiter) => sameAttachment(waiter.attachment, attachment));
  if (known !== undefined) {
    const later = { ...known, deadlineMs: Math.max(known.deadlineMs, deadlineMs) };
    pool.waiting = pool.waiting.map((waiter) => (waiter === known ? later : waiter));
  } else if (pool.waiting.length >= WAITING_MAX) {
    refuse(draft, attachment, {
      kind: "no-address",
      reason: `${WAITING_MAX} pods wait for an address already`,
      ...becauseOf(pool.lastFault),
    });
  } else {
    pool.waiting = [...pool.waiting, { attachment, sinceMs: nowMs, deadlineMs }];
  }
}

/** The pod is gone, or never came to be: its address cools down. Releasing what is not held is no error. */
export function release(draft: Draft, attachment: Attachment): void {
  const { pool } = draft;
  if (pool.waiting.some((waiter) => sameAttachment(waiter.attachment, attachment))) {
    pool.waiting = pool.waiting.filter((waiter) => !sameAttachment(waiter.attachment, attachment));
    refuse(draft, attachment, { kind: "no-address", reason: "the pod was deleted while it waited" });
  }
  for (const [slot, { addresses }] of pool.enis) {
    // Of a pair one may be where the cloud does not show it any more: each goes by itself.
    const held = [...addresses].filter(
      ([, state]) => state.kind === "used" && sameAttachment(state.attachment, attachment),
    );
    const eni = held.length === 0 ? undefined : edit(draft, slot);
    if (eni !== undefined) for (const [address] of held) leave(draft, eni, address);
  }
  const unplaced = unplacedOf(pool, attachment);
  if (unplaced.length === 0) return;
  const freed = new Map<IpAddress, AddressState>();
  for (const address of unplaced) becomeFree(draft, freed, address);
  const others = [...pool.unplaced].filter(([other]) => !unplaced.includes(other));
  pool.unplaced = new Map([
    ...others,
    ...freed.entries().map(([address, state]) => [address, { state }] as const),
  ]);
}

/** The addresses that an attachment has on an ENI that is not known. */
function unplacedOf({ unplaced }: Pick<Pool, "unplaced">, attachment: Attachment): IpAddress[] {
  return [...unplaced].flatMap(([address, { state }]) =>
    state.kind === "used" && sameAttachment(state.attachment, attachment) ? [address] : [],
  );
}

/** The pod has left this address of the ENI. */
function leave(draft: Draft, eni: DraftEni, address: IpAddress): void {
  const state = eni.addresses.get(address);
  if (state?.kind !== "used") return;
  if (state.lost === true) forgetLost(draft, eni, address);
  else becomeFree(draft, eni.addresses, address);
}

/** The address is not in the cloud any more; an ENI that is not there either goes with its last one. */
function forgetLost(draft: Draft, eni: DraftEni, address: IpAddress): void {
  eni.addresses.delete(address);
  const freed = new Map<IpAddress, AddressState>();
  becomeFree(draft, freed, address);
  for (const [freedAddress, state] of freed)
    if (state.kind === "cooling") setAside(draft, freedAddress, state);
  if (eni.addresses.size === 0 && eni.facts !== undefined) {
    draft.effects.push({ kind: "unlink-eni", slot: eni.slot, eni: eni.facts.id });
    dropEni(draft, eni);
  } else {
    draft.effects.push({ kind: "persist-eni", slot: eni.slot });
  }
}

function becomeFree(draft: Draft, addresses: Map<IpAddress, AddressState>, address: IpAddress): void {
  const { cooldownMs } = draft.pool.settings;
  // Put back at the end: the addresses stand in the order in which they became free.
  addresses.delete(address);
  if (cooldownMs === 0) {
    addresses.set(address, { kind: "idle", sinceMs: draft.nowMs });
    return;
  }
  const untilMs = draft.nowMs + cooldownMs;
  addresses.set(address, { kind: "cooling", untilMs });
  draft.effects.push({ kind: "persist-cooldown", address, untilMs });
}

/** Cooldowns that are over end. */
export function thaw(draft: Draft): void {
  const { pool, nowMs } = draft;
  for (const [slot, eni] of pool.enis) {
    for (const [address, state] of eni.addresses) {
      if (state.kind !== "cooling" || state.untilMs > nowMs) continue;
      const changed = edit(draft, slot);
      changed?.addresses.delete(address);
      changed?.addresses.set(address, { kind: "idle", sinceMs: nowMs });
      draft.effects.push({ kind: "forget-cooldown", address });
    }
  }
  for (const [address, { state }] of pool.unplaced) {
    if (state.kind !== "cooling" || state.untilMs > nowMs) continue;
    pool.unplaced = new Map([...pool.unplaced].filter(([other]) => other !== address));
    draft.effects.push({ kind: "forget-cooldown", address });
  }
}

/** Idle addresses (or pairs) go to the pods that wait, the oldest first; pods whose deadline has passed are refused. */
export function serve(draft: Draft): void {
  const { pool, nowMs } = draft;
  if (pool.waiting.length === 0) return;
  let served = 0;
  for (const { attachment } of pool.waiting) {
    const slot = eniToServe(draft);
    const eni = slot === undefined ? undefined : edit(draft, slot);
    const granted = eni === undefined ? undefined : take(draft, eni, attachment);
    if (granted === undefined) break;
    draft.effects.push({ kind: "grant", attachment, ...granted });
    served += 1;
  }
  const left = pool.waiting.slice(served);
  const overdue = left.filter((waiter) => waiter.deadlineMs <= nowMs);
  const lastFault = pool.lastFault ?? pool.survey.fault?.fault;
  const cause = lastFault === undefined ? awaited(pool) : describeFault(lastFault);
  for (const { attachment, sinceMs } of overdue)
    refuse(draft, attachment, {
      kind: "deadline",
      what: "getting an address for the pod",
      waitedMs: nowMs - sinceMs,
      ...(cause !== undefined && { cause }),
    });
  pool.waiting = overdue.length === 0 ? left : left.filter((waiter) => waiter.deadlineMs > nowMs);
}

export function refuse(draft: Draft, attachment: Attachment, fault: Fault): void {
  draft.effects.push({ kind: "refuse", attachment, fault });
}

/** The cause in one line, for the faults that have room for one. */
export function becauseOf(fault: Fault | undefined): { readonly cause?: string } {
  return fault === undefined ? {} : { cause: describeFault(fault) };
}

/** Says once that a pod's address is not the cloud's any more, and remembers it. */
export function markLost(draft: Draft, eni: DraftEni, address: IpAddress): void {
  const state = eni.addresses.get(address);
  if (state?.kind !== "used" || state.lost === true) return;
  eni.addresses.set(address, { ...state, lost: true });
  const { containerId } = state.attachment;
  note(
    draft,
    "warn",
    `${address} of ${eni.facts?.id ?? "?"} is not the cloud's any more; container ${containerId} has no network: delete its pod`,
  );
}

function sameAttachment(a: Attachment, b: Attachment): boolean {
  return a.containerId === b.containerId && a.ifName === b.ifName && a.network === b.network;
}

/** "most_ips" packs, so that other ENIs become free as a whole; "least_ips" spreads. Ties go to the lowest slot. */
function eniToServe(draft: Draft): number | undefined {
  const { pool } = draft;
  const sign = pool.settings.eniPolicy === "most_ips" ? 1 : -1;
  let best: Eni | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const eni of pool.enis.values()) {
    if (eni.state.kind !== "ready" || idleOf(pool, eni) === 0) continue;
    const score = sign * countOf(eni, "used", "ipv4");
    if (best !== undefined && (score < bestScore || (score === bestScore && eni.slot > best.slot))) continue;
    best = eni;
    bestScore = score;
  }
  return best?.slot;
}

/** Makes an idle address, and one of IPv6 where pods get pairs, the pod's; `undefined` where there is none. */
function take({ pool }: Draft, eni: DraftEni, attachment: Attachment): Granted | undefined {
  const { slot } = eni;
  const address = addressToServe(eni);
  const isPair = wantsPairs(pool.settings.ipStack);
  const address6 = isPair ? firstIdle(eni, isIpv6) : undefined;
  if (address === undefined || (isPair && address6 === undefined)) return undefined;
  eni.addresses.set(address, { kind: "used", attachment });
  if (address6 === undefined) return { address, slot };
  eni.addresses.set(address6, { kind: "used", attachment });
  return { address, address6, slot };
}

/** The primary address first (it can be given back with its ENI only), then the one that is idle the longest. */
function addressToServe(eni: DraftEni): Ipv4 | undefined {
  const primary = eni.facts?.primary;
  if (primary !== undefined && eni.addresses.get(primary)?.kind === "idle") return primary;
  return firstIdle(eni, isIpv4);
}

function firstIdle<Address extends IpAddress>(
  eni: DraftEni,
  isOf: (address: IpAddress) => address is Address,
): Address | undefined {
  for (const [address, { kind }] of eni.addresses) if (kind === "idle" && isOf(address)) return address;
  return undefined;
}

function isIpv4(address: IpAddress): address is Ipv4 {
  return !isIpv6(address);
}
