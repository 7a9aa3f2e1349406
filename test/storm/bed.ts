/**
 * Where a storm blows: one node of a simulated VPC, the built agent with time of its own, pods in namespaces, and in the end
 * what every storm has to hold. Nothing of it is left, whatever happens.
 *
 * @module
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";
import { askOperator } from "../../sim/cli/operator-client.ts";
import { type CallReport } from "../../sim/model/calls.ts";
import { DEFAULT_TOPOLOGY_FILE } from "../../sim/model/topology-default.ts";
import { type TopologyFile } from "../../sim/model/topology.ts";
import { CNI_CONF, type OneNode, openOneNode, socketOf } from "../e2e/one-node.ts";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { confFor, delPod, type Pod } from "../harness/pod.ts";
import { must, until } from "../harness/process.ts";
import { callReport } from "../harness/simulator.ts";
import { differences } from "../harness/snapshot.ts";
import { type Ping, pingStream } from "../harness/traffic.ts";
import { aboveBudget } from "./calls.ts";
import { type Growth, growthOf, type MemoryLook } from "./memory.ts";

/** Minutes of the long storms: an hour without cloud takes so long, and a churn does. */
export const STORM_MINUTES = Number(process.env["STORM_MINUTES"] ?? "0.75");

export type StormOptions = {
  /** A part of every name on the machine. */
  readonly name: string;
  /** Milliseconds of cloud and agent in one of the machine. */
  readonly scale: number;
  /** Changes to `ENI_CONF` of the end-to-end tests. */
  readonly eniConf: Readonly<Record<string, unknown>>;
  /** Changes to the default topology, and the type of its first node. */
  readonly topology?: Partial<TopologyFile>;
  readonly instanceType?: string;
  /** The agent signs with keys of the instance's RAM role, which the metadata service gives. */
  readonly ramRole?: boolean;
};

export type Storm = AsyncDisposable & {
  readonly one: OneNode;
  readonly agent: () => Agent;
  /** SIGKILL, and another one, with these changes to its `eni_conf`. */
  readonly restart: (changes?: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Network namespaces of pods, made at once, removed in the end. */
  readonly pods: (prefix: string, count: number) => Promise<readonly Pod[]>;
  /** From now on the pod sends a packet each 20 ms, until the end; none may be lost. */
  readonly talk: (pod: Pod) => void;
  /** `terway-sim fault …`. */
  readonly fault: (...words: readonly string[]) => Promise<void>;
  readonly calls: () => Promise<CallReport>;
  readonly simulatedMs: () => Promise<number>;
  /** Waits until the cloud has given the node so many addresses more than pods have. */
  readonly idle: (count: number) => Promise<void>;
  /** Waits so long in simulated time. */
  readonly pass: (minutes: number) => Promise<void>;
  /** Collects the agent's garbage and looks at its memory. */
  readonly lookAtMemory: () => Promise<void>;
  /** Of all looks. */
  readonly growth: () => Growth;
  /** Waits for a line of the agent's log. */
  readonly says: (text: string, timeoutMs: number) => Promise<void>;
  /**
   * Deletes the pods that have an address, stops and drains the agent. One line for each packet that was lost, window of calls
   * above the budget, thing that is left in cloud and kernel.
   */
  readonly end: (pods: readonly Pod[]) => Promise<string[]>;
};

/** A line of figures in the output of the tests. */
export function note(storm: string, figures: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`  storm: ${storm}: ${JSON.stringify(figures)}\n`);
}

