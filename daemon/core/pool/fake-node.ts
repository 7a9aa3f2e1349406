/**
 * For tests: the agent's loop around `step` on a virtual clock, with a `FakeCloud`, a store and the devices of the ENIs. It
 * checks the promises that must hold at every moment.
 *
 * @module
 */
import { type IpAddress } from "../../../proto/addr6.ts";
import { type Attachment, attachmentKey } from "../../../proto/attachment.ts";
import { type Fault } from "../../../proto/fault.ts";
import { type EniId } from "../../../proto/ids.ts";
import { type IpStack, wantsPairs } from "../ip-stack.ts";
import { type Answer, callCloud, type CloudCall, type FakeCloud } from "./fake-cloud.ts";
import { advance, INSTANCE, vSwitchViews } from "./fake-vpc.ts";
import { type Limits, type Pool, type PoolEffect, type PoolSettings } from "./model.ts";
import { decodeEniRecord, eniRecord, encodeRecord, type LeaseRecord } from "./records.ts";
import { restore } from "./restore.ts";
import { step } from "./step.ts";

type Lease = LeaseRecord;

export type FakeNode = {
  pool: Pool;
  nowMs: number;
  readonly leases: Map<string, Lease>;
  readonly refusals: Map<string, { readonly fault: Fault; readonly atMs: number }>;
  /** Attachments that wait, with their deadline. */
  readonly waiting: Map<string, number>;
  /** Tokens whose reply was lost, by slot and kind of call: they have to be used again. */
  readonly owed: Map<string, string>;
  /** Every call that was sent, in order. */
  readonly calls: CloudCall[];
  readonly notes: string[];
  /** When each address was released. */
  readonly releasedMs: Map<IpAddress, number>;
  readonly offences: string[];
  readonly add: (name: string, waitMs?: number) => void;
  readonly del: (name: string) => void;
  /** Runs for so long. */
  readonly run: (forMs: number) => void;
  /**
   * Kills the agent and starts it again from its store. Calls that were sent have their effect, answers are lost. `loses`:
   * the records of attached ENIs are gone as well, and it took some seconds. `ipStack`: the configuration has changed.
   */
  readonly restart: (loses?: boolean, ipStack?: IpStack) => void;
  readonly send: (answer: Answer) => void;
  /** When the pool wants to be woken. */
  readonly wakeAtMs: () => number;
};

export const SETTINGS: PoolSettings = {
  instance: INSTANCE,
  ipStack: "ipv4",
  idleMin: 0,
  idleMax: 5,
  cooldownMs: 30_000,
  settleMs: 60_000,
  vSwitchRetryMs: 600_000,
  vSwitchPolicy: "ordered",
  eniPolicy: "most_ips",
  securityGroups: [],
  eniTags: {},
  ownTags: { "terway/node": "n1" },
};

export function attachmentOf(name: string): Attachment {
  return { network: "terway", containerId: name, ifName: "eth0" };
}

type Store = { readonly enis: Map<number, string>; readonly cooldowns: Map<IpAddress, number> };

type Machine = {
  readonly node: FakeNode;
  readonly cloud: FakeCloud;
  readonly store: Store;
  settings: PoolSettings;
  readonly brokenLinks: (eni: EniId) => boolean;
  readonly limits: Limits;
  learnt: Partial<Limits>;
  inbox: { readonly atMs: number; readonly answer: Answer }[];
  linking: Map<EniId, number>;
  wakeAtMs: number | undefined;
  starts: number;
};

