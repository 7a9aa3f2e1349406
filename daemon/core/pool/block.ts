/**
 * A pool without a cloud: the addresses of the blocks that a hybrid node has.
 *
 * A block takes the place of an ENI, so that leases, cooldowns, waiting pods and the store are the same. It is "ready" while
 * it is the node's, and "detaching" from then on: its pods keep their addresses, nobody new gets one. What becomes idle in
 * such a former block goes over to the node's block where it lies in it, and is forgotten where it does not. No call to the
 * cloud can follow: there is no room for ENIs, no vSwitch, no survey, and no bound of idle addresses.
 *
 * @module
 */
import { type IpAddress, isIpv6 } from "../../../proto/addr6.ts";
import { addressOf, contains, firstOf, lastOf, sizeOf } from "../../../proto/cidr6.ts";
import { type Fault } from "../../../proto/fault.ts";
import { instanceId, type VSwitchId, vSwitchId } from "../../../proto/ids.ts";
import { type Draft, type DraftEni, editAll, freeSlot, note, putEni } from "./draft.ts";
import { type AddressState, type OwnBlock, type Pool, type PoolSettings } from "./model.ts";
import { restore } from "./restore.ts";
import { type CooldownRecord, type LeaseRecord } from "./records.ts";

/** When the cloud is surveyed. */
const NEVER_MS = Number.POSITIVE_INFINITY;

export type BlockPoolInput = {
  readonly leases: readonly LeaseRecord[];
  readonly cooldowns: readonly CooldownRecord[];
  readonly cooldownMs: number;
  readonly nowMs: number;
};

/** The pool at the start of the agent. The event "block-set" then says what the node's block is. */
export function blockPool({ leases, cooldowns, cooldownMs, nowMs }: BlockPoolInput): Pool {
  const pool = restore({
    settings: { ...SETTINGS, cooldownMs },
    limits: { enisMax: 0, addressesPerEni: 0 },
    vSwitches: [],
    records: { enis: [], leases, cooldowns },
    nowMs,
    seed: 0,
  });
  const own: OwnBlock = { kind: "none", reason: "the block of this node is not known yet" };
  return { ...pool, cloudSeen: true, survey: { atMs: NEVER_MS, tries: 0 }, block: own };
}

const SETTINGS: Omit<PoolSettings, "cooldownMs"> = {
  instance: instanceId("on-premises"),
  ipStack: "ipv4",
  idleMin: 0,
  idleMax: Number.MAX_SAFE_INTEGER,
  settleMs: 0,
  vSwitchRetryMs: 0,
  vSwitchPolicy: "ordered",
  eniPolicy: "most_ips",
  securityGroups: [],
  eniTags: {},
  ownTags: {},
};

/** The node has this block from now on. The same one again changes nothing. */
export function onBlockSet(draft: Draft, own: OwnBlock): void {
  const { pool } = draft;
  const before = pool.block;
  pool.block = own;
  adoptUnplaced(draft);
  const name = own.kind === "block" ? nameOf(own) : undefined;
  if (own.kind === "block")
    pool.settings = { ...pool.settings, ipStack: own.cidr6 === undefined ? "ipv4" : "dual" };
  for (const former of editAll(draft))
    if (former.state.kind === "ready" && former.vSwitch !== name) retire(draft, former);
  if (own.kind === "block" && !editAll(draft).some(({ state }) => state.kind === "ready")) begin(draft, own);
  if (own.kind === "none" && before?.kind === "block")
    note(draft, "warn", `no new pod gets an address of ${before.cidr}: ${own.reason}`);
}

/** Moves what nobody has any more out of former blocks. */
export function settleBlocks(draft: Draft): void {
  const own = draft.pool.block;
  const blocks = [...draft.pool.enis.values()];
  if (own === undefined) return;
  if (!blocks.some(({ state }) => state.kind === "detaching")) return;
  const all = editAll(draft);
  const current = all.find(({ state }) => state.kind === "ready");
  for (const former of all) {
    if (former.state.kind !== "detaching") continue;
    for (const [address, { kind }] of former.addresses) {
      if (kind !== "idle") continue;
      former.addresses.delete(address);
      if (own.kind === "block" && isForPods(own, address)) current?.addresses.set(address, { kind: "idle" });
    }
    if (former.addresses.size === 0) {
      draft.pool.enis.delete(former.slot);
      draft.touched.delete(former.slot);
    }
  }
}

