/**
 * Looks at all sources at the start and each minute, and carries out what `daemon/core/reconcile/` decides. The kernel and the
 * metadata service cost no call of the OpenAPI: a node in peace makes none for it.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { type Kernel } from "../core/kernel.ts";
import { type EniMetadata } from "../core/metadata.ts";
import { type Difference, keyOf, reconcile, type Views, type Watch } from "../core/reconcile/reconcile.ts";
import { type Log } from "./log.ts";
import { type Loop } from "./loop.ts";
import { type Timers } from "./timers.ts";

/** After the start, which has enough to do. */
const FIRST_LOOK_MS = 1_000;
/** Shorter than `HOLD_MS` of the pool, so that what is held stays so. */
const LOOK_MS = 60_000;

export type ReconcileOptions = {
  readonly kernel: Pick<Kernel, "podTraces" | "eniSlots" | "forgetEni">;
  readonly metadata: EniMetadata;
  readonly primaryMac: Mac;
  readonly loop: Pick<Loop, "pool" | "dispatch">;
  readonly timers: Timers;
  readonly log: Log;
  /** Called for what threw: a bug. */
  readonly onBug: (error: unknown) => void;
};

/** One look follows the other. */
export function keepReconciled(options: ReconcileOptions): Disposable {
  let closed = false;
  let watch: Watch = new Map();
  const pass = async (): Promise<void> => {
    const next = await lookOnce(options, watch, () => closed);
    watch = next;
    if (!closed) timer = options.timers.after(LOOK_MS, begin);
  };
  const begin = (): void => void pass().catch(options.onBug);
  let timer = options.timers.after(FIRST_LOOK_MS, begin);
  return {
    [Symbol.dispose]() {
      closed = true;
      timer[Symbol.dispose]();
    },
  };
}

/** The kernel first: the metadata service may take its time, or not answer. */
async function lookOnce(options: ReconcileOptions, watch: Watch, isClosed: () => boolean): Promise<Watch> {
  const { kernel, metadata, loop, log } = options;
  let before = loop.pool();
  const slots = await kernel.eniSlots();
  const traces = await kernel.podTraces();
  if (isClosed()) return watch;
  if (!traces.ok) log.debug({ fault: traces.fault }, "the kernel was not asked for pods' addresses");
  const next = decide(options, watch, {
    before,
    traces: traces.ok ? traces.value : undefined,
    ...(slots.ok && traces.ok && { slots: slots.value }),
    shown: undefined,
  });
  before = loop.pool();
  const shown = await metadata.enis();
  if (isClosed()) return next;
  if (!shown.ok) log.debug({ fault: shown.fault }, "the metadata service does not show the ENIs");
  return decide(options, next, { before, traces: undefined, shown: shown.ok ? shown.value : undefined });
}

function decide(
  options: ReconcileOptions,
  watch: Watch,
  views: Pick<Views, "before" | "traces" | "slots" | "shown">,
): Watch {
  const { primaryMac, loop, timers, log } = options;
  const found = reconcile(watch, { ...views, after: loop.pool(), primaryMac, nowMs: timers.elapsedMs() });
  for (const difference of found.fresh) say(log, difference);
  for (const key of watch.keys())
    if (!found.watch.has(key)) log.info({ difference: key }, "the sources agree again");
  for (const slot of found.forget) void forget(options, slot);
  const { hold, ask, survey } = found;
  if (hold.length > 0 || ask.length > 0 || survey) loop.dispatch({ kind: "reconciled", hold, ask, survey });
  return found.watch;
}

/** An ENI that is made now has its slot long before anything of it is in the kernel. */
async function forget({ kernel, loop, log, onBug }: ReconcileOptions, slot: number): Promise<void> {
  if (loop.pool().enis.has(slot)) return;
  try {
    const done = await kernel.forgetEni(slot);
    if (done.ok) log.info({ slot }, "what an ENI had left in the kernel was taken away");
    else log.warn({ slot, fault: done.fault }, "what an ENI has left in the kernel could not be taken away");
  } catch (error) {
    onBug(error);
  }
}

/** Once for each. */
function say(log: Log, { subject, decision }: Difference): void {
  const about = { difference: keyOf(subject), ...subject, decision: decision.kind };
  switch (subject.kind) {
    case "used-without-lease":
      return log.error(about, "the kernel uses an address that no lease has: it is held back");
    case "address-lost":
      return log.error(about, "the cloud has taken a pod's address: delete the pod");
    case "slot-without-eni":
      return log.info(
        about,
        "the kernel has the rule of an ENI that is gone; it is taken away if that lasts",
      );
    case "address-not-shown":
    case "address-not-known":
    case "eni-not-shown":
    case "eni-not-known":
      return log.info(about, "the metadata service and the pool differ; the API is asked if that lasts");
    default:
      return subject satisfies never;
  }
}