/** `brokenLinks`: true for an ENI whose device never works. The time starts at 1,000 ms. */
export function fakeNode(options: {
  readonly cloud: FakeCloud;
  readonly settings?: Partial<PoolSettings>;
  readonly limits?: Limits;
  readonly brokenLinks?: (eni: EniId) => boolean;
}): FakeNode {
  const machine: Omit<Machine, "node"> = {
    cloud: options.cloud,
    store: { enis: new Map(), cooldowns: new Map() },
    settings: { ...SETTINGS, ...options.settings },
    brokenLinks: options.brokenLinks ?? (() => false),
    limits: options.limits ?? { enisMax: 3, addressesPerEni: 15 },
    learnt: {},
    inbox: [],
    linking: new Map(),
    wakeAtMs: undefined,
    starts: 0,
  };
  const node: FakeNode = {
    pool: restored(machine, [], 1_000),
    nowMs: 1_000,
    leases: new Map(),
    refusals: new Map(),
    waiting: new Map(),
    owed: new Map(),
    calls: [],
    notes: [],
    releasedMs: new Map(),
    offences: [],
    send: (answer) => send(whole, answer),
    wakeAtMs: () => whole.wakeAtMs ?? Number.POSITIVE_INFINITY,
    add: (name, waitMs = 60_000) => add(whole, name, waitMs),
    del: (name) => del(whole, name),
    run: (forMs) => run(whole, forMs),
    restart(loses = false, ipStack = whole.settings.ipStack) {
      whole.settings = { ...whole.settings, ipStack };
      whole.inbox = [];
      whole.linking = new Map();
      node.owed.clear();
      for (const [slot, text] of whole.store.enis)
        if (loses && text.includes('"kind":"ready"')) whole.store.enis.delete(slot);
      if (loses) {
        node.nowMs += 5_000;
        advance(whole.cloud.vpc, node.nowMs);
      }
      node.waiting.clear();
      node.pool = restored(whole, [...node.leases.values()], node.nowMs);
      send(whole, { kind: "ticked" });
    },
  };
  const whole: Machine = Object.assign(machine, { node });
  send(whole, { kind: "ticked" });
  return node;
}

function restored(machine: Omit<Machine, "node">, leases: readonly Lease[], nowMs: number): Pool {
  const { store, settings, learnt, cloud } = machine;
  const enis = [...store.enis.values()].map((text) => {
    const record = decodeEniRecord(text);
    if (!record.ok) throw new Error(JSON.stringify(record.fault));
    return record.value;
  });
  const cooldowns = [...store.cooldowns].map(([address, untilMs]) => ({ address, untilMs }));
  machine.starts += 1;
  return restore({
    settings,
    limits: { ...machine.limits, ...learnt },
    learnt,
    vSwitches: vSwitchViews(cloud.vpc),
    records: { enis, leases, cooldowns },
    nowMs,
    seed: machine.starts,
  });
}

function add(machine: Machine, name: string, waitMs: number): void {
  const { node } = machine;
  const deadlineMs = node.nowMs + waitMs;
  node.refusals.delete(name);
  node.waiting.set(name, Math.max(deadlineMs, node.waiting.get(name) ?? 0));
  send(machine, { kind: "add-requested", attachment: attachmentOf(name), deadlineMs });
}

function del(machine: Machine, name: string): void {
  const { node } = machine;
  const lease = node.leases.get(name);
  node.leases.delete(name);
  for (const address of lease === undefined ? [] : held(lease)) node.releasedMs.set(address, node.nowMs);
  send(machine, { kind: "released", attachment: attachmentOf(name) });
}

function run(machine: Machine, forMs: number): void {
  const { node, cloud } = machine;
  const endMs = node.nowMs + forMs;
  for (let steps = 0; ; steps += 1) {
    if (steps > 50_000) throw new Error("it does not come to rest");
    machine.inbox.sort((a, b) => a.atMs - b.atMs);
    const cloudMs = Math.min(...cloud.vpc.agenda.map(({ atMs }) => atMs));
    const nextMs = Math.min(machine.inbox[0]?.atMs ?? endMs, machine.wakeAtMs ?? endMs, cloudMs);
    if (nextMs >= endMs) break;
    node.nowMs = Math.max(node.nowMs, nextMs);
    for (const eni of advance(cloud.vpc, node.nowMs)) linked(machine, eni);
    const due = machine.inbox[0];
    if (due !== undefined && due.atMs <= node.nowMs) {
      machine.inbox.shift();
      send(machine, due.answer);
    } else if (machine.wakeAtMs !== undefined && machine.wakeAtMs <= node.nowMs) {
      send(machine, { kind: "ticked" });
    }
  }
  node.nowMs = endMs;
}

