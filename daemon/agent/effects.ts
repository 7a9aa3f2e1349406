/**
 * Carries out what the pool asks of the cloud and the kernel, and reports back as events. Every call has a deadline of
 * its own in the edge; nothing here retries: when and how often is the pool's decision.
 *
 * @module
 */
import { type Fault } from "../../proto/fault.ts";
import { type EniId, type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  type Cloud,
  type CloudFailure,
  type CloudResult,
  type EniStatus,
  type EniView,
  type NodeIdentity,
  type VSwitchView,
} from "../core/cloud.ts";
import { type Kernel } from "../core/kernel.ts";
import { type DescribeScope, type Pool, type PoolEffect } from "../core/pool/model.ts";
import { eniLink } from "./datapath.ts";
import { type Log } from "./log.ts";
import { type Happening } from "./turn.ts";
import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

export type EffectsOptions = {
  readonly cloud: Cloud;
  readonly kernel: Kernel;
  readonly node: NodeIdentity;
  readonly pool: () => Pool;
  /** Bytes; of an ENI's device. */
  readonly mtuOf: (ifIndex: number) => Promise<Result<number>>;
  /** How long the device of an ENI is awaited. The pool gives up earlier where the cloud says so. */
  readonly linkTimeoutMs: number;
  /** Absent: those of the machine. */
  readonly timers?: Timers;
  readonly log: Log;
  /** Called for what threw: a bug in an edge. */
  readonly onBug: (error: unknown) => void;
  /** Any vSwitch of the zone, configured or not: an ENI may be left in one that is no longer listed. */
  readonly vSwitchOf: (id: VSwitchId) => VSwitchView | undefined;
  /** Called with each list of vSwitches that the cloud gave. */
  readonly onVSwitches: (views: readonly VSwitchView[]) => void;
};

/** A device that is there is found at once; this is for one that is not. */
const DEVICE_LOOK_MS = 500;
/** What an ENI shows that is attached, or on its way to or from the node. */
const ON_THE_WAY: ReadonlySet<EniStatus> = new Set<EniStatus>(["InUse", "Attaching", "Detaching"]);

type Dispatch = (happening: Happening) => void;

export type Effects = Disposable & { readonly act: (effect: PoolEffect, dispatch: Dispatch) => void };

export function openEffects(options: EffectsOptions): Effects {
  const linking = new Map<number, AbortController>();
  /** The clean-up of a slot's datapath, which its detachment waits for. */
  const leaving = new Map<number, Promise<void>>();
  const unlink = (slot: number): void => {
    linking.get(slot)?.abort();
    linking.delete(slot);
  };
  return {
    act(effect, dispatch) {
      if (effect.kind === "unlink-eni") unlink(effect.slot);
      const abort = new AbortController();
      if (effect.kind === "link-eni") {
        unlink(effect.slot);
        linking.set(effect.slot, abort);
      }
      const before = effect.kind === "detach-eni" ? leaving.get(effect.slot) : undefined;
      const done = report(options, effect, abort.signal, dispatch, before).catch(options.onBug);
      if (effect.kind === "unlink-eni") leaving.set(effect.slot, done);
    },
    [Symbol.dispose]() {
      for (const slot of linking.keys()) unlink(slot);
    },
  };
}

async function report(
  options: EffectsOptions,
  effect: PoolEffect,
  signal: AbortSignal,
  dispatch: Dispatch,
  before: Promise<void> | undefined,
): Promise<void> {
  await before;
  const happening = await outcomeOf(options, effect, signal);
  if (happening !== undefined && !signal.aborted) dispatch(happening);
}

