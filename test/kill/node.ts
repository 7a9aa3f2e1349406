/**
 * A node whose agent can be killed at an effect, and the runtime that drives it: ADDs that are repeated, DELs, and what
 * has to hold all the while.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Agent, type AgentOptions, prepareAgent, startAgent } from "../harness/agent.ts";
import { type Attached, createPod, delPod, type Pod, plugin } from "../harness/pod.ts";
import { must, type Ran, until } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { cooldowns, lookAtKernel, lookAtRecords, type Place } from "./look.ts";
import { formatPlan } from "./plan.ts";

export type KillNode = {
  readonly name: string;
  /** Starts the agent; false where it died at effect `killAt`, counted from its first one, before it served. */
  readonly start: (killAt: number) => Promise<boolean>;
  /** Counts from now on; dies behind the effect of that number or name. */
  readonly arm: (killAt: number | string) => Promise<void>;
  /** SIGKILL from outside. */
  readonly kill: () => Promise<void>;
  readonly isDead: () => boolean;
  /** Since the count began, in order. */
  readonly effects: () => readonly string[];
  /** Waits for an effect of which this is true, or the agent's death. */
  readonly await: (what: string, isIt: (effects: readonly string[]) => boolean) => Promise<void>;
  /** The pod of the number, in a sandbox that nobody has seen. */
  readonly sandbox: (pod: number) => Pod;
  /** One ADD; it may fail. */
  readonly tryAdd: (pod: Pod) => Promise<Ran>;
  /** ADD, repeated where the plugin says "try again later"; then the pod has to reach its gateway. */
  readonly add: (pod: Pod) => Promise<void>;
  readonly reaches: (pod: Pod) => Promise<void>;
  /** DEL that has to succeed, of a pod that has an address. */
  readonly del: (pod: Pod) => Promise<void>;
  /** DEL that has to succeed, of one that may have none. */
  readonly undo: (pod: Pod) => Promise<void>;
  /** The node as it is becomes what it has to come back to. */
  readonly remember: () => Promise<void>;
  /** Waits until it has come back; what differs from that, else nothing. */
  readonly settled: (timeoutMs?: number) => Promise<readonly string[]>;
  /** Waits until no address rests any more; those that do. */
  readonly rested: () => Promise<readonly string[]>;
  /** An address that may not be given away again before `cooldownMs` after now. */
  readonly rests: () => void;
  /** All that was wrong, once. */
  readonly findings: () => readonly string[];
  readonly stop: () => Promise<void>;
  readonly output: () => string;
};

export type NodeSetting = {
  readonly place: Place;
  readonly options: AgentOptions;
  readonly gateway: string;
  /** CNI configuration of the pods. */
  readonly conf: string;
  /** Absent: others are idle, so nothing is known of when one may be given. */
  readonly cooldownMs?: number;
};

const [PATIENCE_MS, SETTLE_MS] = [30_000, 30_000];
const LOOK_MS = 150;
/** Clocks of two processes, and a test that was held up between an answer and the look at the clock. */
const CLOCK_SLACK_MS = 20;

