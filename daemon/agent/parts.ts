/**
 * Opens the parts of the agent on an ECS instance: what every agent has, with the cloud, and the pool of its ENIs.
 *
 * @module
 */
import { type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type VSwitchView } from "../core/cloud.ts";
import { type PodLink } from "../core/kernel.ts";
import { type Pool } from "../core/pool/model.ts";
import { restore } from "../core/pool/restore.ts";
import { ownerOf } from "../core/pool/survey.ts";
import { type KernelView, unlistedEnis } from "../core/rebuild/rebuild.ts";
import { type Store } from "../store/store.ts";
import { openDatapath } from "./datapath.ts";
import { openEffects } from "./effects.ts";
import { passing, type StartFault } from "./start-fault.ts";
import { type Host, SYSTEM_HOST } from "./host.ts";
import { openHostFiles } from "./host-files.ts";
import { keepOrphansAway, type OrphansOptions } from "./orphans.ts";
import { type Known, learnFacts } from "./known.ts";
import { openMtu } from "./mtu.ts";
import { type EniNodeOptions } from "./node-options.ts";
import { recordsOf } from "./persist.ts";
import { keepReconciled } from "./reconcile.ts";
import { readResultCache } from "../result-cache/read.ts";
import { type Recovery, recoverStore } from "./rebuild.ts";
import { type Base, openBase, openServing, type Running, type ServingBase, type Supply } from "./serving.ts";
import { drainSettings } from "./settings.ts";
import { chooseVirtualType, hostStackRefusal } from "./virtual-type.ts";

/** How long an ENI's device is awaited by one attempt. */
const LINK_TIMEOUT_MS = 120_000;

/** What a former run left half done is finished, and DELs that nobody heard are carried out, before it resolves. */
export async function openParts(options: EniNodeOptions, store: Store): Promise<Result<Running, StartFault>> {
  await using stack = new AsyncDisposableStack();
  const known = await learnFacts(options, store, stack);
  if (!known.ok) return known;
  const { facts } = known.value;
  const vSwitches = facts.vSwitches.filter(({ id }) => facts.configured.includes(id));
  const refused = options.args.drain ? undefined : hostStackRefusal(options.config, vSwitches);
  if (refused !== undefined) return failed(refused);
  const { args, log } = options;
  const recover = (view: KernelView): Result<void, StartFault> => {
    const cache = readResultCache(args.cniCacheDir);
    return recoverEnis({ store, known: known.value, view, cache, nowMs: SYSTEM_HOST.nowMs(), log });
  };
  const base = await openBase(options, store, recover, stack);
  if (!base.ok) return base;
  const datapath = await virtualType(options, base.value, known.value);
  if (!datapath.ok) return datapath;
  const records = recordsOf(store.load(), known.value.node.instanceType);
  const ofEnis = eniSupply(options, base.value, { ...known.value, records }, stack);
  const supply = { ...ofEnis, datapath: datapath.value };
  const serving = await openServing(base.value, supply, stack);
  await base.value.forwarding;
  const moved = stack.move();
  return ok({ ...serving, [Symbol.asyncDispose]: () => moved.disposeAsync() });
}

/** A drain makes no pods, so it minds nothing. */
async function virtualType(
  { args, config, log }: EniNodeOptions,
  { kernel, leases }: Base,
  { node: { primaryMac } }: Known,
): Promise<Result<PodLink["datapath"], StartFault>> {
  if (args.drain) return ok("veth");
  const chosen = await chooseVirtualType({ ipvlan: kernel.ipvlan, config, primaryMac, leases, log });
  // A node whose agent was refused is as it was.
  if (!chosen.ok && leases.length === 0) await kernel.cleanHost();
  return chosen;
}

/** Of a store that was lost. The cloud was asked, because the store knew of no ENI. */
export function recoverEnis({
  known: { settings, enis = [] },
  ...rest
}: Omit<Recovery, "enis" | "block" | "cooldownMs"> & { readonly known: Known }): Result<void, StartFault> {
  const unlisted = unlistedEnis(rest.view, enis);
  if (unlisted.length > 0) {
    const reason = `the cloud does not list the ENI with the MAC ${unlisted.join(", ")}, which this node has; its list is late`;
    return failed(passing({ kind: "not-ready", reason }));
  }
  const own = enis.flatMap((eni) => {
    const owner = ownerOf(settings, eni);
    return owner === "foreign" ? [] : [{ view: eni, borrowed: owner === "borrowed" }];
  });
  return recoverStore({ ...rest, enis: own, block: [], cooldownMs: settings.cooldownMs });
}