function send(machine: Machine, answer: Answer): void {
  const { node } = machine;
  const before = node.pool;
  oweToken(node, answer);
  const text = JSON.stringify([
    before.waiting,
    [...before.enis].map(([slot, eni]) => [slot, eni, ...eni.addresses]),
  ]);
  const next = step(before, { ...answer, nowMs: node.nowMs });
  if (
    JSON.stringify([before.waiting, [...before.enis].map(([slot, eni]) => [slot, eni, ...eni.addresses])]) !==
    text
  )
    node.offences.push(`${answer.kind} changed the pool that went in`);
  node.pool = next.pool;
  machine.wakeAtMs = next.wakeAtMs;
  if (next.wakeAtMs !== undefined && next.wakeAtMs <= node.nowMs)
    node.offences.push(`${answer.kind} wants to be woken in the past`);
  for (const effect of next.effects) carryOut(machine, effect);
  checkHolders(node);
}

/** The device has appeared, or was there already: it is configured in no time. */
function linked({ node, cloud, linking, inbox, brokenLinks }: Machine, eni: EniId): void {
  const slot = linking.get(eni);
  if (slot === undefined || cloud.vpc.enis.get(eni)?.linked !== true) return;
  linking.delete(eni);
  const fault: Fault = { kind: "kernel", op: "set up the ENI's link", errno: "EIO" };
  const answer: Answer = brokenLinks(eni)
    ? { kind: "eni-link-failed", slot, eni, fault }
    : { kind: "eni-linked", slot, eni, ifIndex: 10 + slot };
  inbox.push({ atMs: node.nowMs + 20, answer });
}

function carryOut(machine: Machine, effect: PoolEffect): void {
  const { node, store } = machine;
  switch (effect.kind) {
    case "persist-eni": {
      const eni = node.pool.enis.get(effect.slot);
      if (eni !== undefined) store.enis.set(effect.slot, encodeRecord(eniRecord(eni)));
      return;
    }
    case "forget-eni":
      store.enis.delete(effect.slot);
      return;
    case "persist-cooldown":
      store.cooldowns.set(effect.address, effect.untilMs);
      return;
    case "forget-cooldown":
      store.cooldowns.delete(effect.address);
      return;
    case "persist-limits":
      machine.learnt = node.pool.learnt;
      return;
    case "grant":
      grant(machine, effect);
      return;
    case "refuse":
      refuse(node, effect);
      return;
    case "link-eni":
      machine.linking.set(effect.eni, effect.slot);
      linked(machine, effect.eni);
      return;
    case "unlink-eni":
      unlink(machine, effect.eni);
      return;
    case "note":
      node.notes.push(`${effect.level}: ${effect.text}`);
      return;
    default:
      call(machine, effect);
  }
}

function call({ node, cloud, inbox }: Machine, effect: CloudCall): void {
  node.calls.push(effect);
  payToken(node, effect);
  if (!node.pool.cloudSeen && effect.kind !== "describe")
    node.offences.push(`${effect.kind} before the cloud was seen`);
  // Operation.Conflict: one change of an ENI's addresses at a time.
  const changed = effect.kind === "assign" || effect.kind === "unassign" ? effect.eni : undefined;
  for (const { answer } of inbox)
    if (/^(un)?assign/.test(answer.kind) && "eni" in answer && answer.eni === changed)
      node.offences.push(`${effect.kind} of ${changed} while ${answer.kind} is on its way`);
  inbox.push(callCloud(cloud, effect, node.nowMs));
}

/** A call after a lost reply has to carry the same token. */
function payToken(node: FakeNode, effect: CloudCall): void {
  if (effect.kind !== "create-eni" && effect.kind !== "assign") return;
  const token = effect.kind === "assign" ? effect.token : effect.request.token;
  const key = `${effect.slot} ${effect.kind}`;
  const owed = node.owed.get(key);
  if (owed !== undefined && owed !== token) node.offences.push(`${key}: ${owed} was lost, ${token} follows`);
  node.owed.delete(key);
}

