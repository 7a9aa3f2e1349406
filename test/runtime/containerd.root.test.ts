/**
 * containerd and runc drive the plugin through the Container Runtime Interface, as kubelet makes them: inside a node of the
 * simulated VPC. Where they cannot run, the summary says why.
 *
 * @module
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { must, until } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, hostSnapshot, machineChanges, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "../e2e/one-node.ts";
import { installPlugin } from "./containerd.ts";
import { measureSandboxes, median, untilNetwork, useBridge } from "./measure.ts";
import { CONF_NAME, missingProgram, openRuntimeNode, QUICK_CLOUD, type RuntimeNode } from "./node.ts";
import { cannotRun, note } from "./notes.ts";
import { type CniRecord, recordsIn } from "./recorder.ts";

const PODS = 40;
const AT_A_TIME = 8;
const COMPARED = 12;

describe("containerd", () => {
  let machine: Snapshot;
  let nodeBefore: Snapshot;
  let one: OneNode | undefined;
  let opened: RuntimeNode | undefined;
  let why = "";

  beforeAll(async () => {
    machine = await hostSnapshot();
    const missing = await missingProgram();
    if (missing !== undefined) {
      why = missing;
    } else {
      one = await openOneNode(`tw${process.pid}r`, { latencies: QUICK_CLOUD });
      nodeBefore = await one.snapshot();
      opened = await openRuntimeNode(one).catch((error: unknown) => {
        why = String(error);
        return undefined;
      });
    }
    if (opened === undefined) cannotRun("containerd", why);
  });

  afterAll(async () => {
    const left: string[] = [];
    try {
      left.push(...((await opened?.close()) ?? []));
      if (one !== undefined) left.push(...differences(nodeBefore, await one.snapshot()));
    } finally {
      await one?.[Symbol.asyncDispose]();
    }
    expect([...left, ...machineChanges(machine, await hostSnapshot(), `tw${process.pid}r`)]).toEqual([]);
  });

  afterEach(async () => {
    for (const id of (await opened?.containerd.cri.list()) ?? []) await opened?.end(id);
  });

  /** A test that says in the summary why it did not run. */
  const scenario = (title: string, work: (runtime: RuntimeNode, cloud: OneNode) => Promise<void>): void => {
    it(title, async ({ skip }) => {
      if (opened === undefined || one === undefined) skip(why);
      else await work(opened, one);
    });
  };

  scenario("has no network until the agent serves", async (runtime) => {
    const { containerd } = runtime;
    await untilNetwork(containerd.cri, false);
    await expect(runtime.run("early")).rejects.toThrow("cni plugin not initialized");
    await runtime.startAgent();
    await untilNetwork(containerd.cri, true);
    expect(await readdir(containerd.confDir)).toEqual([CONF_NAME]);
  });

  scenario(
    "gives a pod an address of the VPC, and passes its name and annotations on",
    async (runtime, cloud) => {
      const annotations = {
        "kubernetes.io/ingress-bandwidth": "10M",
        "kubernetes.io/egress-bandwidth": "20M",
        "example.com/team": "blue",
      };
      const first = await runtime.run("first", annotations);
      const second = await runtime.run("second");
      const { simulator, node } = cloud;
      const enis = await simulator.enis();
      for (const { address, state } of [first, second]) {
        expect(state).toBe("SANDBOX_READY");
        const eni = enis.find(({ addresses }) => addresses.includes(address));
        expect(eni).toMatchObject({ instance: node.instance, vSwitch: "vsw-pods-h2" });
        expect(await ping(node.namespace, address)).toMatchObject({ received: 3 });
      }
      // Another node, in another zone: through the VPC.
      const other = simulator.nodes.find(({ name }) => name === "node-2");
      expect(await ping(other?.namespace ?? "", first.address)).toMatchObject({ received: 3 });
      expect(await runtime.pingFrom(first, second.address)).toMatchObject({ received: 3 });
      expect(await runtime.pingFrom(first, simulator.gateways["vsw-pods-h2"] ?? "")).toMatchObject({
        received: 3,
      });
      const added = await onlyRecord(runtime, "ADD", first.id);
      expect(added.env["ARGS"]?.split(";").sort()).toEqual([
        "IgnoreUnknown=1",
        `K8S_POD_INFRA_CONTAINER_ID=${first.id}`,
        "K8S_POD_NAME=first",
        "K8S_POD_NAMESPACE=default",
        "K8S_POD_UID=default-first",
      ]);
      expect(JSON.parse(added.stdin)).toMatchObject({
        name: "terway",
        runtimeConfig: {
          // Capitals, unlike the conventions of CNI: containerd 1.6 and 1.7 write the keys so.
          bandwidth: { IngressRate: 10_000_000, EgressRate: 20_000_000 },
          "io.kubernetes.cri.pod-annotations": annotations,
        },
      });
      // The limits hold on the node, to the pod and from it; a pod without annotations has none.
      const shown = await must("ip", ["netns", "exec", node.namespace, "tc", "qdisc", "show"]);
      const buckets = shown.split("\n").filter((line) => line.startsWith("qdisc tbf"));
      const rates = buckets.map((line) => line.replace(/^.* dev (t[wi])\w+ .* rate (\w+) .*$/, "$1 $2"));
      expect(rates.toSorted((a, b) => a.localeCompare(b))).toEqual(["ti 20Mbit", "tw 10Mbit"]);
      expect(runtime.agent().process.output()).toContain('"pod":"default/first"');
      await runtime.end(first.id);
      await runtime.end(second.id);
    },
  );

  scenario(
    "takes DEL twice, the second without a namespace, and lets the address cool down",
    async (runtime) => {
      const pod = await runtime.run("twice");
      await runtime.end(pod.id);
      const deleted = (await recordsOf(runtime, pod.id)).filter(({ command }) => command === "DEL");
      expect(deleted.map(({ env, status, stdout }) => ({ netns: env["NETNS"], status, stdout }))).toEqual([
        { netns: pod.netns, status: 0, stdout: "" },
        { netns: "", status: 0, stdout: "" },
      ]);
      const next = await runtime.run("next");
      expect(next.address).not.toBe(pod.address);
      expect(await runtime.pingFrom(next, pod.address)).toMatchObject({ received: 0 });
      await runtime.end(next.id);
    },
  );

  scenario("keeps pods when containerd is killed, and lets them go afterwards", async (runtime, { node }) => {
    const { containerd } = runtime;
    const pod = await runtime.run("survivor");
    await containerd.kill();
    expect(await ping(node.namespace, pod.address)).toMatchObject({ received: 3 });
    await containerd.start();
    expect(await containerd.cri.sandbox(pod.id)).toEqual(pod);
    await untilNetwork(containerd.cri, true);
    await runtime.end(pod.id);
    expect(await containerd.cri.list()).toEqual([]);
    expect(await ping(node.namespace, pod.address)).toMatchObject({ received: 0 });
  });

  scenario("shows why a pod gets no address, and cleans up", async (runtime, { simulator }) => {
    await simulator.call("fault", "drain", "vsw-pods-h2");
    const pods: string[] = [];
    const more = async (): Promise<string | undefined> =>
      runtime.run(`fill-${pods.length}`).then(
        ({ id }) => {
          pods.push(id);
          return undefined;
        },
        (error: unknown) => String(error),
      );
    const refused = await until("a pod is refused", more, 60_000, 0);
    expect(refused).toMatch(/plugin type="terway" failed \(add\).*vsw-pods-h2/);
    const failed = (await recordsIn(runtime.recordsDirectory)).findLast(({ status }) => status !== 0);
    const cleaned = await recordsOf(runtime, failed?.env["CONTAINERID"] ?? "");
    expect(cleaned.map(({ command, status }) => ({ command, status }))).toEqual([
      { command: "ADD", status: 1 },
      { command: "DEL", status: 0 },
    ]);
    await simulator.call("fault", "refill", "vsw-pods-h2");
    await until("a pod is served again", async () => (await more()) === undefined, 20_000, 200);
    for (const id of pods) await runtime.end(id);
    expect(await runtime.containerd.cri.list()).toEqual([]);
  });

  scenario("ends pods while the agent is away, which makes up for it", async (runtime) => {
    const spool = join(runtime.agentOptions.directory, "state/spool");
    const pod = await runtime.run("orphan");
    expect(await runtime.agent().stop()).toBe(0);
    await expect(runtime.run("unserved")).rejects.toThrow(/the terway agent does not answer/);
    await runtime.end(pod.id);
    expect(await runtime.containerd.cri.list()).toEqual([]);
    expect(await readdir(spool)).toHaveLength(2);
    await runtime.startAgent();
    await until(
      "the agent has carried out what was kept",
      async () => (await readdir(spool)).length === 0,
      10_000,
    );
  });

  for (const { title, parallel } of [
    { title: "one after the other", parallel: 1 },
    { title: `${AT_A_TIME} at a time`, parallel: AT_A_TIME },
  ]) {
    scenario(`makes ${PODS} pods ${title}, each with its own address`, async (runtime) => {
      const { cri, pluginDir } = runtime.containerd;
      await installPlugin(pluginDir, "terway", program("terway"));
      const load = {
        name: `many-${parallel}`,
        cgroupParent: runtime.isolation.cgroup,
        count: PODS,
        parallel,
      };
      const figures = await measureSandboxes(cri, load);
      expect(new Set(figures.addresses.filter(Boolean)).size).toBe(PODS);
      expect(await cri.list()).toEqual([]);
      note(`containerd, ${PODS} pods ${title}: ${mediansOf(figures)}`);
    });
  }

  scenario("is compared with bridge and host-local", async (runtime, { node, directory }) => {
    const { containerd, isolation } = runtime;
    const inNode = ["netns", "exec", node.namespace];
    const forwarding = "/proc/sys/net/ipv4/ip_forward";
    const before = (await must("ip", [...inNode, "cat", forwarding])).trim();
    const load = { cgroupParent: isolation.cgroup, count: COMPARED, parallel: 1 };
    await installPlugin(containerd.pluginDir, "terway", program("terway"));
    const ours = await measureSandboxes(containerd.cri, { ...load, name: "ours" });
    await useBridge(containerd, CONF_NAME, join(directory, "bridge"));
    const peer = await measureSandboxes(containerd.cri, { ...load, name: "peer" });
    expect(new Set(peer.addresses).size).toBe(COMPARED);
    expect(peer.addresses.every((address) => address.startsWith("10.78."))).toBe(true);
    note(`containerd ${containerd.version}, pods one after the other: ours ${mediansOf(ours)}`);
    note(`containerd ${containerd.version}, pods one after the other: bridge ${mediansOf(peer)}`);
    await must("ip", ["-n", node.namespace, "link", "delete", "peer0"]);
    await must("ip", [...inNode, "sh", "-c", `echo ${before} >${forwarding}`]);
    await rm(join(containerd.confDir, CONF_NAME));
  });
});

async function recordsOf(runtime: RuntimeNode, containerId: string): Promise<CniRecord[]> {
  const records = await recordsIn(runtime.recordsDirectory);
  return records.filter(({ env }) => env["CONTAINERID"] === containerId);
}

async function onlyRecord(runtime: RuntimeNode, command: string, containerId: string): Promise<CniRecord> {
  const [record, ...more] = (await recordsOf(runtime, containerId)).filter((one) => one.command === command);
  if (record === undefined || more.length > 0) throw new Error(`not one ${command} of ${containerId}`);
  return record;
}

function mediansOf(figures: Awaited<ReturnType<typeof measureSandboxes>>): string {
  const [run, stop, remove] = [figures.runMs, figures.stopMs, figures.removeMs].map((values) =>
    median(values).toFixed(1),
  );
  return `RunPodSandbox ${run} ms, StopPodSandbox ${stop} ms, RemovePodSandbox ${remove} ms (medians)`;
}
