/**
 * R1 to R6 and L1 to L4: the result in detail, and what a runtime makes of a list.
 *
 * @module
 */
import { type Bench, IFNAME } from "./bench.ts";
import { ipJson } from "./node.ts";
import { type Run } from "./probe.ts";
import { type Reading, readResult, wrongShape } from "./result.ts";
import { type JsonObject, objectOf, objectsOf, parseJson, textOf } from "./target.ts";
import { type Line, notOurs, type Trial } from "./trial.ts";
import { hasInterfaces, type Version, VERSIONS } from "./version.ts";

type Seen = {
  readonly version: Version;
  readonly run: Run;
  readonly result: JsonObject;
  readonly reading: Reading;
};

/** A result in each of the versions. */
async function inEach(bench: Bench, versions: readonly Version[]): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const version of versions) {
    const { pod, run, result } = await bench.add(undefined, { version });
    seen.push({ version, run, result, reading: readResult(result) });
    await bench.call("DEL", pod, { version });
  }
  return seen;
}

const CIDR = /^[0-9a-f.:]+\/\d{1,3}$/i;

const R1: Line = {
  id: "R1",
  wants: "addresses and destinations are in CIDR form",
  async run(trial, bench) {
    for (const { version, run, reading } of await inEach(bench, bench.versions)) {
      const texts = [...reading.ips.map(({ address }) => address), ...reading.routes.map(({ dst }) => dst)];
      trial.same(
        `${version}: texts without a length`,
        [],
        texts.filter((text) => !CIDR.test(text)),
        run,
      );
    }
  },
};

const R2: Line = {
  id: "R2",
  wants: '"dns" is left out or an object',
  async run(trial, bench) {
    for (const { version, run, result } of await inEach(bench, bench.versions)) {
      const { dns } = result;
      const holds = dns === undefined || (typeof dns === "object" && dns !== null && !Array.isArray(dns));
      trial.check(`${version}: dns`, holds, {
        wanted: "nothing or an object",
        seen: JSON.stringify(dns),
        run,
      });
    }
  },
};

const R3: Line = {
  id: "R3",
  wants: "a result for 0.2.0 and before has the first IPv4 and the first IPv6 address",
  async run(trial, bench) {
    const old = bench.versions.filter((version) => !hasInterfaces(version));
    if (old.length === 0) return trial.skip("", "the plugin announces no version before 0.3.0");
    const added = await bench.add();
    const { ips } = readResult(added.result);
    const families = [
      ips.some(({ address }) => !address.includes(":")),
      ips.some(({ address }) => address.includes(":")),
    ];
    for (const { version, run, result } of await inEach(bench, old)) {
      trial.same(
        `${version}: has ip4, has ip6`,
        families,
        [result["ip4"] !== undefined, result["ip6"] !== undefined],
        run,
      );
    }
    return undefined;
  },
};

const R4 = notOurs(
  "R4",
  "up-conversion fills in nothing that it does not know",
  "the part of runtimes' libraries",
);
const R5 = notOurs(
  "R5",
  "the result of an IPAM plugin has no interfaces",
  "for plugins that others delegate to; they have no interface to test",
);

const R6: Line = {
  id: "R6",
  wants: "numbers are numbers; no keys that the version does not have",
  async run(trial, bench) {
    for (const { version, run, result } of await inEach(bench, bench.versions)) {
      const unknown = wrongShape(result, version).filter(({ isUnknownKey }) => isUnknownKey);
      trial.same(
        `${version}: unknown keys`,
        [],
        unknown.map(({ text }) => text),
        run,
      );
    }
  },
};

const L1 = notOurs(
  "L1",
  "keys of a list: cniVersions, disableCheck, disableGC, plugins, …",
  "the runtime reads them; no plugin sees them",
);