/** Remembers the token of a call whose reply was lost; a call that was answered owes nothing. */
function oweToken(node: FakeNode, answer: Answer): void {
  const isGrowth = answer.kind === "eni-create-failed" || answer.kind === "assign-failed";
  if (!isGrowth || answer.failure.effect === "none") return;
  const { state, assigning } = node.pool.enis.get(answer.slot) ?? {};
  const kind = answer.kind === "assign-failed" ? "assign" : "create-eni";
  const token =
    kind === "assign" ? assigning?.token : state?.kind === "creating" ? state.request.token : undefined;
  if (token !== undefined) node.owed.set(`${answer.slot} ${kind}`, token);
}

/** The addresses that a pod has. */
export function held({ address, address6 }: Pick<Lease, "address" | "address6">): IpAddress[] {
  return address6 === undefined ? [address] : [address, address6];
}

function unlink({ node, cloud, linking }: Machine, eni: EniId): void {
  linking.delete(eni);
  const view = cloud.vpc.enis.get(eni)?.view;
  const addresses: readonly IpAddress[] = view === undefined ? [] : [...view.addresses, ...view.addresses6];
  for (const lease of node.leases.values())
    if (held(lease).some((address) => addresses.includes(address)))
      node.offences.push(`${eni} leaves under ${attachmentKey(lease.attachment)}`);
}

function grant({ node, cloud }: Machine, effect: Extract<PoolEffect, { kind: "grant" }>): void {
  const { attachment, address, address6, slot } = effect;
  const name = attachment.containerId;
  const former = node.leases.get(name);
  if (former !== undefined && (former.address !== address || former.address6 !== address6))
    node.offences.push(`${name} got a second address`);
  node.waiting.delete(name);
  const { ipStack } = node.pool.settings;
  if (former === undefined && wantsPairs(ipStack) !== (address6 !== undefined))
    node.offences.push(`${name} got ${address6 ?? "no IPv6 address"} with ${ipStack}`);
  const id = node.pool.enis.get(slot)?.facts?.id;
  const eni = id === undefined ? undefined : cloud.vpc.enis.get(id);
  const assigned: readonly IpAddress[] =
    eni === undefined ? [] : [...eni.view.addresses, ...eni.view.addresses6];
  for (const given of held(effect)) {
    if (!assigned.includes(given)) node.offences.push(`${given} is not an address of slot ${slot}`);
    if (former === undefined && eni?.linked !== true)
      node.offences.push(`${given} was given before its ENI was linked`);
    const usableMs = (node.releasedMs.get(given) ?? Number.NEGATIVE_INFINITY) + node.pool.settings.cooldownMs;
    if (former === undefined && node.nowMs < usableMs)
      node.offences.push(`${given} was given out before its cooldown was over`);
    for (const [other, lease] of node.leases)
      if (held(lease).includes(given) && other !== name)
        node.offences.push(`${given} is held by ${other} and ${name}`);
  }
  node.leases.set(name, { attachment, slot, address, ...(address6 === undefined ? {} : { address6 }) });
}

function refuse(node: FakeNode, effect: Extract<PoolEffect, { kind: "refuse" }>): void {
  const name = effect.attachment.containerId;
  node.waiting.delete(name);
  node.refusals.set(name, { fault: effect.fault, atMs: node.nowMs });
}

/** What every pod holds is "used" in the pool, and nobody waits beyond the deadline. */
function checkHolders(node: FakeNode): void {
  // What an ENI that leaves had may be others' already.
  const staying = [...node.pool.enis.values()].filter(({ state }) => !/^det|^del/.test(state.kind));
  const states = new Map(staying.flatMap(({ addresses }) => [...addresses]));
  for (const [name, lease] of node.leases) {
    for (const address of held(lease)) {
      const state = states.get(address) ?? node.pool.unplaced.get(address)?.state;
      if (state?.kind !== "used" || state.attachment.containerId !== name)
        node.offences.push(`${name} has ${address}, which is ${state?.kind ?? "not there"}`);
    }
  }
  for (const [name, deadlineMs] of node.waiting)
    if (node.nowMs > deadlineMs) node.offences.push(`${name} was not answered by its deadline`);
}
