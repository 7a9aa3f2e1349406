/**
 * E7 to E13: the configuration on stdin, versions, the namespace, what else may be in the environment.
 *
 * @module
 */
import { type Bench } from "./bench.ts";
import { forEach, inventedResult, verbsOf } from "./lines-environment.ts";
import { describeRun, errorOf, type Pod, type Run, type Stdin, type Verb, UNREADABLE } from "./probe.ts";
import { readResult, wrongShape } from "./result.ts";
import { parseJson } from "./target.ts";
import { type Line, notOurs, type Trial } from "./trial.ts";
import { hasVerb, UNKNOWN_VERSIONS, versionResultOf, VERSIONS } from "./version.ts";

/** Configurations that cannot be used, each with the code that says why. */
function badInputs(bench: Bench): readonly (readonly [string, Stdin, readonly number[]])[] {
  const { name: _, ...nameless } = bench.config();
  const whole = JSON.stringify(bench.config());
  return [
    ["stdin that cannot be read", UNREADABLE, [5]],
    ["empty stdin", "", [6]],
    ["blank stdin", "  \n", [6]],
    ["half of the configuration", whole.slice(0, whole.length / 2), [6]],
    ["no JSON", "cniVersion: 1.0.0", [6]],
    ["something after the configuration", `${whole}}`, [6]],
    ["a list", "[]", [6, 7]],
    ["a number", "12", [6, 7]],
    ["no name", nameless, [7]],
    ["an empty name", bench.config(bench.version, { name: "" }), [7]],
    ["a name with a slash", bench.config(bench.version, { name: "a/b" }), [7]],
    ["a name that begins with a dot", bench.config(bench.version, { name: ".net" }), [7]],
    ["a name with a blank", bench.config(bench.version, { name: "a b" }), [7]],
    ["a name that is a number", bench.config(bench.version, { name: 7 }), [6, 7]],
  ];
}

/** Bytes that nobody promised to understand: an end, and an error object if it is an error. */
function hostileInputs(bench: Bench): readonly (readonly [string, Stdin])[] {
  const whole = JSON.stringify(bench.config());
  return [
    ["bytes that are not UTF-8", Buffer.concat([Buffer.from([0xff, 0xfe, 0x80]), Buffer.from(whole)])],
    ["a text that is not UTF-8", Buffer.from(whole.replace("{", '{"x":"\u00ff\u00fe",'), "latin1")],
    ["100,000 brackets", "[".repeat(100_000)],
    ["100,000 nested objects", '{"a":'.repeat(100_000)],
    ["a megabyte of blanks", " ".repeat(1_100_000)],
    ["a key of three megabytes", JSON.stringify(bench.config(bench.version, { x: "y".repeat(3_000_000) }))],
    ["zero bytes", "\0".repeat(64)],
    ["a number without end", `{"cniVersion":${"9".repeat(100_000)}}`],
  ];
}

const E7: Line = {
  id: "E7",
  wants: "stdin that cannot be read: code 5; no JSON: 6; name missing or malformed: 7, for every verb",
  async run(trial, bench) {
    const pod = await bench.newPod();
    const inputs = badInputs(bench);
    for (const verb of verbsOf(bench)) {
      await forEach(inputs, async ([what, stdin, codes]) => {
        trial.fails(`${verb} with ${what}`, await bench.call(verb, pod, { stdin }), { codes });
      });
    }
    await forEach([...hostileInputs(bench).entries()], async ([index, [what, stdin]]) => {
      const run = await bench.call("DEL", pod, {
        stdin,
        env: { CNI_CONTAINERID: `${pod.containerId}-${index}` },
      });
      trial.check(`DEL with ${what} comes to an orderly end`, run.end === 0 || errorOf(run) !== undefined, {
        wanted: "exit 0 or an error object",
        seen: describeRun(run),
        run,
      });
    });
  },
};

