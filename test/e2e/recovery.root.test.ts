/**
 * What an agent finds when it comes back: pods that went meanwhile, a machine that was booted. And how it goes: what runs is
 * finished, what comes is told to try again.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, deletePodNamespace, delPod, type Pod, plugin } from "../harness/pod.ts";
import { allEnded, must, until } from "../harness/process.ts";
import { differences } from "../harness/snapshot.ts";
import { ping, pingStream } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

const VSWITCH = "vsw-pods-h2";

let one: OneNode;
beforeAll(async () => {
  one = await openOneNode(`tw${process.pid}v`);
});
afterAll(() => one[Symbol.asyncDispose]());

type Case = {
  readonly options: AgentOptions;
  readonly pod: (name: string) => Promise<Pod>;
  readonly start: () => Promise<Agent>;
  /** Inside the node. */
  readonly inNode: (command: string) => Promise<string>;
};

/** Whatever happens, its pods are deleted, the node is drained and as it was. */
async function onNode(
  name: string,
  changes: Readonly<Record<string, unknown>>,
  work: (the: Case) => Promise<void>,
): Promise<void> {
  const before = await one.snapshot();
  const options = {
    ...one.agent(name, changes),
    flags: [
      "--cni-cache-dir",
      join(one.directory, name),
      "--boot-id-file",
      join(one.directory, `${name}.boot`),
    ],
  };
  await writeFile(join(one.directory, `${name}.boot`), "first\n");
  await prepareAgent(options);
  const [agents, pods]: [Agent[], Pod[]] = [[], []];
  const faults: unknown[] = [];
  const go = async (part: () => Promise<unknown>): Promise<void> => {
    await part().catch((error: unknown) => faults.push(error));
  };
  await go(() =>
    work({
      options,
      async pod(own) {
        const pod = await one.pod(`${name}-${own}`, options);
        pods.push(pod);
        return pod;
      },
      async start() {
        const agent = await startAgent(options);
        agents.push(agent);
        return agent;
      },
      inNode: (command) => must("ip", ["netns", "exec", options.namespace, "sh", "-c", command]),
    }),
  );
  for (const pod of pods) await go(() => delPod(pod));
  for (const agent of agents) await go(() => agent.stop());
  await go(() => drainAgent(options));
  const said = agents.map((agent) => agent.process.output()).join("\n");
  if (faults.length > 0) throw new Error([...faults.map(String), said].join("\n"), { cause: faults[0] });
  expect(differences(before, await one.snapshot())).toEqual([]);
}

function gateway(): string {
  return one.simulator.gateways[VSWITCH] ?? "";
}

async function talks(pod: Pod): Promise<void> {
  const reached = async (): Promise<boolean> => (await ping(pod.namespace, gateway())).received === 3;
  await until(`${pod.name} reaches the gateway`, reached, 5000);
}

async function enis(): Promise<readonly string[]> {
  return (await one.simulator.enis()).filter(({ isPrimary }) => !isPrimary).map(({ id }) => id);
}

describe("terwayd that comes back", () => {
  it("frees pods that went without a DEL, and leaves the others", async () => {
    await onNode("gone", { max_pool_size: 4, min_pool_size: 1 }, async ({ pod, start, inNode }) => {
      const agent = await start();
      const [stays, goes] = [await pod("stays"), await pod("goes")];
      await addPod(stays);
      const { address } = await addPod(goes);
      await talks(stays);
      const stream = pingStream(stays.namespace, gateway(), 20);
      await agent.kill();
      await deletePodNamespace(goes);
      await until(
        "its link is gone",
        async () => !(await inNode("ip route show table 7400")).includes(address),
        5000,
      );
      const again = await start();
      expect(again.process.output()).toContain(`"pod":"default/${goes.name}","address":"${address}"`);
      expect(await inNode("nft list ruleset")).not.toContain(` ${address} `);
      // The one whose address that was is deleted as if nothing had happened.
      await delPod(goes);
      const { sent, received } = await stream.stop();
      expect([received, sent > 10]).toEqual([sent, true]);
    });
  });

  it("starts clean after a boot: leases are gone, cooldowns and ENIs are not", async () => {
    const changes = { max_pool_size: 3, min_pool_size: 3, address_cooldown: "120s" };
    await onNode("boot", changes, async ({ pod, start, inNode }) => {
      const agent = await start();
      const pods = [await pod("a"), await pod("b"), await pod("c")];
      const attached: Attached[] = [];
      for (const each of pods) attached.push(await addPod(each));
      const [cooling = pods[0]] = pods;
      if (cooling === undefined) throw new Error("no pod");
      await delPod(cooling);
      const had = await enis();
      await agent.stop();
      // What a boot does to the node's network, with the simulated machine's devices left where they are.
      for (const each of pods) await deletePodNamespace(each);
      await inNode("ip route flush proto 84 table all; ip -6 route flush proto 84 table all");
      await inNode(
        "while ip rule del proto 84 2>/dev/null; do :; done; while ip -6 rule del proto 84 2>/dev/null; do :; done",
      );
      await inNode("nft delete table ip terway; nft delete table ip6 terway");
      await inNode(
        "for d in $(ip -o link show group 21506 | cut -d: -f2 | cut -d@ -f1); do ip link set $d down group default; done",
      );
      await writeFile(join(one.directory, "boot.boot"), "second\n");
      const again = await start();
      expect(again.process.output()).toContain("2 leases of pods that ended with it were dropped");
      const next = [await pod("d"), await pod("e")];
      const given: string[] = [];
      for (const each of next) {
        const { address } = await addPod(each);
        given.push(address);
        await talks(each);
      }
      // It cools down across the boot.
      expect(given).not.toContain(attached[0]?.address);
      // The former ENI is used again.
      expect(await enis()).toEqual(expect.arrayContaining([...had]));
    });
  });
});

describe("terwayd that is told to stop", () => {
  it("finishes what it can within 5 s, and tells the rest to try again", async () => {
    const changes = { max_pool_size: 5, min_pool_size: 5 };
    await onNode("stop", changes, async ({ pod, start }) => {
      const agent = await start();
      await addPod(await pod("first"));
      // The pool has four more; what goes beyond waits for a cloud that takes its time.
      for (const action of ["AssignPrivateIpAddresses", "CreateNetworkInterface"])
        await one.simulator.call("fault", "add", "holdReply", `action=${action}`, "delayMs=8000", "times=20");
      const pods = await Promise.all(Array.from({ length: 10 }, (_, index) => pod(`p${index}`)));
      const adding = pods.map((each) => plugin("ADD", each));
      await Promise.race(adding);
      const stoppedMs = performance.now();
      const stopping = agent.stop();
      await until("it stops", async () => agent.process.output().includes("stopping"), 5000, 10);
      const late = await plugin("ADD", await pod("late"));
      expect(JSON.parse(late.stdout)).toMatchObject({ code: 11 });
      const ended = await allEnded(adding);
      expect(await stopping).toBe(0);
      expect(performance.now() - stoppedMs).toBeLessThan(6000);
      const refused = ended.filter(({ status }) => status !== 0);
      for (const ran of refused) expect(JSON.parse(ran.stdout)).toMatchObject({ code: 11 });
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThan(ended.length);
      await one.simulator.call("fault", "clear");
      await start();
      for (const [index, { status }] of ended.entries()) {
        const each = pods[index];
        if (each !== undefined && status !== 0) await addPod(each);
      }
      for (const each of pods) await talks(each);
    });
  });
});
