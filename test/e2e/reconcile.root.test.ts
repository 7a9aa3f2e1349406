/**
 * The kernel uses an address that no lease has: the agent notices at its start, and gives it to nobody.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, delPod, type Pod } from "../harness/pod.ts";
import { must, until } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

describe("terwayd when the kernel uses an address that nobody has", () => {
  let one: OneNode;
  let before: Snapshot;
  let options: AgentOptions;
  let agent: Agent | undefined;
  const pods: Pod[] = [];

  const attach = async (name: string): Promise<Attached> => {
    const pod = await one.pod(name, options);
    pods.push(pod);
    return addPod(pod);
  };

  beforeAll(async () => {
    one = await openOneNode(`tw${process.pid}c`);
    before = await one.snapshot();
    options = one.agent("agent", { min_pool_size: 1, max_pool_size: 1 });
    await prepareAgent(options);
    agent = await startAgent(options);
  });
  afterAll(async () => {
    for (const pod of pods) await delPod(pod);
    await agent?.stop();
    await drainAgent(options);
    const left = differences(before, await one.snapshot());
    await one[Symbol.asyncDispose]();
    expect(left).toEqual([]);
  });

  it("holds it back from the next pod, and says so", async () => {
    const first = await attach("a");
    const addresses = async (): Promise<readonly string[]> => {
      const { enis } = await one.simulator.state();
      return enis.flatMap((eni) => (eni.type === "Secondary" ? eni.addresses : []));
    };
    await until("an address is idle", async () => (await addresses()).length > 1, 20_000);
    await agent?.stop();
    const stray = (await addresses()).find((address) => address !== first.address) ?? "";
    const route = [stray, "dev", first.hostName, "table", "7400", "proto", "84"];
    await must("ip", ["-n", one.node.namespace, "route", "add", ...route]);
    const restarted = await startAgent(options);
    agent = restarted;
    const said = "the kernel uses an address that no lease has: it is held back";
    await until("the agent says so", async () => restarted.process.output().includes(said), 20_000);
    const second = await attach("b");
    await must("ip", ["-n", one.node.namespace, "route", "del", ...route]);
    expect(await addresses()).toContain(stray);
    expect(second.address).not.toBe(stray);
  });
});