const L2: Line = {
  id: "L2",
  wants:
    "runtimeConfig, args and cni.dev/* are reserved: they may be there, also with content that the plugin does not use",
  async run(trial, bench) {
    const config = {
      runtimeConfig: { "conformance.example/capability": { a: [1] } },
      args: { "conformance.example/arg": "value" },
      "cni.dev/conformance": true,
    };
    const added = await bench.newPod();
    for (const verb of ["ADD", "DEL"]) {
      trial.succeeds(`${verb} with reserved keys`, await bench.call(verb, added, { config }));
    }
  },
};

/** Values for the well-known capabilities that can be asked for anywhere, and what shows that they were heeded. */
const CAPABILITIES: Readonly<Record<string, unknown>> = {
  portMappings: [],
  bandwidth: {
    ingressRate: 8_000_000,
    ingressBurst: 8_000_000,
    egressRate: 8_000_000,
    egressBurst: 8_000_000,
  },
  dns: { servers: ["192.0.2.53"], searches: ["conformance.example"], options: [] },
  mac: "02:00:00:00:00:42",
  aliases: ["conformance"],
  "io.kubernetes.cri.pod-annotations": { "conformance.example/annotation": "value" },
};

const L3: Line = {
  id: "L3",
  wants: "capabilities that the configuration announces are heeded when runtimeConfig has them",
  async run(trial, bench) {
    const announced = objectOf(bench.config()["capabilities"]);
    const names = Object.keys(announced).filter(
      (name) => announced[name] === true && CAPABILITIES[name] !== undefined,
    );
    if (names.length === 0)
      return trial.skip("", 'the configuration announces none ("capabilities") that can be tried anywhere');
    const runtimeConfig = Object.fromEntries(names.map((name) => [name, CAPABILITIES[name]]));
    const config = { runtimeConfig, capabilities: undefined };
    const pod = await bench.newPod();
    const run = await bench.call("ADD", pod, { config });
    if (!trial.succeeds(`ADD with ${names.join(", ")}`, run)) return;
    if (names.includes("mac")) {
      const links = await ipJson(pod.namespace, "link", "show");
      const mac = textOf(links.find((link) => link["ifname"] === IFNAME)?.["address"]);
      trial.same("the MAC address that was asked for", CAPABILITIES["mac"], mac, run);
    }
    trial.succeeds("DEL", await bench.call("DEL", pod, { config }));
    return undefined;
  },
};

const L4: Line = {
  id: "L4",
  wants:
    "name and cniVersion are put in by the runtime, prevResult is that of the former plugin, in an older version too",
  async run(trial, bench) {
    const { name, cniVersion, ...rest } = bench.config();
    const injected = await bench.newPod();
    const run = await bench.call("ADD", injected, { stdin: { ...rest, name, cniVersion } });
    trial.succeeds("ADD with name and cniVersion at the end", run);
    trial.same("cniVersion of the result", cniVersion, objectOf(parseJson(run.stdout))["cniVersion"], run);
    await chained(trial, bench);
  },
};

/** libcni converts prevResult to the list's version, so a chain works in every version that has chains. */
async function chained(trial: Trial, bench: Bench): Promise<void> {
  for (const version of bench.versions.filter((one) => VERSIONS.indexOf(one) >= VERSIONS.indexOf("0.3.0"))) {
    const pod = await bench.newPod();
    const prevResult = { cniVersion: version, interfaces: [], ips: [], routes: [], dns: {} };
    const run = await bench.call("ADD", pod, { version, config: { prevResult } });
    if (trial.succeeds(`ADD with an empty prevResult of ${version}`, run)) {
      const names = objectsOf(objectOf(parseJson(run.stdout))["interfaces"]).map((one) =>
        textOf(one["name"]),
      );
      trial.check(`${version}: the own interface is in the result`, names.includes(IFNAME), {
        wanted: IFNAME,
        seen: names.join(", "),
        run,
      });
    }
    await bench.call("DEL", pod, { version });
  }
}

export const RESULT_LINES: readonly Line[] = [R1, R2, R3, R4, R5, R6, L1, L2, L3, L4];
