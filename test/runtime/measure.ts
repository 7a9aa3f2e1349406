/**
 * How long a runtime takes for a pod's whole life, with whatever network is configured.
 *
 * @module
 */
import { type Cri } from "./cri.ts";
import { writeConf, type Containerd, installPlugin } from "./containerd.ts";
import { until } from "../harness/process.ts";

export type SandboxFigures = {
  /** Milliseconds of each RunPodSandbox, in the order of their ends. */
  readonly runMs: readonly number[];
  readonly stopMs: readonly number[];
  readonly removeMs: readonly number[];
  /** Of each pod. */
  readonly addresses: readonly string[];
};

export type SandboxLoad = {
  /** Of each pod's name. */
  readonly name: string;
  readonly cgroupParent: string;
  readonly count: number;
  /** So many at a time. */
  readonly parallel: number;
};

/** Makes `count` pods, which are all there at once, then stops and removes them. */
export async function measureSandboxes(cri: Cri, load: SandboxLoad): Promise<SandboxFigures> {
  const { name, cgroupParent, count, parallel } = load;
  const numbers = Array.from({ length: count }, (_, index) => index);
  const runMs: number[] = [];
  const stopMs: number[] = [];
  const removeMs: number[] = [];
  const ids: string[] = [];
  try {
    await eachOf(numbers, parallel, async (number) => {
      const request = { name: `${name}-${number}`, namespace: "default", cgroupParent };
      ids.push(await timed(runMs, async () => cri.run(request)));
    });
    const sandboxes = await Promise.all(ids.map(async (id) => cri.sandbox(id)));
    return { runMs, stopMs, removeMs, addresses: sandboxes.map(({ address }) => address) };
  } finally {
    await eachOf(ids, parallel, async (id) => timed(stopMs, async () => cri.stop(id)));
    await eachOf(ids, parallel, async (id) => timed(removeMs, async () => cri.remove(id)));
  }
}

/** Of an odd or even number of values; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
  const high = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  return (low + high) / 2;
}

/** Makes `bridge` with `host-local` the network of new pods, as a peer; waits until containerd has it. */
export async function useBridge(containerd: Containerd, confName: string, dataDir: string): Promise<void> {
  for (const name of ["bridge", "host-local"]) {
    await installPlugin(containerd.pluginDir, name, `/usr/lib/cni/${name}`);
  }
  const ipam = { type: "host-local", dataDir, ranges: [[{ subnet: "10.78.0.0/16" }]] };
  await writeConf(containerd.confDir, confName, {
    cniVersion: "1.0.0",
    name: "peer",
    plugins: [{ type: "bridge", bridge: "peer0", isGateway: true, ipam }],
  });
  await untilNetwork(containerd.cri, true);
}

/** Waits until the runtime says that it has a network, or that it has none. */
export async function untilNetwork(cri: Cri, isReady: boolean, timeoutMs = 10_000): Promise<void> {
  await until(
    `the runtime says that its network is ${isReady ? "" : "not "}ready`,
    async () =>
      (await cri.conditions()).some(({ type, status }) => type === "NetworkReady" && status === isReady),
    timeoutMs,
    20,
  );
}

async function timed<Value>(into: number[], work: () => Promise<Value>): Promise<Value> {
  const startedMs = performance.now();
  const value = await work();
  into.push(performance.now() - startedMs);
  return value;
}

async function eachOf<Item>(
  items: readonly Item[],
  parallel: number,
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const rest = [...items];
  const lane = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}
