/**
 * What every agent has, wherever its addresses come from: spool, kernel, pool, pods, STATUS. Each is closed again in the
 * reverse order.
 *
 * @module
 */
import { attachmentKey } from "../../proto/attachment.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Kernel, type PodLink } from "../core/kernel.ts";
import { type Pool } from "../core/pool/model.ts";
import { type KernelView } from "../core/rebuild/rebuild.ts";
import { openForwardAccept } from "../firewall/forward.ts";
import { type OpenKernel } from "../netlink/kernel.ts";
import { type AgentApi } from "../rpc/server.ts";
import { openSpool, type Spool, type SpoolNotice } from "../spool/spool.ts";
import { type LeaseRow } from "../store/schema.ts";
import { type Store } from "../store/store.ts";
import { type Datapath } from "./datapath.ts";
import { stillUsed } from "./drain.ts";
import { openDrift } from "./drift.ts";
import { keepForwarding } from "./forward.ts";
import { sentence, type StartFault } from "./start-fault.ts";
import { type Host, SYSTEM_HOST } from "./host.ts";
import { watchIdle } from "./idle.ts";
import { attachmentOf } from "./leases.ts";
import { type Log } from "./log.ts";
import { type Loop, type LoopOptions, startLoop } from "./loop.ts";
import { type NodeOptions } from "./node-options.ts";
import { recordsOf } from "./persist.ts";
import { openPods, type OpenPods } from "./pods.ts";
import { openStatus, type StatusWatch } from "./status.ts";
import { openSweep } from "./sweep.ts";

export type Running = AsyncDisposable & {
  readonly api: AgentApi;
  readonly pool: () => Pool;
  /** Takes all that is ours from the node: the end of a drain. */
  readonly clean: () => Promise<Result<void>>;
};

/** What is opened before anything is known of addresses. */
export type Base = {
  readonly options: NodeOptions;
  readonly host: Host;
  readonly store: Store;
  readonly kernel: OpenKernel;
  readonly spool: Spool;
  /** Of this boot. */
  readonly leases: readonly LeaseRow[];
  /** Whom the spool tells of DELs, once they are there. */
  readonly late: { pods?: OpenPods };
  /** Resolves when the node's own firewall lets packets of pods pass, or has refused to. */
  readonly forwarding: Promise<unknown> | undefined;
};

/** The part of it that the agent's own code works with: all edges are behind their ports. */
export type ServingBase = Omit<Base, "kernel" | "forwarding" | "options"> & {
  readonly options: Pick<NodeOptions, "log">;
  readonly kernel: Kernel & Pick<OpenKernel, "giveBackMemory" | "watchDrift">;
};

/** Where addresses come from, and what the datapath of the node consists of. */
export type Supply = Pick<LoopOptions, "initial" | "instanceType"> & {
  /** Opens what carries out the pool's effects; called once, `pool` is the loop's. */
  readonly actOn: (pool: () => Pool) => LoopOptions["act"];
  readonly onPool: (pool: Pool) => void;
  /** Bytes; of interfaces of pods on the ENI of the slot. */
  readonly mtuOf: (slot: number, pool: Pool) => Promise<Result<number>>;
  /** Of new pods. */
  readonly datapath: PodLink["datapath"];
  readonly addTimeoutMs: number;
  /** False: pods' addresses are of a block of the node. */
  readonly onEnis: boolean;
  readonly datapathOf: (parts: { readonly pods: OpenPods; readonly pool: () => Pool }) => Datapath;
  /** The first event. */
  readonly begin: (loop: Loop) => void;
};

/** How long an interrupted ADD is being undone. */
const UNDO_MS = 10_000;

/**
 * `recover`: called where the store has lost what the node has, before anything is changed there. A node with pods is not
 * drained.
 */
