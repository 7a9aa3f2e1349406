/**
 * G1 to G11: GC frees what is stale and nothing that lives.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { type Added, type Bench, IFNAME } from "./bench.ts";
import { DELEGATE_FAILURE, openDelegate } from "./delegate.ts";
import { differences, type Footprint, footprintOf } from "./footprint.ts";
import { NO_DELEGATE } from "./lines-add-failure.ts";
import { podIsAsSaid } from "./lines-add.ts";
import { type Pod, type Run } from "./probe.ts";
import { readResult } from "./result.ts";
import { type JsonObject, objectOf, parseJson } from "./target.ts";
import { type Line, notOurs, type Trial } from "./trial.ts";
import { hasVerb } from "./version.ts";

const KEY = "cni.dev/valid-attachments";
const OLDER_KEY = "cni.dev/attachments";

/** Runs `work` where the plugin announces a version with GC. */
function gcLine(id: string, wants: string, work: (trial: Trial, bench: Bench) => Promise<void>): Line {
  return {
    id,
    wants,
    run: async (trial, bench) => {
      if (hasVerb(bench.version, "GC")) return work(trial, bench);
      return trial.skip("", `the plugin announces ${bench.version} at most, which has no GC`);
    },
  };
}

async function gc(bench: Bench, config: JsonObject): Promise<Run> {
  return bench.call("GC", undefined, { config });
}

function attachmentOf({ containerId }: Pod): JsonObject {
  return { containerID: containerId, ifname: IFNAME };
}

/** What is on the node and in a pod, together. */
async function lookAt(bench: Bench, pod: Pod): Promise<Footprint> {
  const inside = await footprintOf(pod.namespace);
  return [...(await bench.footprint()), ...inside.map((text) => `in the pod: ${text}`)];
}

type Stale = {
  readonly live: Added;
  /** With the living pod alone. */
  readonly without: Footprint;
  /** A trace of the dead one can be seen. */
  readonly isVisible: boolean;
};

function onNode(footprint: Footprint): Footprint {
  return footprint.filter((text) => !text.startsWith("in the pod: "));
}

/** The pod's namespace goes without a DEL; what differs from `without` when the kernel has removed its links. */
async function leaves(bench: Bench, pod: Pod, without: Footprint): Promise<string[]> {
  await bench.removeNetns(pod);
  let rest: string[] = [];
  const linksGone = async (): Promise<boolean> => {
    rest = differences(without, await bench.footprint());
    return !rest.some((text) => text.startsWith("+ link"));
  };
  await until("its links are gone", linksGone, 1000, 20).catch(() => undefined);
  return rest;
}

/** A pod that lives, and one whose namespace went without a DEL. */
async function liveAndStale(bench: Bench): Promise<Stale> {
  const live = await bench.add();
  const without = await lookAt(bench, live.pod);
  const stale = await bench.add();
  const rest = await leaves(bench, stale.pod, onNode(without));
  return { live, without, isVisible: rest.length > 0 };
}

/** After a GC the dead one is gone, and the living one as it was. */
async function onlyLiving(trial: Trial, bench: Bench, what: string, stale: Stale, run: Run): Promise<void> {
  trial.succeeds(what, run);
  await bench.settled(onNode(stale.without));
  const changes = differences(stale.without, await lookAt(bench, stale.live.pod));
  trial.unchanged(`${what}: what lives is as it was, what is stale is gone`, changes, run);
  if (!stale.isVisible) trial.skip(`${what}: the stale one`, "no trace of it can be seen from outside");
}

const G1 = gcLine(
  "G1",
  `attachments that ${KEY} lists stay, others go; ${OLDER_KEY} means the same`,
  async (trial, bench) => {
    const before = await bench.footprint();
    for (const keys of [[KEY], [OLDER_KEY], [KEY, OLDER_KEY]]) {
      const stale = await liveAndStale(bench);
      const list = [attachmentOf(stale.live.pod)];
      const run = await gc(bench, Object.fromEntries(keys.map((key) => [key, list])));
      await onlyLiving(trial, bench, `GC with ${keys.join(" and ")}`, stale, run);
      await bench.del(stale.live);
      await bench.settled(before);
    }
  },
);

const G2 = gcLine(
  "G2",
  "[] frees all that is stale; absent and null are no list, and free nothing that lives",
  async (trial, bench) => {
    const empty = await liveAndStale(bench);
    await onlyLiving(trial, bench, "GC with []", empty, await gc(bench, { [KEY]: [] }));
    const before = await lookAt(bench, empty.live.pod);
    for (const [what, config] of [
      ["no list", {}],
      ["null", { [KEY]: null }],
    ] as const) {
      const run = await gc(bench, config);
      trial.succeeds(`GC with ${what}`, run);
      trial.unchanged(
        `GC with ${what}: what lives`,
        differences(before, await lookAt(bench, empty.live.pod)),
        run,
      );
    }
    for (const wrong of ["all", [{ containerID: 7 }], [7]]) {
      const run = await gc(bench, { [KEY]: wrong });
      const what = `GC with ${JSON.stringify(wrong)}`;
      trial.fails(`${what}, which is no list of attachments`, run);
      trial.unchanged(`${what}: what lives`, differences(before, await lookAt(bench, empty.live.pod)), run);
    }
  },
);

const OTHER_NETWORK = { name: "conformance-other" };