/** The event that tells how it went; `undefined` where the pool need not hear. */
async function outcomeOf(
  options: EffectsOptions,
  effect: PoolEffect,
  signal: AbortSignal,
): Promise<Happening | undefined> {
  if ("eni" in effect) return outcomeForEni(options, effect, signal);
  switch (effect.kind) {
    case "create-eni": {
      const { slot } = effect;
      const made = await options.cloud.createEni(effect.request, effect.priority);
      if (made.ok) return { kind: "eni-created", slot, view: made.value };
      return { kind: "eni-create-failed", slot, failure: made.fault };
    }
    case "describe":
      return describe(options, effect.scope);
    case "describe-vswitches":
      return describeVSwitches(options);
    default:
      return undefined;
  }
}

async function outcomeForEni(
  options: EffectsOptions,
  effect: Extract<PoolEffect, { readonly eni: EniId }>,
  signal: AbortSignal,
): Promise<Happening | undefined> {
  const { cloud, kernel, node } = options;
  const { slot, eni } = effect;
  const of = { slot, eni };
  switch (effect.kind) {
    case "attach-eni": {
      const done = await cloud.attachEni(eni, node.instance, effect.priority);
      return done.ok
        ? { kind: "attach-accepted", ...of }
        : { kind: "attach-failed", ...of, failure: done.fault };
    }
    case "link-eni": {
      const linked = await linkEni(options, slot, signal);
      if (linked.ok) return { kind: "eni-linked", ...of, ifIndex: linked.value };
      return { kind: "eni-link-failed", ...of, fault: linked.fault };
    }
    case "unlink-eni": {
      // Not while the kernel has pods on it: they would lose their way out, and the detachment will be refused as well.
      const free = await nobodyUses(options, addressesOf(options, slot));
      const done = free.ok ? await kernel.forgetEni(slot) : ok(undefined);
      if (!done.ok)
        options.log.warn({ ...of, fault: done.fault }, "the ENI's table or rule could not be removed");
      return undefined;
    }
    case "assign": {
      const { family, count, token } = effect;
      const given = await cloud.assignAddresses({ eni, family, count, token }, effect.priority);
      if (given.ok) return { kind: "assigned", ...of, addresses: given.value };
      return { kind: "assign-failed", ...of, failure: given.fault };
    }
    case "unassign": {
      const { addresses } = effect;
      const free = await nobodyUses(options, addresses);
      const done = free.ok ? await cloud.unassignAddresses(eni, addresses) : free;
      if (done.ok) return { kind: "unassigned", ...of, addresses };
      return { kind: "unassign-failed", ...of, addresses, failure: done.fault };
    }
    case "detach-eni": {
      const free = await nobodyUses(options, addressesOf(options, slot));
      const done = free.ok ? await cloud.detachEni(eni, node.instance) : free;
      return done.ok
        ? { kind: "detach-accepted", ...of }
        : { kind: "detach-failed", ...of, failure: done.fault };
    }
    case "delete-eni": {
      const done = await cloud.deleteEni(eni);
      return done.ok
        ? { kind: "delete-accepted", ...of }
        : { kind: "delete-failed", ...of, failure: done.fault };
    }
    default:
      return effect satisfies never;
  }
}

function addressesOf(options: EffectsOptions, slot: number): readonly string[] {
  return [...(options.pool().enis.get(slot)?.addresses.keys() ?? [])];
}

