/**
 * The node: what outlives the agent (kernel, disk, spool, clock), and the agent's lives one after the other.
 *
 * @module
 */
import { type Running } from "../../daemon/agent/serving.ts";
import { type Pool } from "../../daemon/core/pool/model.ts";
import { type LeaseRow } from "../../daemon/store/schema.ts";
import { type Store } from "../../daemon/store/store.ts";
import { type CacheEntry } from "../../daemon/core/rebuild/cache-entry.ts";
import { attachmentKey } from "../../proto/attachment.ts";
import { ok } from "../../proto/result.ts";
import { type Ports, startAgent } from "./agent.ts";
import { type CloudModel, type SentCall, START_MS } from "./cloud-caller.ts";
import { type KernelModel } from "./kernel-model.ts";
import { beginLife, type Life } from "./life.ts";
import { type Change } from "./operations.ts";
import { type Scheduler } from "./scheduler.ts";
import { type Config, configOf, identityOf, INSTANCE, type Setting } from "./setting.ts";
import { type SpoolModel } from "./spool-model.ts";
import { type StoreModel } from "./store-model.ts";

/** Changes what a life works with: how a test puts a bug in. */
export type Variant = (ports: Ports) => Ports;

export type NodeParts = {
  readonly scheduler: Scheduler;
  readonly cloud: CloudModel;
  readonly kernel: KernelModel;
  readonly store: StoreModel;
  readonly spool: SpoolModel;
  readonly setting: Setting;
  readonly variant: Variant;
  readonly onCall: (call: SentCall) => void;
  /** A life of the agent begins, with this cooldown. */
  readonly onStart: (cooldownMs: number) => void;
  readonly onReleased: (lease: LeaseRow) => void;
  readonly results: () => readonly CacheEntry[];
  readonly onOffence: (text: string) => void;
};

/** An agent that answers. `lost` resolves when it has died. */
export type Serving = { readonly life: Life; readonly api: Running["api"]; readonly lost: Promise<void> };

export type Node = {
  readonly serving: () => Serving | undefined;
  readonly pool: () => Pool | undefined;
  readonly config: () => Config;
  /** Dies before the `effects`th effect from now; the next one starts `downMs` later. */
  readonly kill: (effects: number, downMs: number, change?: Change) => void;
  readonly stop: (downMs: number, change?: Change) => void;
  /** What the agent made in the kernel is gone, and another boot begins. */
  readonly reboot: (downMs: number, powerLoss: boolean) => void;
  /** The agent's process ends, and its database is gone. */
  readonly loseStore: (downMs: number, hasResults: boolean) => void;
  /** Starts it where it is down. */
  readonly wake: () => void;
};

/** A start that failed is repeated by the kubelet. */
const RESTART_MS = 5000;

type Current = { readonly life: Life; readonly lost: Promise<void>; running?: Running; stopping: boolean };

