/**
 * RunPodSandbox and StopPodSandbox of containerd, as kubelet calls them: with ours and with `bridge` as the network, in turn.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openOneNode } from "../../test/e2e/one-node.ts";
import { prepareAgent } from "../../test/harness/agent.ts";
import { must } from "../../test/harness/process.ts";
import { program } from "../../test/harness/programs.ts";
import { type Containerd, installPlugin } from "../../test/runtime/containerd.ts";
import {
  measureSandboxes,
  type SandboxFigures,
  useBridge,
  untilNetwork,
} from "../../test/runtime/measure.ts";
import {
  CONF_NAME,
  missingProgram,
  openRuntimeNode,
  QUICK_CLOUD,
  type RuntimeNode,
} from "../../test/runtime/node.ts";
import { type Row } from "../figures.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { eniConf } from "../topology.ts";

const ROW = "RunPodSandbox and StopPodSandbox";
/** There at once, in each round of each network. */
const PODS = 8;
/** Sorts before ours: containerd takes the first. */
const PEER_CONF = `00-${CONF_NAME}`;
const WARM = { idleMin: PODS + 4, idleMax: PODS + 16, cooldown: "0s" };

type Samples = { readonly run: number[]; readonly stop: number[] };

/** Of pods one after the other. */
export const measureSandboxRows: Measure = async (run) => {
  const missing = await missingProgram();
  if (missing !== undefined) return [{ kind: "absent", row: ROW, why: missing }];
  await using one = await openOneNode(run.name, { latencies: QUICK_CLOUD });
  let why = "";
  const runtime = await openRuntimeNode(one).catch((cause: unknown) => {
    why = String(cause);
    return undefined;
  });
  if (runtime === undefined) return [{ kind: "absent", row: ROW, why }];
  try {
    return await compare(run, runtime, one.directory);
  } finally {
    const left = await runtime.close();
    if (left.length > 0) run.progress(`left behind: ${left.join("; ")}`);
  }
};

async function compare(run: BenchRun, runtime: RuntimeNode, directory: string): Promise<readonly Row[]> {
  const { containerd, isolation, agentOptions } = runtime;
  const rounds = run.quick ? 1 : 5;
  await prepareAgent({ ...agentOptions, eniConf: eniConf(WARM) });
  await runtime.startAgent();
  // In place of the test's, which records what it is given.
  await installPlugin(containerd.pluginDir, "terway", program("terway"));
  await untilNetwork(containerd.cri, true);
  const ours: Samples = { run: [], stop: [] };
  const bridge: Samples = { run: [], stop: [] };
  for (let round = 0; round <= rounds; round++) {
    for (const [name, samples] of [
      ["ours", ours],
      ["bridge", bridge],
    ] as const) {
      run.signal.throwIfAborted();
      run.progress(`${name}, round ${round} of ${rounds}`);
      if (name === "bridge") await useBridge(containerd, PEER_CONF, join(directory, "bridge"));
      const load = { name, cgroupParent: isolation.cgroup, count: PODS, parallel: 1 };
      const figures = await measureSandboxes(containerd.cri, load);
      checkNetwork(name, figures);
      if (name === "bridge") await dropBridge(containerd, runtime);
      // The first round is not counted: files and code come into memory.
      if (round === 0) continue;
      samples.run.push(...figures.runMs);
      samples.stop.push(...figures.stopMs);
    }
  }
  return (["run", "stop"] as const).map((what): Row => ({
    kind: "comparison",
    row: what === "run" ? "RunPodSandbox" : "StopPodSandbox",
    unit: "ms",
    contenders: [
      { name: "ours", samples: ours[what] },
      { name: "bridge", samples: bridge[what] },
    ],
  }));
}

/** Nothing tells when containerd has read a new configuration; the addresses do. */
function checkNetwork(name: "ours" | "bridge", { addresses }: SandboxFigures): void {
  const other = addresses.find((address) => address.startsWith("10.78.") !== (name === "bridge"));
  if (other !== undefined) throw new Error(`a pod of ${name} has the address ${other}, of the other network`);
}

async function dropBridge(containerd: Containerd, { agentOptions }: RuntimeNode): Promise<void> {
  await rm(join(containerd.confDir, PEER_CONF));
  await must("ip", ["-n", agentOptions.namespace, "link", "delete", "peer0"]);
  await untilNetwork(containerd.cri, true);
}
