/**
 * Looks for ENIs that were left behind (`daemon/core/orphans/`) and deletes them. Seldom, and at a time of its own on each node:
 * the calls of many nodes must not meet, and a node in peace makes one an hour.
 *
 * @module
 */
import { type InstanceId } from "../../proto/ids.ts";
import { type Cloud } from "../core/cloud.ts";
import { CREATOR_TAGS } from "../core/eni-tags.ts";
import {
  ownersToAsk,
  type OrphanWatch,
  type Suspect,
  suspectsOf,
  watchOrphans,
} from "../core/orphans/orphans.ts";
import { type Pool } from "../core/pool/model.ts";
import { nextRandom } from "../core/pool/prng.ts";
import { type Log } from "./log.ts";
import { type Timers } from "./timers.ts";

/** Between two looks that find nothing: so many quarantines, one hour where it is ten minutes. */
const PEACE_QUARANTINES = 6;

export type OrphansOptions = {
  readonly cloud: Pick<Cloud, "describeEnis" | "describeInstance" | "deleteEni">;
  readonly instance: InstanceId;
  readonly pool: () => Pool;
  readonly quarantineMs: number;
  readonly timers: Timers;
  /** What the times of the looks are drawn from. */
  readonly seed: number;
  readonly log: Log;
  /** Called for what threw: a bug. */
  readonly onBug: (error: unknown) => void;
};

/** The first look comes after a half to a whole quarantine. */
export function keepOrphansAway(options: OrphansOptions): Disposable {
  const { quarantineMs, timers } = options;
  let { seed } = options;
  const random = (): number => {
    const { value, state } = nextRandom(seed);
    seed = state;
    return value;
  };
  const stop = new AbortController();
  let watch: OrphanWatch = new Map();
  let timer: Disposable;
  const wait = (ms: number): void => {
    timer = timers.after(ms, () => void look().catch(options.onBug));
  };
  const look = async (): Promise<void> => {
    watch = (await lookOnce(options, watch, stop.signal)) ?? watch;
    if (stop.signal.aborted) return;
    const rounds = watch.size > 0 ? 1 : PEACE_QUARANTINES;
    wait(quarantineMs * rounds * (1 + random() / 2));
  };
  wait((quarantineMs * (1 + random())) / 2);
  return {
    [Symbol.dispose]() {
      stop.abort();
      timer[Symbol.dispose]();
    },
  };
}

/** `undefined`: the cloud did not tell, so nothing is known. */
async function lookOnce(
  { cloud, instance, pool, quarantineMs, timers, log }: OrphansOptions,
  watch: OrphanWatch,
  signal: AbortSignal,
): Promise<OrphanWatch | undefined> {
  const views = await cloud.describeEnis({ by: "tags", tags: CREATOR_TAGS });
  if (!views.ok) {
    log.debug({ fault: views.fault.fault }, "left-behind ENIs could not be looked for");
    return undefined;
  }
  const suspects = suspectsOf(views.value, pool());
  const gone = await goneInstances(cloud, instance, ownersToAsk(suspects, instance, watch));
  const decision = watchOrphans(watch, { suspects, gone, instance, nowMs: timers.elapsedMs(), quarantineMs });
  for (const orphan of decision.fresh)
    log.info({ ...orphan, quarantineMs }, "an ENI without an owner was found; it is deleted if that lasts");
  for (const orphan of decision.due) {
    if (signal.aborted) return undefined;
    await remove(orphan, cloud, log);
  }
  return decision.watch;
}

/** Those that the cloud does not know. Where it does not know this one either, its answers mean nothing. */
async function goneInstances(
  cloud: OrphansOptions["cloud"],
  instance: InstanceId,
  owners: readonly InstanceId[],
): Promise<ReadonlySet<InstanceId>> {
  const gone = new Set<InstanceId>();
  if (owners.length === 0) return gone;
  const own = await cloud.describeInstance(instance);
  if (!own.ok) return gone;
  for (const owner of owners) {
    const found = await cloud.describeInstance(owner);
    if (!found.ok && found.fault.class === "gone") gone.add(owner);
  }
  return gone;
}

async function remove(orphan: Suspect, cloud: OrphansOptions["cloud"], log: Log): Promise<void> {
  const done = await cloud.deleteEni(orphan.eni);
  if (done.ok) log.info({ ...orphan }, "an ENI without an owner was deleted");
  else log.warn({ ...orphan, fault: done.fault.fault }, "an ENI without an owner could not be deleted");
}
