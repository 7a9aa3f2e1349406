/**
 * Plays a history: the agent's own code over the models, every timer and every answer by one seeded scheduler, the promises
 * looked at after each event. In the end the faults stop, and everything has to settle.
 *
 * @module
 */
import { createModel } from "../../sim/model/model.ts";
import { faultSchema } from "../../sim/model/faults.ts";
import { attachmentKey } from "../../proto/attachment.ts";
import { openCloudModel, START_MS } from "./cloud-caller.ts";
import { LATE_STUCK } from "./gaps.ts";
import { openKernelModel } from "./kernel-model.ts";
import { openNode, type Variant } from "./node.ts";
import { type Happening, type History, type Operation } from "./operations.ts";
import { type Late, type Offence, openPromises } from "./promises.ts";
import { openRuntime, resultsOf } from "./runtime.ts";
import { openScheduler } from "./scheduler.ts";
import { topologyOf, VSWITCHES } from "./setting.ts";
import { openSpoolModel } from "./spool-model.ts";
import { openStoreModel } from "./store-model.ts";
import { tamper } from "./tamper.ts";
import { unsettled } from "./unsettled.ts";
import { type World } from "./world.ts";

export type Outcome = {
  readonly offences: readonly Offence[];
  readonly events: number;
  readonly virtualMs: number;
  readonly refusals: ReadonlyMap<string, number>;
};

/** The longest lag that is drawn. */
const LAG_MAX_MS = 600_000;
const LOSS_DOWN_MS = 1_000;
/** How long everything may take to settle once the faults have stopped. */
const SETTLE_MS = 2 * 3_600_000 + 600_000;
const SETTLE_LOOK_MS = 60_000;

/** `variant`: see `Variant`. Ends at the first broken promise. `settles`: everything has to settle in the end. */
export async function play(
  history: History,
  variant: Variant = (ports) => ports,
  settles = true,
): Promise<Outcome> {
  const world = openWorld(history, variant);
  const { scheduler, promises, cloud } = world;
  for (const operation of history.operations) {
    await scheduler.run(operation.afterMs, promises.check);
    if (promises.offences.length > 0) break;
    promises.checkIntents(cloud.model, cloud.nowMs());
    begin(world, operation);
  }
  if (settles && promises.offences.length === 0) await settle(world);
  return {
    offences: promises.offences,
    events: scheduler.events(),
    virtualMs: scheduler.nowMs(),
    refusals: promises.refusals,
  };
}

function openWorld({ seed, setting }: History, variant: Variant): World {
  const scheduler = openScheduler(seed);
  const late: Late = { scheduler };
  const promises = openPromises(late);
  const kernel = openKernelModel(scheduler, promises.kernelWatch);
  late.kernel = kernel;
  const model = createModel({ topology: topologyOf(setting), seed, startMs: START_MS });
  const cloud = openCloudModel(model, scheduler, promises.onFabric);
  cloud.catchUp();
  const [store, spool] = [openStoreModel(), openSpoolModel(promises.onDelKept)];
  late.store = store;
  const { onCall, onStart, onReleased, add: onOffence } = promises;
  const node = openNode({
    scheduler,
    cloud,
    kernel,
    store,
    spool,
    setting,
    variant,
    onCall,
    onStart,
    onReleased,
    onOffence,
    results: () => resultsOf(late.sandboxes ?? new Set()),
  });
  late.node = node;
  const runtime = openRuntime({ scheduler, node, kernel, spool, watch: promises.callWatch });
  late.sandboxes = runtime.sandboxes;
  return {
    scheduler,
    promises,
    kernel,
    cloud,
    store,
    spool,
    node,
    runtime,
    setting,
    foreign: new Set(),
    views: { lateUntilMs: 0, mayStick: false },
  };
}

/** An operation, with the chance of its own. */
function begin(world: World, { salt, happening }: Operation): void {
  world.scheduler.reseed(salt);
  happen(world, happening);
  world.cloud.catchUp();
}

function happen(world: World, happening: Happening): void {
  const { runtime, node, kernel, store, scheduler } = world;
  switch (happening.kind) {
    case "add":
      return runtime.add(happening.pod, happening.deadlineMs, happening.retries);
    case "del":
      return runtime.del(happening.pod, happening.netns, happening.twice);
    case "cancel":
      return runtime.cancel(happening.pod);
    case "vanish":
      return runtime.vanish(happening.pod);
    case "check":
      return runtime.check(happening.pod);
    case "gc":
      return runtime.gc(happening.list);
    case "status":
      return runtime.status();
    case "del-unknown":
      return runtime.delUnknown();
    case "cloud":
    case "stuck":
    case "stale":
    case "metadata":
    case "exhaust":
    case "foreign-eni":
      return disturbCloud(world, happening);
    case "tamper":
      return tamper(world, happening.what, happening.which);
    case "deaf":
      kernel.deaf.count = happening.changes;
      return;
    case "lose-lease":
      for (const sandbox of runtime.sandboxes) {
        if (sandbox.pod !== happening.pod || !store.rows().leases.delete(attachmentKey(sandbox.attachment)))
          continue;
        sandbox.damaged = true;
        node.kill(1, LOSS_DOWN_MS);
      }
      return;
    case "lose-store":
      return loseStore(world, happening);
    case "disk":
      store.trouble.reason = "database or disk is full";
      scheduler.after(happening.forMs, () => {
        store.trouble.reason = undefined;
      });
      return;
    case "kernel-fails":
      kernel.failing.count = happening.calls;
      kernel.failing.ordered += 1;
      return;
    case "kill":
      return node.kill(happening.effects, happening.downMs, happening.change);
    case "stop":
      return node.stop(happening.downMs, happening.change);
    case "reboot":
      node.reboot(happening.downMs, happening.powerLoss);
      runtime.reboot();
      return;
    default:
      happening satisfies never;
  }
}