export function openNode(parts: NodeParts): Node {
  const { scheduler, kernel, store, setting } = parts;
  const mac = parts.cloud.model
    .state(parts.cloud.nowMs())
    .enis.find(({ owner, type }) => owner === INSTANCE && type === "Primary")?.mac;
  const identity = identityOf(mac ?? "");
  let current: Current | undefined;
  let timer: Disposable | undefined;
  let [lives, boots, bootedMs, clockMs] = [0, 0, 0, START_MS];
  let { config } = setting;
  /** Since the last start. */
  let isClockSet = false;
  let hasResults = true;
  let next: { readonly downMs: number; readonly change: Change | undefined } | undefined;

  const boot = () => ({
    bootId: `boot-${boots}`,
    nowMs: clockMs + scheduler.nowMs(),
    uptimeMs: scheduler.nowMs() - bootedMs,
  });
  const startIn = (ms: number): void => {
    timer?.[Symbol.dispose]();
    timer = scheduler.after(ms, start);
  };
  const onEnd = (): void => {
    current = undefined;
    const { downMs, change } = next ?? { downMs: RESTART_MS, change: undefined };
    next = undefined;
    clockMs += change?.clockMs ?? 0;
    isClockSet ||= (change?.clockMs ?? 0) !== 0;
    config = change?.config ?? config;
    startIn(downMs);
  };
  function start(): void {
    timer = undefined;
    if (current !== undefined) return;
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    const life = beginLife((lives += 1), scheduler, () => {
      onEnd();
      resolve();
    });
    const mine: Current = { life, lost, stopping: false };
    current = mine;
    parts.onStart(config.cooldownS * 1000);
    isClockSet = false;
    const base = clockMs;
    const port = kernel.portFor(life);
    const ports: Ports = parts.variant({
      life,
      host: {
        nowMs: () => base + scheduler.nowMs(),
        timers: life.timers,
        drawSeed: () => scheduler.random.between(0, 2 ** 31 - 1),
        checkNetns: kernel.checkNetns,
      },
      store: storeFor(life, store.open(boot()), parts),
      kernel: port,
      releaseKernel: port,
      metadata: parts.cloud.metadataFor(life),
      results: () => (hasResults ? parts.results() : []),
      caller: parts.cloud.callerFor(life, configOf(setting, config).eni.cloudTimeoutMs, parts.onCall),
      spoolFor: (carryOut) => parts.spool.portFor(life, carryOut),
    });
    void open(mine, ports);
  }
  async function open(mine: Current, ports: Ports): Promise<void> {
    const { life } = mine;
    try {
      const started = await startAgent(ports, { config: configOf(setting, config), node: identity });
      if (!life.isAlive()) return;
      if (started.ok) mine.running = started.value;
      else life.end();
    } catch (error) {
      if (life.isAlive()) parts.onOffence(`the agent's start threw: ${stackOf(error)}`);
      life.end();
    }
  }
  start();
  return {
    serving: () =>
      current?.running === undefined || current.stopping || !current.life.isAlive()
        ? undefined
        : { life: current.life, api: current.running.api, lost: current.lost },
    pool: () => current?.running?.pool(),
    config: () => config,
    kill(effects, downMs, change) {
      next = { downMs, change };
      if (current === undefined) return;
      current.life.endAfter(effects);
      // At rest it has no effects for a long time.
      const { life } = current;
      scheduler.after(20_000, () => life.end());
    },
    stop(downMs, change) {
      const mine = current;
      if (mine?.running === undefined || mine.stopping) return;
      next = { downMs, change };
      mine.stopping = true;
      void close(mine, mine.running);
    },
    reboot(downMs, powerLoss) {
      next = { downMs, change: undefined };
      if (current === undefined) startIn(downMs);
      else current.life.end();
      if (powerLoss) store.losePower(scheduler.random.between(0, store.unsynced()));
      // Nobody can tell how far a clock was set that was set before a boot, so no cooldown is held against it.
      if (isClockSet) parts.onStart(0);
      boots += 1;
      bootedMs = scheduler.nowMs();
      kernel.reboot();
    },
    loseStore(downMs, resultsKept) {
      next = { downMs, change: undefined };
      if (current === undefined) startIn(downMs);
      else current.life.end();
      store.lose();
      hasResults = resultsKept;
    },
    wake() {
      if (current === undefined) startIn(0);
    },
  };
}

async function close({ life }: Current, running: Running): Promise<void> {
  await running[Symbol.asyncDispose]();
  life.end();
}

function storeFor(
  life: Life,
  opened: Pick<Store, "write" | "load" | "lost">,
  { store, onOffence, onReleased }: NodeParts,
): Pick<Store, "write" | "load" | "lost"> {
  return {
    ...opened,
    write(changes) {
      // What a dead process thinks of its write concerns nobody.
      if (!life.spend()) return ok(undefined);
      const { leases } = store.rows();
      const gone = changes.flatMap((change) =>
        change.kind === "delete-lease" ? (leases.get(attachmentKey(change)) ?? []) : [],
      );
      const written = opened.write(changes);
      if (written.ok) for (const lease of gone) onReleased(lease);
      if (!written.ok && written.fault.kind === "store" && written.fault.reason.startsWith("UNIQUE"))
        onOffence(`promise 1: two leases for one address (${written.fault.reason})`);
      life.spend();
      return written;
    },
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