/** Code 1; ADD and DEL, which every version has, name what was asked for and something that is spoken. */
function refusesVersion(trial: Trial, bench: Bench, verb: Verb, run: Run, given: string): void {
  const mentions = verb === "ADD" || verb === "DEL" ? [given, bench.versions[0] ?? bench.version] : [];
  trial.fails(`${verb} with cniVersion ${given}`, run, { codes: [1], mentions });
}

async function impliedVersion(trial: Trial, bench: Bench): Promise<void> {
  for (const cniVersion of ["", undefined]) {
    const what = `ADD with cniVersion ${cniVersion === "" ? "empty" : "missing"} means 0.1.0`;
    const pod = await bench.newPod();
    const run = await bench.call("ADD", pod, { config: { cniVersion } });
    if (!bench.speaks("0.1.0")) {
      trial.fails(what, run, { codes: [1], mentions: ["0.1.0"] });
      continue;
    }
    const wrong = wrongShape({ cniVersion: "", ...Object(parseJson(run.stdout)) }, "0.1.0");
    if (trial.succeeds(what, run))
      trial.unchanged(
        `${what}: its result`,
        // Keys that a version does not have are R6's business.
        wrong.flatMap(({ text, isUnknownKey }) => (isUnknownKey ? [] : [text])),
        run,
      );
  }
}

const E8: Line = {
  id: "E8",
  wants: 'cniVersion empty means "0.1.0"; one that is not supported: code 1 that names both sides',
  async run(trial, bench) {
    await impliedVersion(trial, bench);
    const pod = await bench.newPod();
    const config = { prevResult: inventedResult(bench, pod) };
    for (const given of UNKNOWN_VERSIONS) {
      for (const verb of verbsOf(bench)) {
        const run = await bench.call(verb, pod, { config: { ...config, cniVersion: given } });
        refusesVersion(trial, bench, verb, run, given);
      }
    }
    for (const given of [1, "one", "1.0", {}]) {
      const run = await bench.call("DEL", pod, { config: { cniVersion: given } });
      trial.fails(`DEL with cniVersion ${JSON.stringify(given)}`, run);
    }
  },
};

const E9: Line = {
  id: "E9",
  wants: "CHECK before 0.4.0: code 1; GC and STATUS before 1.1.0: code 1",
  async run(trial, bench) {
    const pod = await bench.newPod();
    for (const verb of ["CHECK", "GC", "STATUS"] as const) {
      if (!hasVerb(bench.version, verb)) {
        trial.skip(verb, `the plugin announces ${bench.version} at most, which has no ${verb}`);
        continue;
      }
      for (const version of VERSIONS.filter((one) => !hasVerb(one, verb))) {
        const run = await bench.call(verb, pod, {
          version,
          config: { prevResult: inventedResult(bench, pod) },
        });
        trial.fails(`${verb} with cniVersion ${version}`, run, { codes: [1] });
      }
    }
  },
};

const E10: Line = {
  id: "E10",
  wants: "VERSION answers {cniVersion, supportedVersions} whatever is on stdin and in the environment",
  async run(trial, bench) {
    const stdins: readonly Stdin[] = ["", "{", { cniVersion: "9.9.9" }, { cniVersion: 7 }, bench.config()];
    const dummy = { CNI_CONTAINERID: "dummy", CNI_NETNS: "dummy", CNI_IFNAME: "dummy/!", CNI_PATH: "dummy" };
    for (const stdin of stdins) {
      const run = await bench.call("VERSION", undefined, { stdin, env: dummy });
      const what = `VERSION with ${JSON.stringify(stdin).slice(0, 40)} on stdin`;
      const answer = versionResultOf(run);
      const holds =
        answer !== undefined && bench.versions.every((one) => answer.supportedVersions.includes(one));
      trial.check(what, holds, { wanted: "cniVersion and supportedVersions", seen: describeRun(run), run });
    }
    for (const version of bench.versions) {
      const run = await bench.call("VERSION", undefined, { stdin: { cniVersion: version }, env: dummy });
      const said = versionResultOf(run)?.cniVersion;
      trial.check(
        `the answer to ${version} is in a version that is known`,
        VERSIONS.some((one) => one === said),
        {
          wanted: `one of ${VERSIONS.join(", ")}`,
          seen: describeRun(run),
          run,
        },
      );
    }
  },
};