/** Why no address can be had of a pool of blocks; `undefined` for one of ENIs. */
export function whyNoBlockAddress(pool: Pool): Fault | undefined {
  const own = pool.block;
  if (own === undefined) return undefined;
  if (own.kind === "none") return { kind: "no-block", reason: own.reason };
  // Also those that a former block of the node gave.
  const states = [...pool.enis.values()].flatMap(({ addresses }) => [...addresses]);
  const inBlock = states.filter(([address]) => contains(own.cidr, address)).map(([, { kind }]) => kind);
  const pods = inBlock.filter((kind) => kind === "used").length;
  const cooling = inBlock.filter((kind) => kind === "cooling").length;
  const more = cooling === 0 ? "" : `, ${cooling} more cool down`;
  return { kind: "block-full", block: own.cidr, reason: `${pods} pods have its addresses${more}` };
}

/**
 * The addresses that pods can have: of the IPv4 block all but the first, the node's own in the overlay, and the last; of the
 * IPv6 block as many, from the second on.
 */
export function podAddresses({ cidr, cidr6 }: Omit<Block, "kind">): readonly IpAddress[] {
  const ends = sizeOf(cidr) - 1n;
  const addresses: IpAddress[] = [];
  for (let index = 1n; index < ends; index += 1n) addresses.push(addressOf(cidr, index));
  if (cidr6 === undefined) return addresses;
  const ends6 = sizeOf(cidr6) < ends ? sizeOf(cidr6) : ends;
  for (let index = 1n; index < ends6; index += 1n) addresses.push(addressOf(cidr6, index));
  return addresses;
}

type Block = Extract<OwnBlock, { readonly kind: "block" }>;

function isForPods({ cidr, cidr6 }: Block, ip: IpAddress): boolean {
  if (isIpv6(ip)) return cidr6 !== undefined && contains(cidr6, ip) && ip !== firstOf(cidr6);
  return contains(cidr, ip) && ip !== firstOf(cidr) && ip !== lastOf(cidr);
}

function begin(draft: Draft, own: Block): void {
  const { pool } = draft;
  const former = editAll(draft).find(({ addresses }) => addresses.keys().every((ip) => isForPods(own, ip)));
  const slot = former?.slot ?? freeSlot(pool);
  const addresses = new Map<IpAddress, AddressState>(former?.addresses);
  const elsewhere = new Map(
    editAll(draft)
      .filter((eni) => eni !== former)
      .flatMap(({ addresses: others }) => [...others]),
  );
  for (const address of podAddresses(own)) {
    // A former block's: it comes over when it is idle.
    if (addresses.has(address) || elsewhere.has(address)) continue;
    addresses.set(address, pool.unplaced.get(address)?.state ?? { kind: "idle" });
  }
  pool.unplaced = new Map([...pool.unplaced].filter(([address]) => !addresses.has(address)));
  putEni(draft, blockEni(slot, nameOf(own), addresses));
  note(draft, "info", `pods get addresses of ${nameOf(own)}`);
}

/** Two blocks of one name are one. */
function nameOf({ cidr, cidr6 }: Block): VSwitchId {
  return vSwitchId(cidr6 === undefined ? cidr : `${cidr} and ${cidr6}`);
}

function blockEni(slot: number, name: VSwitchId, addresses: Map<IpAddress, AddressState>): DraftEni {
  return {
    slot,
    vSwitch: name,
    state: { kind: "ready", ifIndex: 0, confirmed: true },
    addresses,
    borrowed: true,
    misses: 0,
  };
}

function retire(draft: Draft, eni: DraftEni): void {
  eni.state = { kind: "detaching", sinceMs: draft.nowMs, unsure: false };
}

/** Pods of a former run make up former blocks, by the slots of their leases. */
function adoptUnplaced(draft: Draft): void {
  const { pool } = draft;
  for (const [address, { state, slot }] of pool.unplaced) {
    if (state.kind !== "used" || slot === undefined) continue;
    const known = editAll(draft).find((eni) => eni.slot === slot);
    const eni = known ?? putEni(draft, blockEni(slot, vSwitchId("a former block"), new Map()));
    eni.addresses.set(address, state);
    if (known === undefined) retire(draft, eni);
  }
  const placed = new Set(editAll(draft).flatMap(({ addresses }) => [...addresses.keys()]));
  pool.unplaced = new Map([...pool.unplaced].filter(([address]) => !placed.has(address)));
}
