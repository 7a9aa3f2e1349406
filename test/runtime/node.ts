/**
 * A node of the simulated VPC with everything that kubelet finds there: containerd, the plugin, its configuration; and, once it is
 * started, the agent.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { run } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { type Ping, parsePing } from "../harness/traffic.ts";
import { type OneNode } from "../e2e/one-node.ts";
import { type Containerd, containerdVersion, installPlugin, startContainerd } from "./containerd.ts";
import { type Sandbox } from "./cri.ts";
import { type Isolation, openIsolation } from "./isolation.ts";
import { makeRecorder } from "./recorder.ts";

/** Name of the file that the agent writes. */
export const CONF_NAME = "10-terway.conflist";

/** `10-terway.conf`, with what containerd is to pass on about a pod. */
const CNI_CONF = {
  name: "terway",
  type: "terway",
  capabilities: { bandwidth: true, "io.kubernetes.cri.pod-annotations": true },
};

/** Waits of a cloud that answers at once: what is looked at here is the runtime. */
export const QUICK_CLOUD = {
  attachLink: { minMs: 50, maxMs: 50 },
  attachInUse: { minMs: 100, maxMs: 100 },
  attachMetadata: { minMs: 150, maxMs: 150 },
  detachDone: { minMs: 100, maxMs: 100 },
  deleteDone: { minMs: 100, maxMs: 100 },
} as const;

export type RuntimeOptions = {
  /** Of `10-terway.conf`. */
  readonly cniVersion?: string;
  /** Searched before PATH for containerd and its shim. */
  readonly programs?: string;
};

const WAITS = { address_cooldown: "3s", vswitch_retry_after: "2s" };

export type RuntimeNode = {
  readonly isolation: Isolation;
  readonly containerd: Containerd;
  /** Records of what containerd gives the plugin are below here (recorder.ts). */
  readonly recordsDirectory: string;
  readonly agentOptions: AgentOptions;
  readonly agent: () => Agent;
  readonly startAgent: () => Promise<Agent>;
  /** A pod with an address of the plugin. */
  readonly run: (name: string, annotations?: Readonly<Record<string, string>>) => Promise<Sandbox>;
  /** Stops and removes it, as kubelet does. */
  readonly end: (id: string) => Promise<void>;
  readonly pingFrom: (sandbox: Sandbox, address: string) => Promise<Ping>;
  /** Ends pods, agent (which gives everything back) and containerd. One line for each thing that is left. */
  readonly close: () => Promise<string[]>;
};

/** Why there can be no runtime: a program that is missing. Undefined: all are there. */
export async function missingProgram(programs?: string): Promise<string | undefined> {
  if ((await containerdVersion(programs)) === undefined)
    return "there is no containerd: pkg-config/setup.sh runtime installs it";
  const runc = await run("sh", ["-c", "PATH=$PATH:/usr/sbin:/sbin runc --version"]);
  if (runc.status !== 0) return `runc does not run: ${runc.stderr.trim()}`;
  const loopback = await run("/usr/lib/cni/loopback", [], {
    env: { CNI_COMMAND: "VERSION" },
    stdin: '{"cniVersion":"1.0.0"}',
  });
  return loopback.status === 0
    ? undefined
    : "there is no /usr/lib/cni/loopback: pkg-config/setup.sh runtime installs it";
}

/**
 * Starts containerd, and proves with a pod on the node's network that it can run pods here. Throws with what containerd or
 * runc said where it cannot.
 */
export async function openRuntimeNode(one: OneNode, options: RuntimeOptions = {}): Promise<RuntimeNode> {
  const { simulator, node } = one;
  const { cniVersion = "1.0.0", programs } = options;
  const directory = join(one.directory, "runtime");
  await mkdir(directory);
  const isolation = await openIsolation(
    `${simulator.name}-pods`,
    `/run/netns/${node.namespace}`,
    join(directory, "var-lib"),
  );
  const opened = await startContainerd({ isolation, directory, ...(programs !== undefined && { programs }) })
    .then(async (containerd) => {
      await proveOnePod(containerd, isolation);
      return containerd;
    })
    .catch(async (error: unknown) => {
      await isolation.close();
      throw error;
    });
  const agentOptions = {
    ...one.agent("agent", WAITS),
    cniConf: JSON.stringify({ ...CNI_CONF, cniVersion }),
    enter: isolation.enterNode,
    flags: ["--cni-conf-dir", opened.confDir],
  };
  await prepareAgent(agentOptions);
  const recorder = await makeRecorder(directory, program("terway"));
  await installPlugin(opened.pluginDir, "terway", recorder);
  return nodeOf(isolation, opened, agentOptions, directory);
}

async function proveOnePod(containerd: Containerd, isolation: Isolation): Promise<void> {
  const id = await containerd.cri.run({
    name: "first",
    namespace: "default",
    cgroupParent: isolation.cgroup,
    network: "NODE",
  });
  await containerd.cri.stop(id);
  await containerd.cri.remove(id);
}

function nodeOf(
  isolation: Isolation,
  containerd: Containerd,
  agentOptions: AgentOptions,
  recordsDirectory: string,
): RuntimeNode {
  const { cri } = containerd;
  let agent: Agent | undefined;
  const self: RuntimeNode = {
    isolation,
    containerd,
    recordsDirectory,
    agentOptions,
    agent() {
      if (agent === undefined) throw new Error("the agent was not started");
      return agent;
    },
    async startAgent() {
      agent = await startAgent(agentOptions);
      return agent;
    },
    async run(name, annotations = {}) {
      const request = { name, namespace: "default", cgroupParent: isolation.cgroup, annotations };
      return cri.sandbox(await cri.run(request));
    },
    async end(id) {
      await cri.stop(id);
      await cri.remove(id);
    },
    async pingFrom(sandbox, address) {
      const inside = `--net=${isolation.outside(sandbox.netns)}`;
      const ran = await run("nsenter", [inside, "ping", "-n", "-c", "3", "-i", "0.01", "-W", "1", address]);
      return parsePing(ran.stdout + ran.stderr);
    },
    async close() {
      let left: string[] = [];
      try {
        for (const id of await cri.list()) await self.end(id);
        cri.close();
        await agent?.stop();
        if (agent !== undefined) await drainAgent(agentOptions);
      } finally {
        agent?.process.kill("SIGKILL");
        left = await isolation.close();
      }
      return left;
    },
  };
  return self;
}
