/**
 * A7 to A10: an ADD that fails, and many at once.
 *
 * @module
 */
import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bench, IFNAME } from "./bench.ts";
import { DELEGATE_FAILURE, openDelegate } from "./delegate.ts";
import { differences, footprintOf } from "./footprint.ts";
import { podIsAsSaid } from "./lines-add.ts";
import { makeLink } from "./node.ts";
import { describeRun } from "./probe.ts";
import { readResult } from "./result.ts";
import { objectOf, parseJson } from "./target.ts";
import { type Line, type Trial } from "./trial.ts";
import { type Switch } from "./driver.ts";

export const NO_DELEGATE = 'the configuration delegates to no other plugin ("ipam")';

/** Holds the switch on while `work` runs. */
export async function whileOn(one: Switch, work: () => Promise<void>): Promise<void> {
  try {
    await one.on();
    await work();
  } finally {
    await one.off();
  }
}

const A7: Line = {
  id: "A7",
  wants:
    "a delegated plugin fails: it gets a DEL with the same environment and configuration before the error is returned",
  async run(trial, bench) {
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("", NO_DELEGATE);
    const pod = await bench.newPod();
    await delegate.failOn("ADD");
    const run = await bench.call("ADD", pod, delegate.options());
    trial.fails("ADD", run, { mentions: [DELEGATE_FAILURE] });
    const [first, ...rest] = await delegate.calls();
    trial.same("the delegate's first call", "ADD", first?.verb, run);
    const undone = rest.find(({ verb }) => verb === "DEL");
    trial.check("the delegate gets a DEL", undone !== undefined, {
      wanted: "ADD, DEL",
      seen: [first, ...rest].map((call) => call?.verb ?? "nothing").join(", "),
      run,
    });
    if (undone !== undefined) trial.same("as its ADD was", { ...first, verb: "DEL" }, undone, run);
    trial.check("its stderr comes out at the plugin's", run.stderr.includes(DELEGATE_FAILURE), {
      wanted: DELEGATE_FAILURE,
      seen: JSON.stringify(run.stderr),
      run,
    });
    return undefined;
  },
};

async function failsClean(
  trial: Trial,
  bench: Bench,
  what: string,
  cause: { readonly namespace?: string; readonly env?: Readonly<Record<string, string>> },
): Promise<void> {
  const before = await bench.footprint();
  const inside = cause.namespace === undefined ? [] : await footprintOf(cause.namespace);
  const pod = await bench.newPod();
  const netns = cause.namespace === undefined ? {} : { CNI_NETNS: `/run/netns/${cause.namespace}` };
  const run = await bench.call("ADD", pod, { env: { ...netns, ...cause.env } });
  trial.fails(`ADD with ${what}`, run);
  trial.unchanged(`the node after ADD with ${what}`, await bench.settled(before), run);
  if (cause.namespace === undefined) return;
  const changes = differences(inside, await footprintOf(cause.namespace));
  trial.unchanged(`the pod's namespace after ADD with ${what}`, changes, run);
}

const A8: Line = {
  id: "A8",
  wants: "an ADD that fails has undone all that it made",
  async run(trial, bench) {
    const taken = await bench.newPod();
    await makeLink(taken.namespace, IFNAME);
    await failsClean(trial, bench, "an interface name that is taken", { namespace: taken.namespace });
    const directory = await mkdtemp(join(tmpdir(), "cni-conformance-"));
    try {
      const file = join(directory, "no-netns");
      await writeFile(file, "");
      await failsClean(trial, bench, "a CNI_NETNS that is a file", { env: { CNI_NETNS: file } });
      await failsClean(trial, bench, "a CNI_NETNS that is a directory", { env: { CNI_NETNS: directory } });
      await failsClean(trial, bench, "a CNI_NETNS that is not there", {
        env: { CNI_NETNS: join(directory, "none") },
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
    await delegateFails(trial, bench);
  },
};

async function delegateFails(trial: Trial, bench: Bench): Promise<void> {
  await using delegate = await openDelegate(bench);
  if (delegate === undefined) return;
  const pod = await bench.newPod();
  const [node, inside] = [await bench.footprint(), await footprintOf(pod.namespace)];
  await delegate.failOn("ADD");
  const run = await bench.call("ADD", pod, delegate.options());
  trial.fails("ADD with a delegate that fails", run);
  trial.unchanged("the node after ADD with a delegate that fails", await bench.settled(node), run);
  const changes = differences(inside, await footprintOf(pod.namespace));
  trial.unchanged("the pod's namespace after ADD with a delegate that fails", changes, run);
}

const A9: Line = {
  id: "A9",
  wants: "what will pass (agent away, no address now): code 11, and the cause in details",
  async run(trial, bench) {
    const { agentDown, poolEmpty } = bench.driver;
    for (const [what, one] of [
      ["agent away", agentDown],
      ["no address left", poolEmpty],
    ] as const) {
      if (one === undefined) {
        trial.skip(what, "no driver that can bring it about");
        continue;
      }
      await whileOn(one, async () => {
        const run = await bench.call("ADD", await bench.newPod());
        trial.fails(`ADD, ${what}`, run, { codes: [11] });
        const details = objectOf(parseJson(run.stdout))["details"];
        trial.check(`ADD, ${what}: details say something`, typeof details === "string" && details !== "", {
          wanted: "a text",
          seen: describeRun(run),
          run,
        });
      });
      const again = await bench.call("ADD", await bench.newPod());
      trial.succeeds(`ADD, no longer ${what}`, again);
    }
  },
};

const AT_ONCE = 10;

const A10: Line = {
  id: "A10",
  wants: "different containers at the same time; the same container at the same time does no harm either",
  async run(trial, bench) {
    const before = await bench.footprint();
    const pods = [];
    for (let made = 0; made < AT_ONCE; made += 1) pods.push(await bench.newPod());
    const runs = await Promise.all(pods.map(async (pod) => bench.call("ADD", pod)));
    const readings = runs.map((run) => readResult(objectOf(parseJson(run.stdout))));
    for (const [index, run] of runs.entries()) trial.succeeds(`ADD ${index + 1} of ${AT_ONCE} at once`, run);
    const addresses = readings.flatMap(({ ips }) => ips.map(({ address }) => address));
    trial.same("no address was given twice", addresses.length, new Set(addresses).size);
    for (const [index, pod] of pods.entries()) {
      const reading = readings[index];
      if (runs[index]?.end === 0 && reading !== undefined)
        await podIsAsSaid(trial, pod, reading, `pod ${index + 1}`);
    }
    const gone = await Promise.all(pods.map(async (pod) => bench.call("DEL", pod)));
    for (const [index, run] of gone.entries()) trial.succeeds(`DEL ${index + 1} of ${AT_ONCE} at once`, run);
    trial.unchanged("the node after all DELs", await bench.settled(before));

    const pod = await bench.newPod();
    await Promise.all([bench.call("ADD", pod), bench.call("ADD", pod)]);
    trial.succeeds("DEL after two ADDs of one container at once", await bench.call("DEL", pod));
    trial.unchanged("the node after it", await bench.settled(before));
  },
};

export const ADD_FAILURE_LINES: readonly Line[] = [A7, A8, A9, A10];
