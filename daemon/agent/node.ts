/**
 * The agent of one node, put together: opens the parts in order, each closed again in the reverse order, and runs until
 * it is told to stop.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type LoadedConfig } from "../config/load.ts";
import { type Cloud, type EniView, type NodeIdentity } from "../core/cloud.ts";
import { vSwitchesOf } from "../core/config/eni-conf.ts";
import { type Kernel } from "../core/kernel.ts";
import { type Limits, type Pool, type PoolSettings } from "../core/pool/model.ts";
import { restore } from "../core/pool/restore.ts";
import { decideBounds } from "../core/quota/decide-bounds.ts";
import { openKernel } from "../netlink/kernel.ts";
import { openNetns } from "../netlink/netns.ts";
import { type AgentApi, openRpcServer } from "../rpc/server.ts";
import { type LeaseRow } from "../store/schema.ts";
import { openStore, type Store } from "../store/store.ts";
import { type Arguments } from "./arguments.ts";
import { openNodeCloud, openNodeCredentials, openNodeMetadata } from "./edges.ts";
import { openEffects } from "./effects.ts";
import {
  askEnis,
  type Facts,
  factsToStore,
  learnCloudFacts,
  sentence,
  type StartFault,
  storedFacts,
} from "./facts.ts";
import { type Log } from "./log.ts";
import { startLoop } from "./loop.ts";
import { type Records, recordsOf } from "./persist.ts";
import { attachmentOf, openPods } from "./pods.ts";
import { drainSettings, poolSettings } from "./settings.ts";

export type NodeOptions = {
  readonly args: Arguments;
  readonly config: LoadedConfig;
  readonly log: Log;
  readonly stop: AbortSignal;
  /** Where the netlink thread's program is, for the bundle. */
  readonly workerUrl?: URL;
};

/** How long an ENI's device is awaited by one attempt. */
const LINK_TIMEOUT_MS = 120_000;
/** How long calls under way may go on after the signal to stop. */
const DRAIN_MS = 5000;
/** How long `--drain` tries. */
const DRAIN_TIMEOUT_MS = 300_000;

/** Wall-clock milliseconds that never go back while the agent runs, and go on after a restart. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Runs the agent until `stop`; resolves with why it could not start, if so. */
export async function runNode(options: NodeOptions): Promise<Result<void, StartFault>> {
  const { args, log, stop } = options;
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  let api: AgentApi | undefined;
  const starting: Fault = { kind: "not-ready", reason: "it is starting" };
  const rpc = await openRpcServer({
    socketPath: args.socketPath,
    drainMs: DRAIN_MS,
    onBug: (error) => log.error({ err: error }, "a call failed by a bug"),
    api: {
      add: async (call) => (api === undefined ? failed(starting) : api.add(call)),
      del: async (call) => (api === undefined ? failed(starting) : api.del(call)),
    },
  });
  if (!rpc.ok) return failed({ text: rpc.fault });
  await using server = rpc.value;
  const opened = openStore({ directory: args.stateDir, bootId, nowMs: nowMs() });
  if (!opened.ok) return failed({ text: sentence(opened.fault) });
  using store = opened.value;
  for (const notice of store.notices) log.warn(notice);
  const parts = await openParts(options, store);
  if (!parts.ok) return parts;
  await using running = parts.value;
  // Awaited here: the parts must not be closed before it has ended.
  if (args.drain) return await drained(running, log, stop);
  api = running.api;
  server.setServing(true);
  log.info({ socket: args.socketPath, tookMs: Math.round(performance.now()) }, "serving");
  await aborted(stop);
  server.setServing(false);
  log.info("stopping; pods keep running");
  return ok(undefined);
}

type Running = AsyncDisposable & {
  readonly api: AgentApi;
  readonly pool: () => Pool;
  readonly kernel: Kernel;
};

async function openParts(options: NodeOptions, store: Store): Promise<Result<Running, StartFault>> {
  const { log, args } = options;
  await using stack = new AsyncDisposableStack();
  const known = await learnFacts(options, store, stack);
  if (!known.ok) return known;
  const { cloud, node, facts, records, enis, settings, limits } = known.value;
  if (args.drain && records.leases.length > 0) return failed({ text: stillUsed(records) });
  const kernel = stack.use(
    await openKernel(options.workerUrl === undefined ? {} : { workerUrl: options.workerUrl }),
  );
  const prepared = await kernel.prepareHost();
  if (!prepared.ok) return failed({ text: sentence(prepared.fault) });
  const vSwitches = new Map(facts.vSwitches.map((view) => [view.id, view]));
  const mtu = options.config.cni.mtuBytes;
  const effects = stack.use(
    openEffects({
      cloud,
      kernel,
      node,
      pool: () => loop.pool(),
      mtu,
      linkTimeoutMs: LINK_TIMEOUT_MS,
      log,
      onBug: (error) => log.error({ err: error }, "an effect failed by a bug"),
      vSwitchOf: (id) => vSwitches.get(id),
      onVSwitches(views) {
        for (const view of views) vSwitches.set(view.id, view);
      },
    }),
  );
  const loop = stack.use(
    startLoop({
      initial: restore({
        settings: args.drain ? drainSettings(settings) : settings,
        limits,
        ...(records.limits !== undefined && { learnt: records.limits }),
        ...(records.limits !== undefined && { learnt: records.limits }),
        vSwitches: facts.configured.flatMap((id) => vSwitches.get(id) ?? []),
        records: args.drain ? { ...records, cooldowns: [] } : records,
        nowMs: nowMs(),
        seed: randomInt(2 ** 31),
      }),
      write: (changes) => store.write(changes),
      act: (effect, dispatch) => effects.act(effect, dispatch),
      nowMs,
      instanceType: node.instanceType,
      log,
    }),
  );
  const leases = store.load().leases;
  const pods = openPods({
    loop,
    kernel,
    checkNetns,
    write: (changes) => store.write(changes),
    nowMs,
    log,
    mtu,
    addTimeoutMs: options.config.eni.addTimeoutMs,
    leases,
  });
  loop.dispatch(
    enis === undefined ? { kind: "ticked" } : { kind: "described", scope: { by: "instance" }, views: enis },
  );
  await finishInterrupted(pods, leases, log);
  const moved = stack.move();
  return ok({ api: pods, pool: loop.pool, kernel, [Symbol.asyncDispose]: () => moved.disposeAsync() });
}