/** Awaits the device, then configures it; resolves with its index when the gateway answered. */
async function linkEni(options: EffectsOptions, slot: number, signal: AbortSignal): Promise<Result<number>> {
  const eni = options.pool().enis.get(slot);
  // Index and MTU are known when the device has come.
  const awaited = eni === undefined ? undefined : eniLink(eni, { ifIndex: 0, mtu: 0 }, options);
  if (eni?.facts === undefined || awaited === undefined) {
    return failed({
      kind: "internal",
      reason: `slot ${slot} is to be linked, but its ENI or vSwitch is not known`,
    });
  }
  const { id, mac } = eni.facts;
  const { timers = SYSTEM_TIMERS } = options;
  const startedMs = timers.elapsedMs();
  // Its outcome shows in configureEni, which asks for the same.
  void options.kernel.prepareEni(slot);
  const late = new AbortController();
  using _timer = timers.after(options.linkTimeoutMs, () => late.abort());
  const device = await options.kernel.awaitEni(mac, AbortSignal.any([signal, late.signal]));
  if (!device.ok) return device;
  const appearedMs = timers.elapsedMs();
  const { ifIndex, name } = device.value;
  const mtu = await options.mtuOf(ifIndex);
  if (!mtu.ok) return mtu;
  const configured = await options.kernel.configureEni({ ...awaited, ifIndex, mtu: mtu.value });
  if (!configured.ok) return configured;
  const took = {
    waitedMs: Math.round(appearedMs - startedMs),
    kernelMs: Math.round(timers.elapsedMs() - appearedMs),
  };
  options.log.info({ slot, eni: id, device: name, vSwitch: eni.vSwitch, ...took }, "ENI ready");
  return ok(ifIndex);
}

async function describe(options: EffectsOptions, scope: DescribeScope): Promise<Happening> {
  const query = scope.by === "ids" ? scope : ({ by: "instance", instance: options.node.instance } as const);
  const views = await options.cloud.describeEnis(query);
  if (views.ok)
    return {
      kind: "described",
      scope,
      views: views.value,
      present: await presentOf(options, scope, views.value),
    };
  return { kind: "describe-failed", scope, failure: views.fault };
}

/**
 * The second source: of the ENIs that should be attached, and that the views do not show so, those whose device is on the node.
 * What the kernel cannot tell counts as there, for nothing is to be given up then.
 */
async function presentOf(
  { pool, kernel, node, timers = SYSTEM_TIMERS }: EffectsOptions,
  scope: DescribeScope,
  views: readonly EniView[],
): Promise<readonly EniId[]> {
  const byId = new Map(views.map((view) => [view.id, view]));
  const doubtful = [...pool().enis.values()].flatMap(({ facts, state }) => {
    if (facts === undefined || (state.kind !== "linking" && state.kind !== "ready")) return [];
    const view = byId.get(facts.id);
    if (view === undefined) return scope.by === "ids" && scope.ids.includes(facts.id) ? [facts] : [];
    const isOurs = view.instance === undefined || view.instance === node.instance;
    return isOurs && ON_THE_WAY.has(view.status) ? [] : [facts];
  });
  const found = await Promise.all(
    doubtful.map(async ({ id, mac }) => {
      const late = new AbortController();
      using _timer = timers.after(DEVICE_LOOK_MS, () => late.abort());
      const device = await kernel.awaitEni(mac, late.signal);
      return !device.ok && device.fault.kind === "deadline" ? [] : [id];
    }),
  );
  return found.flat();
}

async function describeVSwitches(options: EffectsOptions): Promise<Happening> {
  const { vpc, zone } = options.node;
  const views = await options.cloud.describeVSwitches({ by: "zone", vpc, zone });
  if (!views.ok) return { kind: "vswitches-describe-failed", failure: views.fault };
  options.onVSwitches(views.value);
  return { kind: "vswitches-described", views: views.value };
}

/**
 * The second source: the pool says that nobody has these addresses; the kernel has to say the same before the cloud
 * takes them back.
 */
async function nobodyUses(options: EffectsOptions, addresses: readonly string[]): Promise<CloudResult<void>> {
  const traces = await options.kernel.podTraces();
  if (!traces.ok) return failed(stopped(traces.fault));
  const used = traces.value.filter(({ address }) => addresses.includes(address));
  if (used.length === 0) return ok(undefined);
  const names = used.map(({ address, hostName }) => `${address} by ${hostName}`).join(", ");
  const fault: Fault = { kind: "internal", reason: `not given back: the kernel has it in use: ${names}` };
  options.log.error({ fault }, "an address that the pool believes free is in use");
  return failed(stopped(fault));
}

function stopped(fault: Fault): CloudFailure {
  return { class: "configuration", effect: "none", fault };
}
