/**
 * The workbench of the lines: the executable, pods of their own, the configuration in every version, and looks at what is
 * there. It remembers what was added, so that each line ends where it began.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { type Driver } from "./driver.ts";
import { differences, filesIn, type Footprint, footprintOf } from "./footprint.ts";
import { ip, makeNamespace, removeNamespace } from "./node.ts";
import { type Call, describeRun, execute, type Pod, type Run, type Verb } from "./probe.ts";
import { type JsonObject, JSON_OBJECT, parseJson, type Target } from "./target.ts";
import { type Version } from "./version.ts";

export const IFNAME = "eth0";

export type CallOptions = {
  /** Beside those of the specification; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly version?: Version;
  /** Laid over the configuration. */
  readonly config?: JsonObject;
  /** In place of the configuration. */
  readonly stdin?: Call["stdin"];
  readonly timeoutMs?: number;
  readonly killAfterMs?: number;
};

export type Added = { readonly pod: Pod; readonly run: Run; readonly result: JsonObject };

export type Bench = {
  readonly target: Target;
  readonly driver: Driver;
  /** What the plugin announces and the suite knows, oldest first. */
  readonly versions: readonly Version[];
  /** The newest of them: for all calls that do not say otherwise. */
  readonly version: Version;
  readonly speaks: (version: Version) => boolean;
  readonly config: (version?: Version, changes?: JsonObject) => JsonObject;
  /** The variables of a call for `pod`. */
  readonly env: (verb: string, pod?: Pod) => Record<string, string>;
  readonly call: (verb: Verb | (string & {}), pod?: Pod, options?: CallOptions) => Promise<Run>;
  readonly newPod: () => Promise<Pod>;
  /** ADD that the line needs. Throws where it fails. */
  readonly add: (pod?: Pod, options?: CallOptions) => Promise<Added>;
  /** DEL as libcni sends it: with the result of ADD. */
  readonly del: (added: Added, options?: CallOptions) => Promise<Run>;
  readonly check: (added: Added, options?: CallOptions) => Promise<Run>;
  readonly removeNetns: (pod: Pod) => Promise<void>;
  /** Of the node, the plugin's directories and what it remembers. */
  readonly footprint: () => Promise<Footprint>;
  /** What differs from `before` when it has not become the same within `timeoutMs`. */
  readonly settled: (before: Footprint, timeoutMs?: number) => Promise<string[]>;
  /** Every run so far. */
  readonly journal: () => readonly Run[];
  /** DEL of all that was added and removal of all namespaces of pods. */
  readonly closePods: () => Promise<void>;
};

type Opening = {
  readonly target: Target;
  readonly driver: Driver;
  readonly versions: readonly Version[];
  readonly version: Version;
  /** Names of pods' namespaces and containers begin so. */
  readonly name: string;
};

/** How long a plugin may go on after its answer. */
const SETTLE_MS = 3000;
/** Between two lines. */
const CLOSE_MS = 2000;

export function openBench(opening: Opening): Bench {
  const { target, driver, versions, version, name } = opening;
  const journal: Run[] = [];
  const pods = new Set<Pod>();
  /** Calls that undo each ADD that may have left something. */
  const undo: Call[] = [];
  let made = 0;
  /** Of the node without any pod. */
  let home: Footprint | undefined;

  const config: Bench["config"] = (wanted = version, changes = {}) => ({
    ...target.config,
    ...driver.config,
    cniVersion: wanted,
    ...changes,
  });
  const env: Bench["env"] = (verb, pod) => ({
    PATH: process.env["PATH"] ?? "",
    CNI_COMMAND: verb,
    CNI_PATH: target.cniPath,
    ...(pod !== undefined && {
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: IFNAME,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.containerId};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
    }),
  });
  const call: Bench["call"] = async (verb, pod, options = {}) => {
    const whole: Call = {
      verb,
      env: { ...env(verb, pod), ...options.env },
      stdin: options.stdin ?? config(options.version, options.config),
      ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
      ...(options.killAfterMs !== undefined && { killAfterMs: options.killAfterMs }),
    };
    const run = await execute(target.plugin, driver.node, whole);
    journal.push(run);
    if (verb === "ADD" && (run.end === 0 || typeof run.end === "string")) {
      undo.push({ ...whole, verb: "DEL", env: { ...whole.env, CNI_COMMAND: "DEL" }, timeoutMs: 15_000 });
    }
    return run;
  };
  const footprint: Bench["footprint"] = async () => {
    const [network, files, leases] = await Promise.all([
      footprintOf(driver.node),
      filesIn(target.stateDirs),
      driver.leases?.() ?? [],
    ]);
    return [...network, ...files, ...leases.map((lease) => `lease ${lease}`)];
  };
  const bench: Bench = {
    target,
    driver,
    versions,
    version,
    config,
    env,
    call,
    footprint,
    speaks: (wanted) => versions.includes(wanted),
    async newPod() {
      made += 1;
      const namespace = `${name}-${made}`;
      const pod = { containerId: namespace, namespace, netns: `/run/netns/${namespace}` };
      pods.add(pod);
      await makeNamespace(namespace);
      await ip(namespace, "link", "set", "lo", "up");
      return pod;
    },
    async add(given, options) {
      const pod = given ?? (await bench.newPod());
      const run = await call("ADD", pod, options);
      const result = JSON_OBJECT.safeParse(parseJson(run.stdout));
      if (run.end !== 0 || !result.success) {
        throw new Error(`an ADD that this line needs failed: ${describeRun(run)}\n${run.repeat}`);
      }
      return { pod, run, result: result.data };
    },
    del: ({ pod, result }, options = {}) =>
      call("DEL", pod, { ...options, config: { prevResult: result, ...options.config } }),
    check: ({ pod, result }, options = {}) =>
      call("CHECK", pod, { ...options, config: { prevResult: result, ...options.config } }),
    async removeNetns(pod) {
      pods.delete(pod);
      await removeNamespace(pod.namespace);
    },
    settled: async (before, timeoutMs = SETTLE_MS) => {
      let seen: string[] = [];
      const same = async (): Promise<boolean> => {
        seen = differences(before, await footprint());
        return seen.length === 0;
      };
      await until("the same as before", same, timeoutMs, 30).catch(() => undefined);
      return seen;
    },
    journal: () => journal,
    async closePods() {
      for (const one of undo.splice(0)) await execute(target.plugin, driver.node, one);
      for (const pod of pods) await bench.removeNetns(pod);
      // The kernel removes the links of a namespace a little later. What a line leaked must not fail the next one too.
      if (home !== undefined && (await bench.settled(home, CLOSE_MS)).length === 0) return;
      home = await footprint();
    },
  };
  return bench;
}