const G3 = gcLine("G3", "only attachments of this network are freed", async (trial, bench) => {
  const before = await bench.footprint();
  const other = await bench.add(undefined, { config: OTHER_NETWORK });
  const rest = await leaves(bench, other.pod, before);
  const with_ = await bench.footprint();
  const run = await gc(bench, { [KEY]: [] });
  trial.succeeds("GC of this network", run);
  if (rest.length === 0) trial.skip("the other network's", "no trace of it can be seen from outside");
  else trial.unchanged("what another network has", differences(with_, await bench.footprint()), run);
  const theirs = await gc(bench, { ...OTHER_NETWORK, [KEY]: [] });
  trial.succeeds("GC of the other network", theirs);
  trial.unchanged("the node after it", await bench.settled(before), theirs);
});

const G4 = gcLine(
  "G4",
  "one failure does not keep GC from the rest; the errors are returned together",
  async (trial, bench) => {
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("", NO_DELEGATE);
    await delegate.failOn("GC");
    const run = await bench.call("GC", undefined, delegate.options({ [KEY]: [] }));
    trial.fails("GC with a delegate that fails", run, { mentions: [DELEGATE_FAILURE] });
    return undefined;
  },
);

const G5 = gcLine("G5", "GC goes on to delegated plugins", async (trial, bench) => {
  await using delegate = await openDelegate(bench);
  if (delegate === undefined) return trial.skip("", NO_DELEGATE);
  const run = await bench.call("GC", undefined, delegate.options({ [KEY]: [] }));
  trial.succeeds("GC", run);
  trial.same(
    "what the delegate was called for",
    ["GC"],
    (await delegate.calls()).map(({ verb }) => verb),
    run,
  );
  return undefined;
});

const G6 = gcLine("G6", "no stdout on success", async (trial, bench) => {
  const run = await gc(bench, { [KEY]: [] });
  if (trial.succeeds("GC", run)) trial.same("stdout", "", run.stdout, run);
});

const G7 = gcLine(
  "G7",
  "no address is freed that a living namespace still uses, whatever the list says",
  async (trial, bench) => {
    const live = await bench.add();
    const before = await lookAt(bench, live.pod);
    const unlisted = [{ containerID: "conformance-nobody", ifname: IFNAME }];
    for (const list of [[], unlisted]) {
      const run = await gc(bench, { [KEY]: list });
      trial.succeeds(`GC with ${JSON.stringify(list)}`, run);
      trial.unchanged("the pod that lives", differences(before, await lookAt(bench, live.pod)), run);
    }
    const held = readResult(live.result).ips.map(({ address }) => address);
    for (let time = 1; time <= 5; time += 1) {
      const { ips } = readResult((await bench.add()).result);
      const again = ips.filter(({ address }) => held.includes(address)).map(({ address }) => address);
      trial.same(`ADD ${time} of 5 is not given the address of the pod that lives`, [], again);
    }
  },
);

const RACING = 6;
const COLLECTIONS_MAX = 50;

const G8 = gcLine("G8", "an ADD that runs at the same time comes to no harm", async (trial, bench) => {
  const pods = [];
  for (let made = 0; made < RACING; made += 1) pods.push(await bench.newPod());
  const ended: Run[] = [];
  const racing = Promise.all(
    pods.map(async (pod) => {
      const run = await bench.call("ADD", pod);
      ended.push(run);
      return run;
    }),
  );
  for (let time = 1; time <= COLLECTIONS_MAX && ended.length < RACING; time += 1) {
    trial.succeeds(`GC ${time} with [] meanwhile`, await gc(bench, { [KEY]: [] }));
  }
  const runs = await racing;
  const taken: string[] = [];
  for (const [index, run] of runs.entries()) {
    const pod = pods[index];
    if (!trial.succeeds(`ADD ${index + 1} of ${RACING}`, run) || pod === undefined) continue;
    const result = objectOf(parseJson(run.stdout));
    const reading = readResult(result);
    taken.push(...reading.ips.map(({ address }) => address));
    await podIsAsSaid(trial, pod, reading, `pod ${index + 1}`);
    trial.succeeds(`CHECK ${index + 1}`, await bench.check({ pod, run, result }));
  }
  trial.same("no address was given twice", taken.length, new Set(taken).size);
});

const G9 = notOurs("G9", "disableGC in the list: the runtime does not call GC", "the runtime's part");

const G10 = gcLine(
  "G10",
  "libcni sends DEL for each stale attachment it knows, then GC",
  async (trial, bench) => {
    const before = await bench.footprint();
    const [live, stale] = [await bench.add(), await bench.add()];
    await bench.removeNetns(stale.pod);
    trial.succeeds("DEL with the kept prevResult", await bench.del(stale));
    const list = [attachmentOf(live.pod)];
    trial.succeeds("GC", await gc(bench, { [KEY]: list, [OLDER_KEY]: list }));
    trial.succeeds("CHECK of the one that lives", await bench.check(live));
    trial.succeeds("its DEL", await bench.del(live));
    trial.unchanged("the node afterwards", await bench.settled(before));
  },
);

const G11 = gcLine("G11", "nothing relies on GC: DEL alone leaves nothing", async (trial, bench) => {
  const before = await bench.footprint();
  const added = await bench.add();
  const run = await bench.del(added);
  trial.succeeds("DEL", run);
  trial.unchanged("the node afterwards", await bench.settled(before), run);
});

export const GC_LINES: readonly Line[] = [G1, G2, G3, G4, G5, G6, G7, G8, G9, G10, G11];