function checkNetns(path: string): Result<void> {
  const opened = openNetns(path, undefined);
  if (!opened.ok) return opened;
  opened.value[Symbol.dispose]();
  return ok(undefined);
}

type Known = {
  readonly cloud: Cloud;
  readonly node: NodeIdentity;
  readonly facts: Facts;
  readonly records: Records;
  /** What the cloud has attached to the instance, where it was asked already: at a first start. */
  readonly enis: readonly EniView[] | undefined;
  readonly settings: PoolSettings;
  readonly limits: Limits;
};

/** Who and where we are, and what we had. At a first start the cloud is asked, and a wrong configuration shows here. */
async function learnFacts(
  options: NodeOptions,
  store: Store,
  stack: AsyncDisposableStack,
): Promise<Result<Known, StartFault>> {
  const { config, log, args } = options;
  const stored = store.load();
  const former = storedFacts(stored);
  const metadata = stack.use(openNodeMetadata(() => Date.now()));
  const identity = former === undefined ? await metadata.identity() : ok(former.node);
  if (!identity.ok) return failed({ text: sentence(identity.fault) });
  const node = identity.value;
  const { instance, instanceType, zone, vpc } = node;
  log.info({ instance, instanceType, zone, vpc, again: former !== undefined }, "this node");
  const configured = vSwitchesOf(config.eni, node.zone);
  if (!configured.ok) return failed({ text: `${configured.fault.reason}\n  ${configured.fault.remedy}` });
  const credentials = openNodeCredentials(config, args.secretDir, metadata);
  const cloud = stack.use(openNodeCloud(config, config.eni.region ?? node.region, credentials, log));
  const records = recordsOf(stored, node.instanceType);
  for (const text of records.unreadable) log.warn({ record: text }, "a record of the store was left out");
  const first = records.enis.length === 0 && records.leases.length === 0;
  const [facts, enis] = await Promise.all([
    learnCloudFacts(cloud, node, former, configured.value, config.eni.securityGroups),
    first ? askEnis(cloud, node) : ok(undefined),
  ]);
  if (!facts.ok) return facts;
  if (!enis.ok) return enis;
  const written = store.write(factsToStore(facts.value));
  if (!written.ok) return failed({ text: sentence(written.fault) });
  const bounds = decideBounds({
    config: config.eni,
    instanceType: node.instanceType,
    ...(records.limits !== undefined && { learnt: records.limits }),
  });
  log.info({ ...bounds }, "limits of this node");
  const { enisMax, addressesPerEni } = bounds;
  const settings = poolSettings(config.eni, bounds, node, facts.value.securityGroups);
  return ok({
    cloud,
    node,
    facts: facts.value,
    records,
    enis: enis.value,
    settings,
    limits: { enisMax, addressesPerEni },
  });
}

/** ADDs that were cut off between lease and reply: the runtime never heard of them and will ask again. */
async function finishInterrupted(pods: AgentApi, leases: readonly LeaseRow[], log: Log): Promise<void> {
  for (const lease of leases.filter(({ state }) => state === "pending")) {
    const attachment = attachmentOf(lease);
    const undone = await pods.del({
      attachment,
      netns: lease.netns,
      args: {},
      deadlineMs: 10_000,
      traceparent: "",
    });
    log.info({ attachment, address: lease.address, undone: undone.ok }, "an interrupted ADD was undone");
  }
}

function stillUsed(records: Records): string {
  const some = records.leases
    .slice(0, 3)
    .map(({ address, attachment }) => `${address} (${attachment.containerId})`);
  const more = records.leases.length > 3 ? ", …" : "";
  return `${records.leases.length} pods of this node still have addresses: ${some.join(", ")}${more}\n  delete them first (kubectl drain), then drain`;
}

/** Waits until no ENI of ours is left, then removes what is ours from the node. */
async function drained(
  { pool, kernel }: Running,
  log: Log,
  stop: AbortSignal,
): Promise<Result<void, StartFault>> {
  const startedMs = performance.now();
  let left = -1;
  while (!stop.aborted) {
    const state = pool();
    const enis = [...state.enis.values()].filter((eni) => eni.borrowed !== true);
    if (state.cloudSeen && enis.length === 0) {
      const cleaned = await kernel.cleanHost();
      if (!cleaned.ok) return failed({ text: sentence(cleaned.fault) });
      log.info(
        { tookMs: Math.round(performance.now() - startedMs) },
        "drained: no ENI is left, the node is clean",
      );
      return ok(undefined);
    }
    if (enis.length !== left)
      log.info({ enis: enis.map((eni) => `${eni.facts?.id ?? "?"} ${eni.state.kind}`) }, "draining");
    left = enis.length;
    if (performance.now() - startedMs > DRAIN_TIMEOUT_MS) {
      const fault = state.lastFault === undefined ? "" : `\n  ${sentence(state.lastFault)}`;
      return failed({
        text: `${enis.length} ENIs could not be given back within ${DRAIN_TIMEOUT_MS / 1000} s${fault}`,
      });
    }
    await sleep(100);
  }
  return failed({ text: "stopped before everything was given back; run --drain again" });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