export async function openBase(
  options: NodeOptions,
  store: Store,
  recover: (view: KernelView) => Result<void, StartFault>,
  stack: AsyncDisposableStack,
): Promise<Result<Base, StartFault>> {
  const { log, args } = options;
  const late: Base["late"] = {};
  const spooled = openSpool({
    directory: args.spoolDir,
    carryOut: async ({ attachment }, pending) =>
      late.pods?.replayDel(attachment, pending) ?? failed({ kind: "not-ready", reason: "it is starting" }),
    report: (notice) => logNotice(log, notice),
    nowMs: SYSTEM_HOST.nowMs,
  });
  if (!spooled.ok) return failed({ text: spooled.fault });
  const spool = stack.use(spooled.value);
  const kernel = await options.kernel;
  if (store.lost !== undefined) {
    const view = await kernel.survey();
    if (!view.ok) return failed({ text: sentence(view.fault) });
    const recovered = recover(view.value);
    if (!recovered.ok) return recovered;
  }
  const used = recordsOf(store.load(), "").leases.filter(({ attachment }) => !spool.has(attachment));
  if (args.drain && used.length > 0) return failed({ text: stillUsed(used) });
  const prepared = await kernel.prepareHost();
  if (!prepared.ok) return failed({ text: sentence(prepared.fault) });
  // Beside all that follows: it is programs of the firewall, and its rules outlive the agent.
  const forwarding = args.drain ? undefined : keepForwarding(openForwardAccept(), log);
  stack.defer(async () => {
    await (await forwarding)?.[Symbol.asyncDispose]();
  });
  const { leases } = store.load();
  return ok({ options, host: SYSTEM_HOST, store, kernel, spool, leases, late, forwarding });
}

/** What a former run left half done is finished, and DELs that nobody heard are carried out, before it resolves. */
export async function openServing(
  base: ServingBase,
  supply: Supply,
  stack: AsyncDisposableStack,
): Promise<Omit<Running, typeof Symbol.asyncDispose>> {
  const { kernel, spool, leases, options, host } = base;
  const { loop, pods, status } = openState(base, supply, stack);
  const onBug = (error: unknown): void => options.log.error({ err: error }, "a repair failed by a bug");
  const drift = stack.use(openDrift({ pods, status, timers: host.timers, onBug }));
  const watched = await kernel.watchDrift((suspect) => drift.suspect(suspect));
  if (watched.ok) stack.use(watched.value);
  else options.log.warn({ fault: watched.fault }, "changes by others are found by looking alone");
  base.late.pods = pods;
  // No DEL is begun while the parts close that it needs.
  stack.defer(() => spool[Symbol.asyncDispose]());
  supply.begin(loop);
  await finishInterrupted(pods, leases, options.log);
  await spool.replay();
  stack.use(openSweep({ sweep: pods.sweep, timers: host.timers, log: options.log }));
  const idle = stack.use(watchIdle({ timers: host.timers, giveBack: kernel.giveBackMemory }));
  return {
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
    async clean() {
      // A repair would make again what is taken away.
      drift[Symbol.dispose]();
      await status.end();
      return kernel.cleanHost();
    },
  };
}

/** The loop, and what works on its state. */
function openState(
  { options, host, store, kernel, spool, leases }: ServingBase,
  supply: Supply,
  stack: AsyncDisposableStack,
) {
  const { log } = options;
  const { nowMs, timers, checkNetns } = host;
  const late: { status?: StatusWatch } = {};
  const loop: Loop = stack.use(
    startLoop({
      initial: supply.initial,
      write: (changes) => store.write(changes),
      act: supply.actOn(() => loop.pool()),
      nowMs,
      timers,
      instanceType: supply.instanceType,
      onPool(pool) {
        late.status?.onPool(pool);
        supply.onPool(pool);
      },
      log,
    }),
  );
  const pods = openPods({
    loop,
    kernel,
    checkNetns,
    pendingDels: spool,
    nowMs,
    timers,
    log,
    mtuOf: (slot) => supply.mtuOf(slot, loop.pool()),
    datapath: supply.datapath,
    onEnis: supply.onEnis,
    addTimeoutMs: supply.addTimeoutMs,
    leases,
  });
  const status = stack.use(
    openStatus({
      ...supply.datapathOf({ pods, pool: loop.pool }),
      pool: loop.pool,
      nowMs,
      timers,
      log,
      onBug: (error) => log.error({ err: error }, "a look at the datapath failed by a bug"),
    }),
  );
  late.status = status;
  return { loop, pods, status };
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