/** An interface that no node has: where a plugin does not look, nothing of the node comes to harm. */
const ELSEWHERE = "conform0";

async function ownNamespace(trial: Trial, bench: Bench, pod: Pod): Promise<void> {
  const before = await bench.footprint();
  for (const netns of [`/run/netns/${bench.driver.node}`, "/proc/self/ns/net"]) {
    const env = { CNI_NETNS: netns, CNI_IFNAME: ELSEWHERE };
    for (const verb of ["ADD", "DEL"]) {
      const run = await bench.call(verb, pod, { env });
      trial.fails(`${verb} with CNI_NETNS=${netns}`, run, { codes: [8] });
      if (verb === "ADD" && run.end === 0) {
        await bench.call("DEL", pod, { env: { ...env, CNI_NETNS_OVERRIDE: "1" } });
      }
    }
  }
  trial.unchanged("the node is as before", await bench.settled(before));
}

const E11: Line = {
  id: "E11",
  wants: "CNI_NETNS that is the plugin's own namespace: code 8, unless CNI_NETNS_OVERRIDE is 1 or true",
  async run(trial, bench) {
    const pod = await bench.newPod();
    await ownNamespace(trial, bench, pod);
    for (const value of ["1", "true"]) {
      const env = {
        CNI_CONTAINERID: `${pod.containerId}-${value}`,
        CNI_NETNS: `/run/netns/${bench.driver.node}`,
        CNI_IFNAME: ELSEWHERE,
        CNI_NETNS_OVERRIDE: value,
      };
      const run = await bench.call("DEL", pod, { env });
      trial.check(`DEL with CNI_NETNS_OVERRIDE=${value} is not refused with 8`, errorOf(run)?.code !== 8, {
        wanted: "any other end",
        seen: describeRun(run),
        run,
      });
    }
  },
};

const E12: Line = {
  id: "E12",
  wants: "keys that the plugin does not know are ignored, or refused with code 2 that quotes key and value",
  async run(trial, bench) {
    const unknown = { "conformance-key": "conformance-value", "example.com/other": { deep: [1, null] } };
    const pod = await bench.newPod();
    for (const verb of ["ADD", "DEL"]) {
      const run = await bench.call(verb, pod, { config: unknown });
      const what = `${verb} with keys that nobody knows`;
      if (run.end === 0) trial.succeeds(what, run);
      else trial.fails(what, run, { codes: [2], mentions: ["conformance-key", "conformance-value"] });
    }
  },
};

const TRACES: readonly Readonly<Record<string, string>>[] = [
  {
    TRACEPARENT: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    TRACESTATE: "vendor=value",
    BAGGAGE: "key=value",
  },
  { TRACEPARENT: "nonsense\r\nheader: x", TRACESTATE: "☃", BAGGAGE: "b".repeat(100_000) },
];

const E13: Line = {
  id: "E13",
  wants: "TRACEPARENT, TRACESTATE and BAGGAGE may be there, in any form, and do no harm",
  async run(trial, bench) {
    for (const [index, env] of TRACES.entries()) {
      const form = index === 0 ? "well-formed" : "malformed";
      const pod = await bench.newPod();
      const run = await bench.call("ADD", pod, { env });
      const added = trial.succeeds(`ADD with ${form} trace variables`, run);
      const addresses = readResult(Object(parseJson(run.stdout))).ips.length;
      if (added)
        trial.check("it has an address", addresses > 0, { wanted: "one or more", seen: `${addresses}`, run });
      trial.succeeds(`DEL with ${form} trace variables`, await bench.call("DEL", pod, { env }));
    }
    trial.skip("the trace is passed on", "not visible from outside");
  },
};

export const INPUT_LINES: readonly Line[] = [E7, E8, E9, E10, E11, E12, E13];

export const E17 = notOurs(
  "E17",
  "the executable may be replaced while it runs",
  "the installer's part (a rename) and the runtime's (trying again)",
);
