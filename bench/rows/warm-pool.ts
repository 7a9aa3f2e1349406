/**
 * ADD and DEL with an idle address in the pool, one after the other; ours and the peers in turn, each on an empty node and
 * on one with 250 pods of its own.
 *
 * @module
 */
import { type Container, type Contender, openFloor, openPeer, type Verb } from "../contender.ts";
import { type Compared, type Figure, type Row } from "../figures.ts";
import { type Lab, withLab } from "../lab.ts";
import { warmUpAgent } from "../pairs.ts";
import { type Measured, measureRounds } from "../rounds.ts";
import { type Measure } from "../run.ts";
import { tookMs } from "../spawn-lines.ts";
import { openSpawner, type Spawner } from "../spawner.ts";
import { FULL_POOL, LARGE_NODE } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

/** Links of deleted pods are gone by then (`DELETION_BOUNDS`): nobody's time has another's work in it. */
export const PAUSE_MS = 150;

const WARM_UP = 2;
/** So many of them at once while a node is filled. */
const AT_ONCE = 50;

/** One ADD of each contender, then one DEL of each, again and again; each in a namespace of its own. */
export const measureWarmPool: Measure = (run) =>
  withLab(
    run,
    FULL_POOL,
    (empty) =>
      withLab({ ...run, name: `${run.name}f` }, FULL_POOL, (full) => measureBoth(empty, full), LARGE_NODE),
    LARGE_NODE,
  );

async function measureBoth(empty: Lab, full: Lab): Promise<readonly Row[]> {
  const { run } = empty;
  const rounds = run.quick ? 8 : 40;
  const pods = run.quick ? 60 : 250;
  const spawner = await openSpawner();
  await Promise.all([empty.start(), full.start()]);
  const onEmpty = await contendersOf(empty);
  const onFull = await contendersOf(full);
  await Promise.all([empty.settled(), full.settled()]);
  for (const lab of [empty, full]) await warmUpAgent(lab);
  for (const contender of onFull) await fill(full, spawner, contender, pods);
  const floor = openFloor(empty.node.namespace, empty.directory);
  const contenders = [...onEmpty, floor, ...onFull];
  const containers = await empty.containers(contenders.length);
  const measured = await measureRounds(run, {
    spawner,
    contenders,
    verbs: ["ADD", "DEL"],
    rounds,
    warmUp: WARM_UP,
    pauseMs: PAUSE_MS,
    containerOf: (_, index) => at(containers, index),
  });
  const withoutPods = measured.slice(0, onEmpty.length + 1);
  const withPods = measured.slice(onEmpty.length + 1);
  return [
    ...(["ADD", "DEL"] as const).flatMap((verb) => rowsOf(verb, withoutPods, withPods, pods)),
    ...phaseRows(empty, rounds),
  ];
}

async function contendersOf(lab: Lab): Promise<readonly Contender[]> {
  const peers = (["ptp", "bridge"] as const).map(async (type) =>
    openPeer(type, lab.directory, await lab.namespace(type)),
  );
  return [lab.ours, ...(await Promise.all(peers))];
}

async function fill(lab: Lab, spawner: Spawner, contender: Contender, pods: number): Promise<void> {
  for (let made = 0; made < pods; made += AT_ONCE) {
    lab.run.progress(`${contender.name}: ${made} of ${pods} pods that are there already`);
    const containers = await lab.containers(Math.min(AT_ONCE, pods - made));
    await spawner.atOnce(containers.map((container) => contender.program("ADD", container)));
  }
}

function rowsOf(
  verb: Verb,
  withoutPods: readonly Measured[],
  withPods: readonly Measured[],
  pods: number,
): readonly Row[] {
  const [oursEmpty] = withoutPods;
  const [oursFull, ...peersFull] = withPods;
  if (oursEmpty === undefined || oursFull === undefined) throw new Error("nothing was measured");
  const compared = (entry: Measured, name: string, target?: number): Compared => ({
    name,
    samples: tookMs(entry[verb]),
    ...(target !== undefined && { target }),
  });
  const ptpRatio = verb === "ADD" ? TARGET.addRatio : TARGET.delRatio;
  return [
    {
      kind: "comparison",
      row: `${verb}, one after the other`,
      unit: "ms",
      contenders: withoutPods.map((entry) => {
        const { name } = entry.contender;
        return compared(entry, name, name === "ptp" ? ptpRatio : undefined);
      }),
      upstream: verb === "ADD" ? UPSTREAM.warm.addMs : UPSTREAM.warm.delMs,
    },
    {
      kind: "comparison",
      row: `${verb}, with ${pods} pods there`,
      unit: "ms",
      contenders: [
        compared(oursFull, "ours"),
        compared(oursEmpty, "ours without them", verb === "ADD" ? TARGET.addFullRatio : undefined),
        ...peersFull.map((entry) => compared(entry, entry.contender.name)),
      ],
      ...(verb === "ADD" && pods === 250 && { upstream: UPSTREAM.full.addMs }),
    },
  ];
}

/** What of ours is the agent's; the rest is the plugin's start and exit, and the call between the two. */
function phaseRows(lab: Lab, rounds: number): Figure[] {
  const phases = lab.phases();
  const figure = (what: string, samples: readonly number[]): Figure => ({
    kind: "figure",
    row: "of these, inside the agent",
    what,
    unit: "ms",
    samples: samples.slice(-rounds),
  });
  return [
    figure("ADD: address from the pool", phases.waitedMs),
    figure("ADD: interface and lease", phases.kernelMs),
    figure("DEL", phases.detachMs),
  ];
}

function at(containers: readonly Container[], index: number): Container {
  const container = containers[index];
  if (container === undefined) throw new Error("fewer containers than contenders");
  return container;
}