export async function openKillNode(setting: NodeSetting): Promise<KillNode> {
  const { place, options, conf, gateway, cooldownMs } = setting;
  const [plan, trace] = [join(options.directory, "plan"), join(options.directory, "trace")];
  await mkdir(options.directory, { recursive: true });
  await prepareAgent(options);
  const found: string[] = [];
  let baseline: Snapshot = {};
  let agent: Agent | undefined;
  let [run, sandboxes, dead, restingMs] = [0, 0, true, -Infinity];
  for (const namespace of place.pods) {
    await createPod({ name: namespace, namespace, containerId: "", conf });
    // As the runtime does it.
    await must("ip", ["-n", namespace, "link", "set", "lo", "up"]);
  }

  const write = (killAt: number | string): void => {
    run += 1;
    writeFileSync(plan, formatPlan({ run, killAt }));
  };
  const lines = (): readonly string[] => {
    const all = readFileSync(trace, "utf8").split("\n");
    return all.slice(all.lastIndexOf(`armed ${run}`) + 1, -1);
  };
  const watchEnd = async (started: Agent): Promise<void> => {
    await started.process.ended;
    if (agent === started) dead = true;
  };
  const self: KillNode = {
    name: place.node.name,
    isDead: () => dead,
    findings: () => found.splice(0),
    output: () => readFileSync(join(options.directory, "agent.log"), "utf8"),
    effects: () => lines().map((line) => line.slice(line.indexOf(" ") + 1)),
    async start(killAt) {
      // Of one that died.
      await rm(join(options.directory, "run/agent.sock"), { force: true });
      await rm(trace, { force: true });
      await rm(join(options.directory, "agent.log"), { force: true });
      write(killAt);
      try {
        agent = await startAgent(options);
      } catch (error) {
        if (killAt > 0 && lines().length === killAt) return false;
        throw error;
      }
      dead = false;
      void watchEnd(agent);
      return true;
    },
    async arm(killAt) {
      write(killAt);
      process.kill(agent?.process.pid ?? 0, "SIGUSR2");
      await until(
        "the agent counts",
        async () => readFileSync(trace, "utf8").includes(`armed ${run}\n`),
        5000,
        5,
      );
    },
    async kill() {
      await agent?.kill();
      dead = true;
    },
    await: (what, isIt) =>
      until(what, async () => dead || isIt(self.effects()), PATIENCE_MS, 10).then(() => undefined),
    sandbox(pod) {
      sandboxes += 1;
      const name = `${place.node.name}-p${pod}`;
      return { name, namespace: place.pods[pod] ?? "", containerId: `${name}-${sandboxes}`, conf };
    },
    tryAdd: (pod) => plugin("ADD", pod),
    async add(pod) {
      const ran = await until(
        `ADD of ${pod.name} succeeds`,
        async () => {
          const tried = await plugin("ADD", pod);
          if (tried.status === 0 || !tried.stdout.includes('"code":11,')) return tried;
          return undefined;
        },
        PATIENCE_MS,
        100,
      );
      if (ran.status !== 0) throw new Error(`ADD of ${pod.name}: ${ran.stdout}${ran.stderr}`);
      const restedMs = performance.now() - restingMs;
      if (cooldownMs !== undefined && restedMs + CLOCK_SLACK_MS < cooldownMs)
        found.push(`${addressOf(ran)} was given away ${Math.round(restedMs)} ms after its release`);
      await self.reaches(pod);
    },
    async reaches(pod) {
      // The data plane of the cloud follows its answers a little later.
      await until(
        `${pod.name} reaches ${gateway}`,
        async () => (await ping(pod.namespace, gateway, 1)).received === 1,
        3000,
      );
    },
    async del(pod) {
      restingMs = performance.now();
      await delPod(pod);
    },
    async undo(pod) {
      await delPod(pod);
    },
    rests() {
      restingMs = performance.now();
    },
    async remember() {
      await until(
        "the node is quiet",
        async () => {
          const former = baseline;
          baseline = { ...(await lookAtRecords(place)), ...(await lookAtKernel(place)) };
          return "cloud: ENIs" in former && differences(former, baseline).length === 0;
        },
        PATIENCE_MS,
        500,
      );
    },
    async settled(timeoutMs = SETTLE_MS) {
      let left: readonly string[] = ["nobody could look"];
      await until(
        "the node has come back",
        async () => {
          // The kernel is asked, by several processes, where all others agree already.
          left = changed(baseline, await lookAtRecords(place));
          if (left.length === 0) left = changed(baseline, await lookAtKernel(place));
          return left.length === 0;
        },
        timeoutMs,
        LOOK_MS,
      ).catch(() => undefined);
      return left;
    },
    async rested() {
      let left: readonly string[] = ["nobody could look"];
      await until(
        "no address rests",
        async () => {
          left = cooldowns(place.stateDir);
          return left.length === 0;
        },
        5000,
      ).catch(() => undefined);
      return left;
    },
    async stop() {
      await agent?.stop();
    },
  };
  return self;
}

/** Of what was looked at now. */
function changed(baseline: Snapshot, now: Snapshot): readonly string[] {
  return differences(
    Object.fromEntries(Object.keys(now).map((title) => [title, baseline[title] ?? ""])),
    now,
  );
}

function addressOf({ stdout }: Ran): string {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the plugin's own tests check the shape
  return (JSON.parse(stdout) as Attached["result"]).ips[0]?.address ?? "?";
}