/** Addresses of ENIs, by the cloud's leave. */
export function eniSupply(
  options: Pick<EniNodeOptions, "log" | "config" | "args">,
  { kernel, host }: Pick<ServingBase, "kernel" | "host">,
  known: Known,
  stack: AsyncDisposableStack,
): Omit<Supply, "datapath"> {
  const { log, config, args } = options;
  const hostFiles =
    args.hostRoot === undefined || args.drain ? undefined : stack.use(openHostFiles(args.hostRoot, log));
  const vSwitches = new Map(known.facts.vSwitches.map((view) => [view.id, view]));
  const mtu = openMtu({
    wanted: config.cni.mtuBytes,
    kernel,
    elapsedMs: () => host.timers.elapsedMs(),
  });
  const vSwitchOf = (id: VSwitchId): VSwitchView | undefined => vSwitches.get(id);
  return {
    initial: initialPool(
      host,
      known,
      args.drain,
      known.facts.configured.flatMap((id) => vSwitches.get(id) ?? []),
    ),
    instanceType: known.node.instanceType,
    actOn(pool) {
      const effects = stack.use(
        openEffects({
          cloud: known.cloud,
          kernel,
          node: known.node,
          pool,
          mtuOf: mtu.ofDevice,
          linkTimeoutMs: LINK_TIMEOUT_MS,
          timers: host.timers,
          log,
          onBug: (error) => log.error({ err: error }, "an effect failed by a bug"),
          vSwitchOf,
          onVSwitches(views) {
            for (const view of views) vSwitches.set(view.id, view);
          },
        }),
      );
      return (effect, dispatch) => effects.act(effect, dispatch);
    },
    onPool: (pool) => hostFiles?.onEnis([...pool.enis.values()].flatMap(({ facts }) => facts?.mac ?? [])),
    mtuOf: mtu.ofSlot,
    addTimeoutMs: config.eni.addTimeoutMs,
    onEnis: true,
    datapathOf: ({ pods, pool }) => openDatapath({ kernel, pods, pool, vSwitchOf, mtuOf: mtu.ofDevice, log }),
    begin(loop) {
      const { enis, metadata, node } = known;
      const { dispatch, pool } = loop;
      const { timers } = host;
      const onBug = (error: unknown): void =>
        log.error({ err: error }, "a look at all sources failed by a bug");
      if (!args.drain) stack.use(keepOrphansAway(orphansOptions(options, host, known, pool)));
      dispatch(
        enis === undefined
          ? { kind: "ticked" }
          : { kind: "described", scope: { by: "instance" }, views: enis },
      );
      const { primaryMac } = node;
      if (!args.drain) stack.use(keepReconciled({ kernel, metadata, primaryMac, loop, timers, log, onBug }));
    },
  };
}

function orphansOptions(
  { log, config }: Pick<EniNodeOptions, "log" | "config">,
  host: Host,
  { cloud, node }: Known,
  pool: () => Pool,
): OrphansOptions {
  return {
    cloud,
    instance: node.instance,
    pool,
    quarantineMs: config.eni.orphanAfterMs,
    timers: host.timers,
    seed: host.drawSeed(),
    log,
    onBug: (error) => log.error({ err: error }, "the look for ENIs without an owner failed by a bug"),
  };
}

function initialPool(host: Host, known: Known, drain: boolean, vSwitches: readonly VSwitchView[]): Pool {
  const { settings, limits, records } = known;
  return restore({
    settings: drain ? drainSettings(settings) : settings,
    limits,
    ...(records.limits !== undefined && { learnt: records.limits }),
    vSwitches,
    records: drain ? { ...records, cooldowns: [] } : records,
    nowMs: host.nowMs(),
    seed: host.drawSeed(),
  });
}
