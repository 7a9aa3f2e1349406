/**
 * Opens the parts of the agent in order: store, cloud, kernel, pool, pods, spool. Each is closed again in the reverse order.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { attachmentKey } from "../../proto/attachment.ts";
import { type VSwitchId } from "../../proto/ids.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type VSwitchView } from "../core/cloud.ts";
import { type Kernel } from "../core/kernel.ts";
import { type Pool } from "../core/pool/model.ts";
import { restore } from "../core/pool/restore.ts";
import { openKernel } from "../netlink/kernel.ts";
import { openNetns } from "../netlink/netns.ts";
import { type AgentApi } from "../rpc/server.ts";
import { openSpool, type Spool, type SpoolNotice } from "../spool/spool.ts";
import { type LeaseRow } from "../store/schema.ts";
import { type Store } from "../store/store.ts";
import { openDatapath } from "./datapath.ts";
import { stillUsed } from "./drain.ts";
import { openEffects } from "./effects.ts";
import { sentence, type StartFault } from "./facts.ts";
import { openHostFiles } from "./host-files.ts";
import { watchIdle } from "./idle.ts";
import { type Known, learnFacts } from "./known.ts";
import { attachmentOf } from "./leases.ts";
import { type Log } from "./log.ts";
import { startLoop } from "./loop.ts";
import { type NodeOptions, nowMs } from "./node-options.ts";
import { openPods, type OpenPods } from "./pods.ts";
import { drainSettings } from "./settings.ts";
import { openStatus, type StatusWatch } from "./status.ts";

export type Running = AsyncDisposable & {
  readonly api: AgentApi;
  readonly pool: () => Pool;
  readonly kernel: Kernel;
};

/** How long an ENI's device is awaited by one attempt. */
const LINK_TIMEOUT_MS = 120_000;
/** How long an interrupted ADD is being undone. */
const UNDO_MS = 10_000;

/** What a former run left half done is finished, and DELs that nobody heard are carried out, before it resolves. */
export async function openParts(options: NodeOptions, store: Store): Promise<Result<Running, StartFault>> {
  const { log, args } = options;
  await using stack = new AsyncDisposableStack();
  const known = await learnFacts(options, store, stack);
  if (!known.ok) return known;
  const late: { pods?: OpenPods } = {};
  const spooled = openSpool({
    directory: args.spoolDir,
    carryOut: async ({ attachment }, pending) =>
      late.pods?.replayDel(attachment, pending) ?? failed({ kind: "not-ready", reason: "it is starting" }),
    report: (notice) => logNotice(log, notice),
    nowMs,
  });
  if (!spooled.ok) return failed({ text: spooled.fault });
  const spool = stack.use(spooled.value);
  const used = known.value.records.leases.filter(({ attachment }) => !spool.has(attachment));
  if (args.drain && used.length > 0) return failed({ text: stillUsed(used) });
  const kernel = stack.use(
    await openKernel(options.workerUrl === undefined ? {} : { workerUrl: options.workerUrl }),
  );
  const prepared = await kernel.prepareHost();
  if (!prepared.ok) return failed({ text: sentence(prepared.fault) });
  const leases = store.load().leases;
  const { loop, pods, status } = openState(
    { options, store, known: known.value, kernel, spool, leases },
    stack,
  );
  late.pods = pods;
  // No DEL is begun while the parts close that it needs.
  stack.defer(() => spool[Symbol.asyncDispose]());
  const { enis } = known.value;
  loop.dispatch(
    enis === undefined ? { kind: "ticked" } : { kind: "described", scope: { by: "instance" }, views: enis },
  );
  await finishInterrupted(pods, leases, log);
  await spool.replay();
  const giveBack = async (idle: boolean): Promise<void> => {
    // What the collector frees first.
    if (idle) await globalThis.gc?.({ type: "major", execution: "async" });
    await kernel.giveBackMemory();
  };
  const idle = stack.use(watchIdle({ nowMs: () => performance.now(), giveBack }));
  const moved = stack.move();
  return ok({
    api: {
      ...pods,
      add(call) {
        idle.called();
        return pods.add(call);
      },
      del(call) {
        idle.called();
        return pods.del(call);
      },
      status: () => status.status(),
    },
    pool: loop.pool,
    kernel,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  });
}

type StateInput = {
  readonly options: NodeOptions;
  readonly store: Store;
  readonly known: Known;
  readonly kernel: Kernel;
  readonly spool: Spool;
  readonly leases: readonly LeaseRow[];
};

