/**
 * The hybrid network of a node, kept as it is desired: every change of the desired network is carried out at once, every
 * change that somebody else makes is seen and put right, and everything is looked at again every `RESYNC_MS` anyway.
 *
 * One pass at a time. What comes meanwhile waits for the next one; of several desired networks the newest counts.
 *
 * @module
 */
import { type Fault } from "../../../proto/fault.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { peerOfThing, type Refusal } from "../../core/hybrid/plan.ts";
import { keyOf } from "../../core/hybrid/things.ts";
import { openClient } from "../client.ts";
import { type RawMessage } from "../codec/header.ts";
import { RTM_LINK } from "../codec/link.ts";
import { type SocketThread } from "../socket.ts";
import { removeAll } from "./clean.ts";
import { type SeenDevices } from "./device.ts";
import { eventsOf } from "./event.ts";
import { unknownSenders } from "./nat.ts";
import { follow, isSmall, look, type Model, type Pass, type PassPorts, TABLE_MENDED } from "./pass.ts";
import { openSuspicion } from "./suspicion.ts";
import { openTracking } from "./tracking.ts";
import { forgetTranslated } from "./translated.ts";
import { NFNLGRP, openWatch, RTMGRP } from "../watch.ts";

/** Everything is looked at this often though nothing was heard. */
const RESYNC_MS = 30_000;
/** Between two looks that somebody else's changes cause. */
const LOOK_EVERY_MS = 250;
/** What failed is tried again after this time, and twice as long each time, up to `RESYNC_MS`. */
const RETRY_MS = 1_000;
/** 2^10 s is above `RESYNC_MS`. */
const FAILURES_IN_A_ROW_MAX = 10;
/** Failures that `state` names. */
const FAILURES_MAX = 100;

export type HybridOptions = {
  /** Shared with the pods' interfaces. */
  readonly thread: SocketThread;
  /** Path of the node's network namespace, where it is not the process's. The thread's has to be the same. */
  readonly nodeNetns?: string;
  /** The uplink has another MTU than at the look before: what is desired follows from it. */
  readonly onUplinkMtu?: () => void;
};

export type HybridState = {
  /** The newest desired network is in the kernel, as far as anything can be said against the whole. */
  readonly ready: boolean;
  /** Why not. Single peers have their own. */
  readonly fault?: Fault;
  /** Peers of the desired network by path. */
  readonly peers: { readonly direct: number; readonly vxlan: number };
  /** What records say that cannot be. */
  readonly refused: readonly Refusal[];
  /** What the kernel refused at the last pass; at most 100. */
  readonly failures: readonly { readonly peer?: string; readonly fault: Fault }[];
  readonly counters: HybridCounters;
};

/** Since the start, but `unknownSenderPackets`: since the table of nftables was made. */
export type HybridCounters = {
  /** Looks at everything. */
  readonly looks: number;
  /** Netlink messages that changed something. */
  readonly messages: number;
  /** What somebody else had changed and was put right, by kind: route, neighbour, fdb, address, node-element, table, device. */
  readonly repaired: Readonly<Record<string, number>>;
  /** What of former peers was taken away. */
  readonly removed: number;
  /** How often notifications were lost; each is followed by a look. */
  readonly overflows: number;
  /** VXLAN packets of nobody that we know, dropped. */
  readonly unknownSenderPackets: number;
};

export type HybridNetwork = AsyncDisposable & {
  /**
   * Makes the kernel as `desired` says; resolves when it is, or when a newer one was carried out. A fault is about the whole
   * (a device of somebody else's in the way, no uplink, the kernel cannot be asked) and is tried again; what is refused of
   * single peers is in `state`.
   */
  apply(desired: HybridDesired): Promise<Result<void>>;
  state(): Promise<HybridState>;
  /** Takes all of ours away, whoever made it, and stops keeping it. */
  clean(): Promise<Result<void>>;
};

const GROUPS =
  RTMGRP.LINK |
  RTMGRP.NEIGH |
  RTMGRP.IPV4_ADDRESS |
  RTMGRP.IPV4_ROUTE |
  RTMGRP.IPV6_ADDRESS |
  RTMGRP.IPV6_ROUTE;

