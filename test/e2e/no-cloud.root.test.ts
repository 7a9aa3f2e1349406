/**
 * The cloud does not answer: pods are served from the pool, also by an agent that starts meanwhile.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StatusReport } from "../../sim/cli/status.ts";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, delPod, plugin, type Pod } from "../harness/pod.ts";
import { until } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

/** So many pods can be served without the cloud. */
const IDLE = 3;

describe("terwayd without cloud", () => {
  let one: OneNode;
  let before: Snapshot;
  let options: AgentOptions;
  let agent: Agent;
  /** Of the process that answers as API and metadata service; packets are the kernel's and go on without it. */
  let cloudPid = 0;

  beforeAll(async () => {
    one = await openOneNode(`tw${process.pid}u`);
    before = await one.snapshot();
    options = one.agent("agent", {
      min_pool_size: IDLE,
      max_pool_size: IDLE,
      cloud_timeout: "1s",
      add_timeout: "3s",
    });
    await prepareAgent(options);
    agent = await startAgent(options);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the command prints has this type
    cloudPid = ((await one.simulator.json("status")) as StatusReport).pid ?? 0;
    expect(cloudPid).toBeGreaterThan(1);
  });
  afterAll(async () => {
    process.kill(cloudPid, "SIGCONT");
    await agent.kill();
    await one[Symbol.asyncDispose]();
  });

  async function attach(name: string): Promise<Pod> {
    const pod = await one.pod(name, options);
    await addPod(pod);
    const gateway = one.simulator.gateways["vsw-pods-h2"] ?? "";
    // The data plane follows the API's answer a little later.
    const isThere = async (): Promise<boolean> => (await ping(pod.namespace, gateway)).received === 3;
    await until(`${name} reaches the gateway`, isThere, 5000);
    return pod;
  }

  it("serves from its pool, also after a restart, and tells the true cause where it cannot", async () => {
    await until("the pool is full", async () => agent.process.output().includes("ENI ready"), 20_000);
    process.kill(cloudPid, "SIGSTOP");
    const pods = [await attach("a")];
    await agent.kill();
    agent = await startAgent(options);
    pods.push(await attach("b"), await attach("c"));

    const late = await one.pod("d", options);
    const refused = await plugin("ADD", late);
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^terway: ADD: [^\n]*\n$/),
    });
    expect(JSON.parse(refused.stdout)).toEqual({
      cniVersion: "0.3.0",
      code: 11,
      msg: expect.stringMatching(
        /^getting an address for the pod took longer than 3\d\d\d ms; cause: \w+ for \S+: no answer from the cloud: no complete answer within 1000 ms$/,
      ),
      details: "the runtime will try again; the agent's log names the step that is slow",
    });

    process.kill(cloudPid, "SIGCONT");
    await until("a pod gets a new address", async () => (await plugin("ADD", late)).status === 0, 20_000);
    for (const pod of [...pods, late]) await delPod(pod);
  });

  it("waits with its database lost, says why, and serves when the cloud answers", async () => {
    await until("the pool is full", async () => agent.process.output().includes("ENI ready"), 20_000);
    const pod = await attach("e");
    process.kill(cloudPid, "SIGSTOP");
    await agent.kill();
    for (const suffix of ["", "-wal", "-shm"])
      await rm(join(options.directory, `state/agent.db${suffix}`), { force: true });
    // It serves only when the cloud has answered.
    agent = await startAgent(options, 30_000, async () => true);

    const late = await one.pod("f", options);
    const cause = /metadata service|no answer from the cloud/;
    await until(
      "a pod hears the cause",
      async () => {
        const { code, msg } = JSON.parse((await plugin("ADD", late)).stdout);
        return code === 11 && cause.test(msg);
      },
      40_000,
    );
    expect(await ping(pod.namespace, one.simulator.gateways["vsw-pods-h2"] ?? "")).toMatchObject({
      received: 3,
    });

    process.kill(cloudPid, "SIGCONT");
    await until("a pod gets an address", async () => (await plugin("ADD", late)).status === 0, 40_000);
    for (const each of [pod, late]) await delPod(each);
    expect(await agent.stop()).toBe(0);
    await drainAgent(options);
    expect(differences(before, await one.snapshot())).toEqual([]);
  });
});
