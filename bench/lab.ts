/**
 * A cloud of its own with one node, one agent and its containers, for one row of the benchmark. Everything that was made
 * is gone when the row ends, however it ends.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CallReport } from "../sim/model/calls.ts";
import { type Agent, type AgentOptions, prepareAgent, startAgent } from "../test/harness/agent.ts";
import { confFor } from "../test/harness/pod.ts";
import { must, run } from "../test/harness/process.ts";
import { program } from "../test/harness/programs.ts";
import { type SimNode, type Simulator, simulatorUp } from "../test/harness/simulator.ts";
import { type AgentPhases, phasesOf } from "./agent-log.ts";
import { type Calls, callsBetween } from "./call-counts.ts";
import { type Container, type Contender, openOurs } from "./contender.ts";
import { type BenchRun } from "./run.ts";
import {
  benchTopology,
  type CloudSettings,
  CNI_CONF,
  eniConf,
  POD_VSWITCH,
  type PoolSettings,
  SMALL_NODE,
} from "./topology.ts";

/** Longer than any wait of the agent between two calls that belong together. */
const QUIET_MS = 6000;
const SETTLE_TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 500;

export type Lab = {
  readonly run: BenchRun;
  readonly node: SimNode;
  readonly directory: string;
  /** Of the pods' vSwitch. */
  readonly gateway: string;
  readonly ours: Contender;
  /** Starts the agent and waits for SERVING; the milliseconds from the exec until then. */
  readonly start: () => Promise<number>;
  /** SIGTERM, and wait for the end. */
  readonly stop: () => Promise<void>;
  /** Forgets what the agent stored; it must be stopped. */
  readonly emptyStore: () => Promise<void>;
  /** Process of the agent, which is up. */
  readonly agentPid: () => number;
  /** From the log of all agents of this lab. */
  readonly phases: () => AgentPhases;
  /** Makes namespaces for containers, which are deleted in the end. */
  readonly containers: (count: number) => Promise<readonly Container[]>;
  /** A network namespace with nothing in it, deleted in the end. */
  readonly namespace: (suffix: string) => Promise<string>;
  /** The calls that `work` causes; with `settled`, also those that follow until the node is quiet. */
  readonly counting: <Value>(
    work: () => Promise<Value>,
    until?: "settled",
  ) => Promise<readonly [Value, Calls]>;
  /** Waits until no call was made for six seconds. */
  readonly settled: () => Promise<void>;
};

/** Opens a lab, lets `body` work in it and takes it down. */
export async function withLab<Value>(
  bench: BenchRun,
  pool: PoolSettings,
  body: (lab: Lab) => Promise<Value>,
  cloud: CloudSettings = SMALL_NODE,
): Promise<Value> {
  bench.signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), `terway-${bench.name}-`));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const topology = join(directory, "topology.json");
  await writeFile(topology, JSON.stringify(benchTopology(cloud), undefined, 2));
  const simulator = await openSimulator(bench, topology, stack);
  const [node] = simulator.nodes;
  if (node === undefined) throw new Error("the simulated VPC has no node");
  const agent = await openAgent(simulator, node, directory, pool, stack);
  const namespace = openNamespaces(bench, stack);
  let made = 0;
  return await body({
    run: bench,
    node,
    directory,
    gateway: simulator.gateways[POD_VSWITCH] ?? "",
    ...agent,
    ...openCounter(bench, simulator),
    namespace,
    async containers(count) {
      const containers: Container[] = [];
      for (; containers.length < count; made++) {
        bench.signal.throwIfAborted();
        const netns = await namespace(`p${made}`);
        containers.push({ id: `${netns}-sandbox`, netns });
      }
      return containers;
    },
  });
}

async function openSimulator(
  bench: BenchRun,
  topology: string,
  stack: AsyncDisposableStack,
): Promise<Simulator> {
  try {
    const simulator = await simulatorUp(bench.name, [topology]);
    stack.defer(() => simulator.down());
    return simulator;
  } catch (cause) {
    // It may have been interrupted half way; the sentence that counts is the one of `up`.
    await run(program("terway-sim"), ["down", "--name", bench.name]);
    throw cause;
  }
}

async function openAgent(
  simulator: Simulator,
  node: SimNode,
  directory: string,
  pool: PoolSettings,
  stack: AsyncDisposableStack,
): Promise<Pick<Lab, "ours" | "start" | "stop" | "emptyStore" | "agentPid" | "phases">> {
  const options: AgentOptions = {
    namespace: node.namespace,
    directory,
    eniConf: eniConf(pool),
    cniConf: CNI_CONF,
    accessKeyId: simulator.accessKeyId,
    accessKeySecret: simulator.accessKeySecret,
    apiUrl: simulator.apiUrl,
  };
  await prepareAgent(options);
  let agent: Agent | undefined;
  let log = "";
  const stop = async (): Promise<void> => {
    if (agent === undefined) return;
    const { process, stop } = agent;
    agent = undefined;
    const status = await stop();
    log = process.output();
    if (status !== 0) throw new Error(`terwayd ended with ${status}:\n${log.slice(-4000)}`);
  };
  stack.defer(stop);
  return {
    ours: openOurs(node.namespace, confFor(CNI_CONF, join(directory, "run/agent.sock")), directory),
    async start() {
      const startedMs = performance.now();
      const started = await startAgent(options);
      agent = started;
      return performance.now() - startedMs;
    },
    stop,
    emptyStore: () => rm(join(directory, "state"), { recursive: true, force: true }),
    agentPid() {
      if (agent === undefined) throw new Error("the agent is not up");
      return agent.process.pid;
    },
    phases: () => phasesOf(agent?.process.output() ?? log),
  };
}

function openNamespaces(bench: BenchRun, stack: AsyncDisposableStack): Lab["namespace"] {
  return async (suffix) => {
    const name = `${bench.name}-${suffix}`;
    stack.defer(async () => {
      await run("ip", ["netns", "delete", name]);
    });
    await must("ip", ["netns", "add", name]);
    return name;
  };
}

function openCounter(bench: BenchRun, simulator: Simulator): Pick<Lab, "counting" | "settled"> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the command prints has this type
  const report = async (): Promise<CallReport> => (await simulator.json("calls")) as CallReport;
  const settled = async (): Promise<void> => {
    const startedMs = performance.now();
    let quietSinceMs = startedMs;
    for (let last = await report(); performance.now() - quietSinceMs < QUIET_MS;) {
      if (performance.now() - startedMs > SETTLE_TIMEOUT_MS) {
        throw new Error(`the node still makes calls after ${SETTLE_TIMEOUT_MS / 1000} s`);
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal: bench.signal });
      const now = await report();
      const { openApi, metadata } = callsBetween(last, now);
      if (openApi + metadata > 0) quietSinceMs = performance.now();
      last = now;
    }
  };
  return {
    settled,
    async counting(work, until) {
      const before = await report();
      const value = await work();
      if (until === "settled") await settled();
      return [value, callsBetween(before, await report())];
    },
  };
}