type Counts = { looks: number; messages: number; removed: number; repaired: Record<string, number> };

/** Listens from now on; does nothing until the first `apply` or `clean`. Disposal leaves the network as it is. */
export async function openHybridNetwork(options: HybridOptions): Promise<Result<HybridNetwork>> {
  const keeper = new Keeper(options);
  const watch = await openWatch(options.thread, { family: "route", bits: GROUPS }, keeper, {
    family: "netfilter",
    bits: NFNLGRP.NFTABLES,
  });
  if (!watch.ok) return watch;
  return ok({
    apply: (desired) => keeper.apply(desired),
    state: () => keeper.state(watch.value.overflows()),
    clean: () => keeper.clean(),
    async [Symbol.asyncDispose]() {
      await keeper.end();
      await watch.value[Symbol.asyncDispose]();
    },
  });
}

/** Owns what is known of the kernel, the timer of the next look and the callers that wait. */
class Keeper {
  readonly #ports: PassPorts;
  readonly #onUplinkMtu: () => void;
  readonly #suspicion = openSuspicion();
  readonly #counts: Counts = { looks: 0, messages: 0, removed: 0, repaired: {} };
  #desired: HybridDesired | undefined;
  /** What the last pass that went through was for. */
  #applied: HybridDesired | undefined;
  #model: Model | undefined;
  /** What notifications are told by. */
  #devices: SeenDevices | undefined;
  #last: Result<Pass> | undefined;
  /** The devices of the last pass were not known when it began: what was said about them was not understood. */
  #isDeaf = false;
  #failuresInARow = 0;
  #lookedAtMs = -Infinity;
  #waiting: ((result: Result<void>) => void)[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor({ thread, nodeNetns, onUplinkMtu }: HybridOptions) {
    this.#onUplinkMtu = onUplinkMtu ?? ((): void => undefined);
    this.#ports = { client: openClient(thread), nodeNetns, tracking: openTracking(), loaded: new Map() };
  }

  apply(desired: HybridDesired): Promise<Result<void>> {
    if (this.#ended) return Promise.resolve(failed({ kind: "not-ready", reason: "the agent stops" }));
    this.#desired = desired;
    const done = new Promise<Result<void>>((resolve) => this.#waiting.push(resolve));
    void this.#wake();
    return done;
  }

  async state(overflows: number): Promise<HybridState> {
    const unknown = await unknownSenders(this.#ports.client);
    return stateOf(this.#desired, this.#last, {
      ...this.#counts,
      repaired: { ...this.#counts.repaired },
      overflows,
      unknownSenderPackets: unknown.ok ? Number(unknown.value) : 0,
    });
  }

  async clean(): Promise<Result<void>> {
    this.#desired = undefined;
    clearTimeout(this.#timer);
    await this.#running;
    this.#model = this.#last = this.#applied = this.#devices = undefined;
    const cleaning = removeAll(this.#ports);
    // Who applies meanwhile waits for the end of it.
    this.#running = cleaning.then(() => undefined);
    const cleaned = await cleaning;
    this.#running = undefined;
    if (this.#waiting.length > 0) void this.#wake();
    return cleaned;
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  seen(messages: readonly RawMessage[]): void {
    // What stands in the way of the whole is a device: one that is missing, or one too many.
    const isHope = this.#running === undefined && this.#last?.ok === false;
    if (isHope && messages.some(({ type }) => type === RTM_LINK.NEW || type === RTM_LINK.DEL)) this.lost();
    if (this.#devices === undefined) return;
    for (const message of messages)
      for (const event of eventsOf(message, this.#devices)) this.#suspicion.add(event);
    // During a pass most of what is heard is its own doing: it is judged at the end.
    if (this.#running === undefined) this.#judge();
  }

  #judge(): boolean {
    const isWrong = this.#model !== undefined && this.#suspicion.isWrong(this.#model);
    if (isWrong) this.lost();
    return isWrong;
  }

  /** What is known may be wrong: everything is looked at, soon. */
  lost(): void {
    this.#model = undefined;
    this.#wakeIn(Math.max(0, this.#lookedAtMs + LOOK_EVERY_MS - performance.now()));
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#ended || this.#desired === undefined) return;
    this.#timer = setTimeout(() => void this.#wake(), ms);
    this.#timer.unref();
  }

  #wake(): Promise<void> {
    clearTimeout(this.#timer);
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Passes until nobody waits. */
  async #run(): Promise<void> {
    do {
      const served = this.#waiting;
      this.#waiting = [];
      const desired = this.#desired;
      this.#last = desired === undefined ? undefined : await this.#pass(desired);
      const result = outcome(this.#last);
      for (const settle of served) settle(result);
    } while (this.#waiting.length > 0);
    this.#running = undefined;
    if (!this.#judge()) this.#wakeIn(this.#nextLookInMs());
  }

  #nextLookInMs(): number {
    if (this.#isDeaf) return LOOK_EVERY_MS;
    if (this.#failuresInARow === 0) return RESYNC_MS;
    return Math.min(RESYNC_MS, RETRY_MS * 2 ** (this.#failuresInARow - 1));
  }

  async #pass(wanted: HybridDesired): Promise<Result<Pass>> {
    const known = this.#model;
    const isRepair = this.#applied === wanted;
    const small = known !== undefined && !isRepair && isSmall(known.desired, wanted);
    // What was heard before a look is in the look; what was not looked at stays to be judged.
    if (!small) this.#suspicion.clear();
    const result = small ? await follow(this.#ports, known, wanted) : await look(this.#ports, wanted);
    if (!small) {
      this.#counts.looks++;
      this.#lookedAtMs = performance.now();
    }
    const failures = Math.min(this.#failuresInARow + 1, FAILURES_IN_A_ROW_MAX);
    this.#failuresInARow = isWhole(result) ? 0 : failures;
    this.#model = result.ok && result.value.fault === undefined ? result.value.model : undefined;
    if (!result.ok) return result;
    const { devices } = result.value.model;
    this.#isDeaf =
      devices.overlay?.ifIndex !== this.#devices?.overlay?.ifIndex || this.#devices === undefined;
    if (this.#devices !== undefined && this.#devices.uplinkLink.mtu !== devices.uplinkLink.mtu)
      this.#onUplinkMtu();
    this.#devices = devices;
    count(this.#counts, result.value, isRepair);
    if (this.#applied !== undefined) await forgetTranslated(this.#ports.client, this.#applied, wanted);
    this.#applied = wanted;
    return result;
  }
}

/** Nothing is to be tried again. */
function isWhole(result: Result<Pass>): boolean {
  return result.ok && result.value.fault === undefined && result.value.failures.length === 0;
}

function outcome(last: Result<Pass> | undefined): Result<void> {
  if (last === undefined) return ok(undefined);
  if (!last.ok) return last;
  return last.value.fault === undefined ? ok(undefined) : failed(last.value.fault);
}

/** `isRepair`: nothing else was desired than before, so somebody else had changed what was changed back. */
function count(counts: Counts, { changes, failures, mended, messages }: Pass, isRepair: boolean): void {
  counts.messages += messages;
  const refused = new Set(failures.map(({ change }) => change));
  for (const change of changes) {
    if (refused.has(change)) continue;
    if (change.kind === "remove") counts.removed++;
    else if (isRepair) raise(counts.repaired, change.thing.kind);
  }
  if (isRepair)
    for (const line of mended) raise(counts.repaired, line.startsWith(TABLE_MENDED) ? "table" : "device");
}

function raise(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function stateOf(
  desired: HybridDesired | undefined,
  last: Result<Pass> | undefined,
  counters: HybridCounters,
): HybridState {
  const result = outcome(last);
  const pass = last?.ok === true ? last.value : undefined;
  const vxlan = desired?.peers.filter(({ path }) => path === "vxlan").length ?? 0;
  const failures = (pass?.failures ?? []).slice(0, FAILURES_MAX).map(({ change, fault }) => {
    const peer = pass && peerOfThing(pass.model.plan, keyOf(change.thing));
    return { ...(peer !== undefined && { peer }), fault };
  });
  return {
    ready: last !== undefined && result.ok && pass?.model.desired === desired,
    ...(!result.ok && { fault: result.fault }),
    peers: { vxlan, direct: (desired?.peers.length ?? 0) - vxlan },
    refused: pass?.model.plan.refused ?? [],
    failures,
    counters,
  };
}
