/**
 * E1 to E6: the variables of the environment.
 *
 * @module
 */
import { type Bench } from "./bench.ts";
import { type Pod, type Verb } from "./probe.ts";
import { type Line, type Trial } from "./trial.ts";
import { hasVerb } from "./version.ts";

const IN_PARALLEL = 4;

/** Calls `work` for each, a few at a time. */
export async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: IN_PARALLEL }, worker));
}

/** Those that the announced versions have. */
export function verbsOf(bench: Bench): readonly Verb[] {
  return (["ADD", "DEL", "CHECK", "GC", "STATUS"] as const).filter((verb) => hasVerb(bench.version, verb));
}

/** A result that names the pod, for calls that end before anybody looks at the pod. */
export function inventedResult(bench: Bench, pod: Pod): Record<string, unknown> {
  return {
    cniVersion: bench.version,
    interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: pod.netns }],
    ips: [{ address: "198.51.100.9/24", interface: 0, ...(bench.version < "1.0.0" && { version: "4" }) }],
  };
}

const E1: Line = {
  id: "E1",
  wants: "without CNI_COMMAND: a text for people on stderr, nothing on stdout, exit 0",
  async run(trial, bench) {
    const run = await bench.call("", undefined, { env: { CNI_COMMAND: undefined }, stdin: "" });
    trial.succeeds("no CNI_COMMAND", run);
    trial.same("stdout is empty", "", run.stdout, run);
    const newest = bench.version;
    trial.check("stderr names the versions", run.stderr.includes(newest), {
      wanted: `a text with ${newest}`,
      seen: JSON.stringify(run.stderr),
      run,
    });
  },
};

const E2: Line = {
  id: "E2",
  wants: "unknown CNI_COMMAND: code 4",
  async run(trial, bench) {
    const pod = await bench.newPod();
    for (const verb of ["BOGUS", "add", "ADD ", "DELETE"]) {
      trial.fails(`CNI_COMMAND=${JSON.stringify(verb)}`, await bench.call(verb, pod), { codes: [4] });
    }
  },
};

const REQUIRED: Readonly<Record<Verb, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
  VERSION: [],
};

async function withoutPath(verb: Verb, trial: Trial, bench: Bench, pod: Pod): Promise<void> {
  const what = `${verb} without CNI_PATH: done without, or code 4 that names it`;
  const run = await bench.call(verb, pod, {
    env: { CNI_PATH: undefined },
    config: { prevResult: inventedResult(bench, pod), "cni.dev/valid-attachments": [] },
  });
  if (run.end === 0) trial.succeeds(what, run);
  // A CHECK of what was never added fails, as it should.
  else if (verb === "CHECK") trial.fails(what, run);
  else trial.fails(what, run, { codes: [4], mentions: ["CNI_PATH"] });
}

const E3: Line = {
  id: "E3",
  wants: "each required variable that is missing or empty: code 4, all missing ones named",
  async run(trial, bench) {
    const pod = await bench.newPod();
    for (const verb of verbsOf(bench)) {
      const names = REQUIRED[verb];
      const config = { prevResult: inventedResult(bench, pod) };
      for (const name of names) {
        for (const value of [undefined, ""]) {
          const run = await bench.call(verb, pod, { env: { [name]: value }, config });
          const wanted = { codes: [4], mentions: [name] };
          trial.fails(`${verb} with ${name} ${value === undefined ? "missing" : "empty"}`, run, wanted);
        }
      }
      if (names.length > 0) {
        const env = Object.fromEntries(names.map((name) => [name, undefined]));
        const run = await bench.call(verb, pod, { env, config });
        trial.fails(`${verb} with all of them missing`, run, { codes: [4], mentions: names });
      }
      if (verb === "DEL") {
        const run = await bench.call("DEL", pod, { env: { CNI_NETNS: undefined } });
        trial.succeeds("DEL without CNI_NETNS", run);
      }
      await withoutPath(verb, trial, bench, await bench.newPod());
    }
    const bare = Object.fromEntries(Object.keys(bench.env("VERSION", pod)).map((name) => [name, undefined]));
    const run = await bench.call("VERSION", undefined, {
      env: { ...bare, CNI_COMMAND: "VERSION", PATH: "/bin" },
    });
    trial.succeeds("VERSION with nothing but CNI_COMMAND", run);
  },
};