/** The agent serves when it resolves. */
export async function openStorm(options: StormOptions): Promise<Storm> {
  const { name, scale, instanceType, topology = {} } = options;
  const instances = DEFAULT_TOPOLOGY_FILE.instances
    .slice(0, 1)
    .map((instance) => ({ ...instance, ...(instanceType !== undefined && { type: instanceType }) }));
  await using stack = new AsyncDisposableStack();
  // An ENI that was made when the storm began waits as long as it lasts.
  const limits = { ownerlessMs: 7_200_000 };
  const one = stack.use(
    await openOneNode(name, { limits, ...topology, instances }, ["--time-scale", `${scale}`]),
  );
  const before = await one.snapshot();
  const memoryPath = join(one.directory, "memory");
  const enter = enterWith(one, scale, memoryPath);
  const keys = options.ramRole === true ? { accessKeyId: "", accessKeySecret: "" } : {};
  const agentOptions: AgentOptions = { ...one.agent("agent", options.eniConf), enter, ...keys };
  await prepareAgent(agentOptions);
  const start = async (): Promise<Agent> => {
    const started = await startAgent(agentOptions);
    if (scale !== 1) started.process.kill("SIGHUP");
    return started;
  };
  let agent = await start();
  stack.defer(() => agent.kill());
  const streams: { readonly pod: Pod; readonly stop: () => Promise<Ping> }[] = [];
  stack.defer(async () => void (await Promise.all(streams.map(({ stop }) => stop()))));
  const { lookAtMemory, growth } = memoryOf(() => agent, memoryPath);
  const pods = podsOf(name, agentOptions, stack.use(new AsyncDisposableStack()));
  const moved = stack.move();
  return {
    one,
    agent: () => agent,
    async restart(changes = {}) {
      await agent.kill();
      const { eniConf } = one.agent("agent", { ...options.eniConf, ...changes });
      await writeFile(join(agentOptions.directory, "eni-config/eni_conf"), eniConf);
      agent = await start();
    },
    pods,
    talk(pod) {
      const gateway = one.simulator.gateways["vsw-pods-h2"] ?? "";
      streams.push({ pod, ...pingStream(pod.namespace, gateway, 20) });
    },
    fault: async (...words) => void (await one.simulator.call("fault", ...words)),
    calls: async () => callReport(name),
    simulatedMs: async () => (await simulatorStatus(name)).nowMs,
    idle: async (count) => {
      await until(
        `${count} addresses are idle`,
        async () => (await idleOf(one, agentOptions)) >= count,
        60_000,
      );
    },
    pass: async (minutes) => passes(name, minutes),
    lookAtMemory,
    growth,
    says: async (text, timeoutMs) => {
      await until(`the agent says "${text}"`, async () => agent.process.output().includes(text), timeoutMs);
    },
    async end(attached) {
      const stopped = await Promise.all(
        streams.splice(0).map(async ({ pod, stop }) => ({ pod, ...(await stop()) })),
      );
      const lost = stopped
        .filter(({ sent, received }) => sent === 0 || received < sent)
        .map(({ pod, sent, received }) => `${pod.name}: ${received} of ${sent} packets`);
      const above = aboveBudget(await callReport(name), slackS(scale));
      for (const pod of attached) await delPod(pod);
      await spoolEmpty(agentOptions);
      const status = await agent.stop();
      await drainAgent(agentOptions);
      const left = differences(before, await one.snapshot());
      return [...lost, ...above, ...(status === 0 ? [] : [`terwayd ended with ${status}`]), ...left];
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** Addresses of ENIs in use that no lease of the agent's database has. */
async function idleOf({ simulator }: OneNode, { directory }: AgentOptions): Promise<number> {
  using database = new DatabaseSync(join(directory, "state/agent.db"), { readOnly: true });
  const used = database.prepare("SELECT count(*) AS used FROM lease").get();
  const enis = (await simulator.enis()).filter(({ isPrimary, status }) => !isPrimary && status === "InUse");
  return enis.flatMap(({ addresses }) => addresses).length - Number(used?.["used"] ?? 0);
}

/** A DEL that the agent did not answer in the plugin's time, which does not pass faster, is carried out soon. */
async function spoolEmpty({ directory }: AgentOptions): Promise<void> {
  const spool = join(directory, "state/spool");
  const waiting = async (): Promise<string[]> =>
    (await readdir(spool).catch(() => [])).filter((file) => file.endsWith(".del"));
  await until("no DEL waits in the spool", async () => (await waiting()).length === 0, 30_000);
}

/** A call may be late in the log by what a busy machine takes to make it, in whole seconds of the cloud. */
function slackS(scale: number): number {
  return Math.ceil((100 * scale) / 1000);
}

/** The command that runs the agent in the node, in the cloud's time. */
function enterWith({ node }: OneNode, scale: number, memoryPath: string): readonly string[] {
  return [
    "ip",
    "netns",
    "exec",
    node.namespace,
    "env",
    `NODE_OPTIONS=--import=${new URL("./agent-entry.ts", import.meta.url).href}`,
    `STORM_SCALE=${scale}`,
    `STORM_MEMORY=${memoryPath}`,
  ];
}

function memoryOf(agent: () => Agent, path: string): Pick<Storm, "lookAtMemory" | "growth"> {
  const looks: MemoryLook[] = [];
  let read = 0;
  const lines = async (): Promise<string[]> =>
    (await readFile(path, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return {
    async lookAtMemory() {
      process.kill(agent().process.pid, "SIGUSR2");
      const line = await until("the agent's memory is known", async () => (await lines())[read], 30_000, 20);
      read += 1;
      looks.push(MEMORY.parse(JSON.parse(line)));
    },
    growth: () => growthOf(looks),
  };
}

const MEMORY = z.object({ heapUsed: z.number(), external: z.number(), rss: z.number() });

/** One process for all: a hundred namespaces take a second. */
function podsOf(name: string, agent: AgentOptions, stack: AsyncDisposableStack): Storm["pods"] {
  return async (prefix, count) => {
    const pods = Array.from({ length: count }, (_, index): Pod => {
      const own = `${prefix}${index}`;
      const conf = confFor(CNI_CONF, socketOf(agent));
      return { name: own, namespace: `${name}-${own}`, containerId: `${own}-sandbox`, conf };
    });
    const batch = (verb: string): string =>
      pods.map(({ namespace }) => `netns ${verb} ${namespace}\n`).join("");
    stack.defer(async () => void (await must("ip", ["-force", "-batch", "-"], { stdin: batch("delete") })));
    await must("ip", ["-batch", "-"], { stdin: batch("add") });
    return pods;
  };
}

const STATUS = z.object({ nowMs: z.number(), timeScale: z.number() });

async function simulatorStatus(name: string): Promise<z.infer<typeof STATUS>> {
  const asked = await askOperator(name, { method: "GET", path: "/_sim/status" }, STATUS);
  if (!asked.ok) throw new Error(asked.fault.message);
  return asked.value;
}

async function passes(name: string, minutes: number): Promise<void> {
  const { nowMs, timeScale } = await simulatorStatus(name);
  const untilMs = nowMs + minutes * 60_000;
  const timeoutMs = (minutes * 60_000) / timeScale + 10_000;
  await until(
    `${minutes} minutes pass`,
    async () => (await simulatorStatus(name)).nowMs >= untilMs,
    timeoutMs,
    50,
  );
}
