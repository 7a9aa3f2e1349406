/** Hybrid mode with both families: pods with a pair of addresses, over VXLAN and over direct routes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, drainAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, delPod, type Pod } from "../harness/pod.ts";
import { until } from "../harness/process.ts";
import { ping } from "../harness/traffic.ts";
import { changed, type HybridNodes, type NodeName, NODES, openHybridNodes } from "./hybrid-nodes.ts";

let lab: HybridNodes;
const agents = new Map<NodeName, Agent>();
const pods: (Pod & Attached)[] = [];

beforeAll(async () => {
  lab = await openHybridNodes(`tw${process.pid}z`, true);
  for (const node of NODES) agents.set(node, await startAgent(lab.agent(node)));
});

afterAll(async () => {
  for (const agent of agents.values()) await agent.kill();
  await lab[Symbol.asyncDispose]();
});

/** Pairs of pods, and the family, that do not reach each other. */
async function silent(): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const from of pods)
    for (const to of pods)
      for (const { address } of to.result.ips) {
        const target = address.split("/")[0] ?? "";
        if (from !== to && (await ping(from.namespace, target)).received === 0)
          lost.push(`${from.name} -> ${target}`);
      }
  return lost;
}

describe("terwayd --hybrid-conf with both families", () => {
  it("gives pods a pair and joins them by VXLAN", async () => {
    for (const node of NODES) {
      const pod = await lab.pod(`${node}-a`, node);
      pods.push({ ...pod, ...(await addPod(pod)) });
    }
    expect(pods.map(({ result }) => result.ips.map(({ address }) => address))).toEqual([
      ["10.245.1.1/32", "fd00:245::101/128"],
      ["10.245.2.1/32", "fd00:245::201/128"],
      ["10.245.3.1/32", "fd00:245::301/128"],
    ]);
    expect(await silent()).toEqual([]);
  });

  it("joins them by direct routes of both families where nodes are on one link", async () => {
    await lab.publish(changed(lab.conf, { mode: "Underlay", fallback: "VXLAN" }));
    for (const [node, peer] of [
      ["node-1", "fd00:245::200/120"],
      ["node-2", "fd00:245::100/120"],
    ] as const)
      await until(
        `${node} has a direct route`,
        async () => (await lab.site.must(node, "ip", "-6", "route", "show", peer)).includes("dev eth0"),
        10_000,
        20,
      );
    expect(await silent()).toEqual([]);
  });

  it("is drained to nothing", async () => {
    for (const pod of pods) await delPod(pod);
    for (const node of NODES) {
      await agents.get(node)?.stop();
      await drainAgent(lab.agent(node));
      expect(await lab.site.must(node, "ip", "-6", "route", "show", "proto", "84"), node).toBe("");
    }
  });
});
