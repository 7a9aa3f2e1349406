/**
 * E14 to E16: what is on stdout, the error object, being killed.
 *
 * @module
 */
import * as z from "zod";
import { type Bench } from "./bench.ts";
import { differences, footprintOf } from "./footprint.ts";
import { E17 } from "./lines-input.ts";
import { describeRun, type Run } from "./probe.ts";
import { JSON_OBJECT, objectOf, parseJson } from "./target.ts";
import { type Line, type Trial } from "./trial.ts";

/** Runs that came to an end of their own. */
function ended(bench: Bench): readonly Run[] {
  return bench.journal().filter(({ end }) => typeof end === "number");
}

/** A few runs of each kind, so that the line says something when it is asked for alone. */
async function exercise(bench: Bench): Promise<void> {
  const added = await bench.add();
  for (const verb of ["STATUS", "GC", "CHECK", "DEL"]) {
    await bench.call(verb, added.pod, {
      config: {
        prevResult: added.result,
        "cni.dev/valid-attachments": [{ containerID: added.pod.containerId, ifname: "eth0" }],
      },
    });
  }
  await bench.call("VERSION", added.pod);
  await bench.call("ADD", added.pod, { stdin: "{" });
  await bench.call("DEL", added.pod, { env: { CNI_CONTAINERID: "" } });
}

const VERBS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];

function nameOf({ verb = "" }: Run): string {
  return VERBS.includes(verb) ? verb : "other values of CNI_COMMAND";
}

/** One check for each verb that has runs; the first bad run is shown. */
function perVerb(trial: Trial, runs: readonly Run[], what: string, isGood: (run: Run) => boolean): void {
  for (const verb of [...new Set(runs.map(nameOf))].sort()) {
    const those = runs.filter((run) => nameOf(run) === verb);
    const bad = those.filter((run) => !isGood(run));
    const [first] = bad;
    trial.check(`${what}, ${those.length} runs of ${verb}`, first === undefined, {
      wanted: "so in all of them",
      seen: first === undefined ? "" : `not so in ${bad.length}; the first: ${describeRun(first)}`,
      run: first,
    });
  }
}

const SILENT = ["DEL", "CHECK", "GC", "STATUS", ""];

const E14: Line = {
  id: "E14",
  wants:
    "stdout carries one JSON object, result or error, and nothing else; nothing where DEL, CHECK, GC, STATUS succeed",
  async run(trial, bench) {
    await exercise(bench);
    const succeeded = ended(bench).filter(({ end }) => end === 0);
    perVerb(trial, succeeded.filter(isSilent), "nothing on stdout after success", (run) => run.stdout === "");
    const speaking = succeeded.filter((run) => !isSilent(run));
    perVerb(trial, speaking, "one JSON object on stdout after success", hasOneObject);
    const failed = ended(bench).filter(({ end }) => end !== 0);
    perVerb(trial, failed, "one JSON object on stdout after failure", hasOneObject);
  },
};

function isSilent({ verb = "" }: Run): boolean {
  return SILENT.includes(verb);
}

function hasOneObject(run: Run): boolean {
  return JSON_OBJECT.safeParse(parseJson(run.stdout)).success;
}

const ERROR_OBJECT = z.looseObject({
  cniVersion: z.string().min(1),
  code: z.number().int().positive(),
  msg: z.string().min(1),
  details: z.string().optional(),
});

/** 12 to 49 and 52 to 99 are the specification's for later. 999: plain errors of the Go library. */
function isKnownCode(code: number): boolean {
  return (code >= 1 && code <= 11) || code === 50 || code === 51 || code >= 100;
}

const E15: Line = {
  id: "E15",
  wants:
    "a failure is {cniVersion, code, msg, details} on stdout and an exit status that is not 0; codes are known ones",
  async run(trial, bench) {
    await exercise(bench);
    const failed = ended(bench).filter((run) => run.end !== 0 && hasOneObject(run));
    perVerb(
      trial,
      failed,
      "cniVersion, code and msg",
      (run) => ERROR_OBJECT.safeParse(parseJson(run.stdout)).success,
    );
    perVerb(trial, failed, "a code that the specification knows", (run) => {
      const { code } = objectOf(parseJson(run.stdout));
      return typeof code !== "number" || isKnownCode(code);
    });
  },
};

const KILLS = 20;
/** After a DEL. */
const CLEAN_MS = 10_000;

/** Numbers from 0 to 1 that are the same in every run: a failure can be repeated. Source: mulberry32. */
function spread(count: number): number[] {
  let state = 0x5eed;
  return Array.from({ length: count }, (_, index) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const random = ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    return (index + random) / count;
  });
}

const E16: Line = {
  id: "E16",
  wants: "killed at any point of an ADD, a DEL leaves nothing behind on the node and in the pod's namespace",
  async run(trial, bench) {
    const before = await bench.footprint();
    const sample = await bench.add();
    await bench.del(sample);
    await bench.removeNetns(sample.pod);
    const tookMs = sample.run.tookMs * 1.2;
    for (const point of spread(KILLS)) {
      const killAfterMs = point * tookMs;
      const pod = await bench.newPod();
      const podBefore = await footprintOf(pod.namespace);
      const killed = await bench.call("ADD", pod, { killAfterMs });
      const what = `ADD killed after ${killAfterMs.toFixed(1)} ms`;
      if (trial.succeeds(`${what}: DEL`, await bench.call("DEL", pod))) {
        trial.unchanged(`${what}: the node after DEL`, await bench.settled(before, CLEAN_MS), killed);
        const podAfter = await footprintOf(pod.namespace);
        trial.unchanged(`${what}: the pod's namespace after DEL`, differences(podBefore, podAfter), killed);
      }
      await bench.removeNetns(pod);
    }
  },
};

export const PROCESS_LINES: readonly Line[] = [E14, E15, E16, E17];