/** The loop, and what works on its state. */
function openState(
  { options, store, known, kernel, spool, leases }: StateInput,
  stack: AsyncDisposableStack,
) {
  const { log, config, args } = options;
  const hostFiles =
    args.hostRoot === undefined || args.drain ? undefined : stack.use(openHostFiles(args.hostRoot, log));
  const vSwitches = new Map(known.facts.vSwitches.map((view) => [view.id, view]));
  const mtu = config.cni.mtuBytes;
  const vSwitchOf = (id: VSwitchId): VSwitchView | undefined => vSwitches.get(id);
  const late: { status?: StatusWatch } = {};
  const effects = stack.use(
    openEffects({
      cloud: known.cloud,
      kernel,
      node: known.node,
      pool: (): Pool => loop.pool(),
      mtu,
      linkTimeoutMs: LINK_TIMEOUT_MS,
      log,
      onBug: (error) => log.error({ err: error }, "an effect failed by a bug"),
      vSwitchOf,
      onVSwitches(views) {
        for (const view of views) vSwitches.set(view.id, view);
      },
    }),
  );
  const loop = stack.use(
    startLoop({
      initial: initialPool(
        known,
        args.drain,
        known.facts.configured.flatMap((id) => vSwitches.get(id) ?? []),
      ),
      write: (changes) => store.write(changes),
      act: (effect, dispatch) => effects.act(effect, dispatch),
      nowMs,
      instanceType: known.node.instanceType,
      onPool: (pool) => {
        late.status?.onPool(pool);
        hostFiles?.onEnis([...pool.enis.values()].flatMap(({ facts }) => facts?.mac ?? []));
      },
      log,
    }),
  );
  const pods = openPods({
    loop,
    kernel,
    checkNetns,
    write: (changes) => store.write(changes),
    pendingDels: spool,
    nowMs,
    log,
    mtu,
    addTimeoutMs: config.eni.addTimeoutMs,
    leases,
  });
  const datapath = openDatapath({ kernel, pods, pool: loop.pool, vSwitchOf, mtu, log });
  const status = stack.use(
    openStatus({
      ...datapath,
      pool: loop.pool,
      nowMs,
      log,
      onBug: (error) => log.error({ err: error }, "a look at the datapath failed by a bug"),
    }),
  );
  late.status = status;
  return { loop, pods, status };
}

function initialPool(known: Known, drain: boolean, vSwitches: readonly VSwitchView[]): Pool {
  const { settings, limits, records } = known;
  return restore({
    settings: drain ? drainSettings(settings) : settings,
    limits,
    ...(records.limits !== undefined && { learnt: records.limits }),
    vSwitches,
    records: drain ? { ...records, cooldowns: [] } : records,
    nowMs: nowMs(),
    seed: randomInt(2 ** 31),
  });
}

function checkNetns(path: string): Result<void> {
  const opened = openNetns(path, undefined);
  if (!opened.ok) return opened;
  opened.value[Symbol.dispose]();
  return ok(undefined);
}

/** ADDs that were cut off between lease and reply: the runtime never heard of them and will ask again. */
async function finishInterrupted(pods: OpenPods, leases: readonly LeaseRow[], log: Log): Promise<void> {
  const { signal } = new AbortController();
  for (const lease of leases.filter(({ state }) => state === "pending")) {
    const attachment = attachmentOf(lease);
    const call = { attachment, netns: lease.netns, args: {}, deadlineMs: UNDO_MS, traceparent: "", signal };
    const undone = await pods.del(call);
    log.info({ attachment, address: lease.address, undone: undone.ok }, "an interrupted ADD was undone");
  }
}

function logNotice(log: Log, notice: SpoolNotice): void {
  switch (notice.kind) {
    case "carried-out":
      return log.info({ attachment: attachmentKey(notice.attachment) }, "a kept DEL was carried out");
    case "failed": {
      const { fault, retryMs } = notice;
      return log.warn({ attachment: attachmentKey(notice.attachment), fault, retryMs }, "a kept DEL failed");
    }
    case "rejected":
      return log.warn(
        { file: notice.file, reason: notice.reason },
        "a file in the spool is no DEL; it was set aside",
      );
    case "unreadable":
      return log.warn({ reason: notice.reason }, "the spool could not be read or watched");
    default:
      return notice satisfies never;
  }
}