const BAD_IDS = [".a", "-a", "_a", "a/b", "../a", "a b", "a:b", "a\n", "a@b", "ä", "a;b", "a\\b", "a%", "☃"];
const GOOD_IDS = ["a", "9", "A1_.-", "a..b", "a--", "f".repeat(64), "0123456789".repeat(10)];

const E4: Line = {
  id: "E4",
  wants: "CNI_CONTAINERID that does not match [a-zA-Z0-9][a-zA-Z0-9_.-]*: code 4; others are taken",
  async run(trial, bench) {
    const pod = await bench.newPod();
    const config = { prevResult: inventedResult(bench, pod) };
    for (const verb of verbsOf(bench).filter((verb) => REQUIRED[verb].length > 0)) {
      await forEach(verb === "DEL" ? BAD_IDS : BAD_IDS.slice(0, 5), async (id) => {
        const run = await bench.call(verb, pod, { env: { CNI_CONTAINERID: id }, config });
        trial.fails(`${verb} with the id ${JSON.stringify(id)}`, run, { codes: [4] });
      });
    }
    await forEach(GOOD_IDS, async (id) => {
      const run = await bench.call("DEL", pod, { env: { CNI_CONTAINERID: id } });
      trial.succeeds(`DEL with the id ${id}`, run);
    });
  },
};

const BAD_NAMES = [
  ".",
  "..",
  "a/b",
  "/",
  "a:b",
  ":",
  "a b",
  " a",
  "a ",
  "a\tb",
  "a\nb",
  "a\vb",
  "a\fb",
  "a\rb",
  "sixteen-letters-",
  "x".repeat(200),
  "ääääääää",
];
const GOOD_NAMES = ["a", "eth0", "eth0.100", "fifteen-letters", "...", "a@b", "A_b-c", "0"];

const E5: Line = {
  id: "E5",
  wants:
    'CNI_IFNAME that is longer than 15 bytes, ".", "..", or has "/", ":" or white space: code 4; others are taken',
  async run(trial, bench) {
    const pod = await bench.newPod();
    const config = { prevResult: inventedResult(bench, pod) };
    for (const verb of verbsOf(bench).filter((verb) => REQUIRED[verb].length > 0)) {
      await forEach(
        verb === "DEL" ? BAD_NAMES : ["..", "a/b", "a:b", "a b", "sixteen-letters-"],
        async (name) => {
          const run = await bench.call(verb, pod, { env: { CNI_IFNAME: name }, config });
          trial.fails(`${verb} with the name ${JSON.stringify(name)}`, run, { codes: [4] });
        },
      );
    }
    await forEach(GOOD_NAMES, async (name) => {
      const run = await bench.call("DEL", pod, { env: { CNI_IFNAME: name } });
      trial.succeeds(`DEL with the name ${JSON.stringify(name)}`, run);
    });
    const longest = "fifteen-letters";
    const added = await bench.add(undefined, { env: { CNI_IFNAME: longest } });
    trial.succeeds(
      "DEL of an interface with the longest name",
      await bench.del(added, { env: { CNI_IFNAME: longest } }),
    );
  },
};

const E6: Line = {
  id: "E6",
  wants:
    "CNI_ARGS as containerd sends it; unknown keys pass with IgnoreUnknown; a pair without '=' is an error",
  async run(trial, bench) {
    const uid = "K8S_POD_UID=6d3c0b1e-8a1c-4f35-9d7a-0c5a4a0d7d11";
    const known = ["IgnoreUnknown=1", "IgnoreUnknown=true"].map((flag) => `${flag};${uid};CONFORMANCE_KEY=1`);
    for (const args of [...known, ""]) {
      const pod = await bench.newPod();
      const run = await bench.call("ADD", pod, { env: { CNI_ARGS: args } });
      trial.succeeds(`ADD with CNI_ARGS=${JSON.stringify(args)}`, run);
    }
    for (const args of ["IgnoreUnknown=1;CONFORMANCE", "CONFORMANCE"]) {
      const run = await bench.call("ADD", await bench.newPod(), { env: { CNI_ARGS: args } });
      trial.fails(`ADD with CNI_ARGS=${args}`, run);
    }
  },
};

export const ENVIRONMENT_LINES: readonly Line[] = [E1, E2, E3, E4, E5, E6];