/** A rebuild believes the one view that it has: where views lag, or somebody took addresses away, the agent is killed alone. */
function loseStore(
  { node, runtime, scheduler, views, kernel, promises }: World,
  { downMs, results }: Extract<Happening, { readonly kind: "lose-store" }>,
): void {
  if (scheduler.nowMs() < views.lateUntilMs || promises.taken.size > 0) return node.kill(1, downMs);
  for (const sandbox of runtime.sandboxes) {
    sandbox.wasRebuilt = true;
    sandbox.mayBeUnknown ||= !results || sandbox.result === undefined;
    // Nobody knows the namespace of an unknown pod, so nobody mends it.
    sandbox.damaged ||= sandbox.mayBeUnknown && sandbox.tampered;
    const link = kernel.tables.links.get(sandbox.hostName);
    if (sandbox.damaged && link !== undefined) kernel.tables.torn.add(link.index);
  }
  node.loseStore(downMs, results);
}

type Disturbance = Extract<
  Happening,
  { readonly kind: "cloud" | "stuck" | "stale" | "metadata" | "exhaust" | "foreign-eni" }
>;

function disturbCloud({ cloud, foreign, store, scheduler, views }: World, happening: Disturbance): void {
  const { model } = cloud;
  if (LATE_STUCK.meets(happening, { late: scheduler.nowMs() < views.lateUntilMs, mayStick: views.mayStick }))
    return;
  switch (happening.kind) {
    case "cloud": {
      const { fault, action, times } = happening;
      const which = action === "*" ? {} : { action };
      model.addFault(faultSchema.parse({ ...fault, ...which, times }));
      return;
    }
    case "stuck":
      views.mayStick ||= happening.what === "stuckDetach";
      model.addFault(faultSchema.parse({ kind: happening.what }));
      return;
    case "stale":
      if (store.rows().lost !== undefined) return;
      views.lateUntilMs = happening.lagMs > 0 ? Number.POSITIVE_INFINITY : scheduler.nowMs() + LAG_MAX_MS;
      model.changeLatencies({ visibility: { minMs: 0, maxMs: happening.lagMs + 300 } });
      return;
    case "metadata":
      model.changeLatencies({ metadata: { minMs: 0, maxMs: happening.lagMs + 1_500 } });
      if (happening.errors > 0)
        model.addFault(faultSchema.parse({ kind: "metadataError", status: 500, times: happening.errors }));
      return;
    case "exhaust":
      model.drain(VSWITCHES[happening.vSwitch], happening.leave < 0 ? undefined : happening.leave);
      return;
    case "foreign-eni": {
      const instance = happening.attached ? { instance: model.topology.instances[0]?.id } : {};
      const made = model.happen(
        { kind: "foreignEni", vSwitch: VSWITCHES[1], serviceManaged: true, tags: [], ...instance },
        cloud.nowMs(),
      );
      if (made.ok && made.value.eni !== undefined) foreign.add(made.value.eni);
      return;
    }
    default:
      happening satisfies never;
  }
}

/** Faults stop; what somebody broke is deleted; then nothing may be left over, be missing or wait. */
async function settle(world: World): Promise<void> {
  const { scheduler, promises, kernel, cloud, store, node, runtime } = world;
  cloud.model.clearFaults();
  cloud.model.changeLatencies({ visibility: { minMs: 0, maxMs: 300 }, metadata: { minMs: 0, maxMs: 1_500 } });
  for (const id of VSWITCHES) cloud.model.drain(id, undefined);
  store.trouble.reason = undefined;
  kernel.failing.count = 0;
  kernel.deaf.count = 0;
  node.wake();
  let left: readonly string[] = [];
  for (let ms = 0; ms < SETTLE_MS && promises.offences.length === 0; ms += SETTLE_LOOK_MS) {
    await scheduler.run(SETTLE_LOOK_MS, promises.check);
    for (const { damaged, pod, phase } of runtime.sandboxes)
      if (damaged && phase === "running") runtime.del(pod, "there", false);
    // As the runtime does now and then.
    runtime.gc(true);
    await scheduler.run(1_000, promises.check);
    left = unsettled(world);
    if (left.length === 0) break;
  }
  for (const text of left) promises.add(`does not settle: ${text}`);
  for (const { pod } of runtime.sandboxes) runtime.check(pod);
  await scheduler.run(1_000, promises.check);
}
