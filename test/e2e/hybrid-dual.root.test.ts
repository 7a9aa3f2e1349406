/** Hybrid mode with both families: pods with a pair of addresses, over VXLAN and over direct routes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Agent, drainAgent, runAgent, startAgent } from "../harness/agent.ts";
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

const TOO_SMALL = "pods would have an MTU of 1270; IPv6 needs 1280 bytes at least";

/** Of both ends of its link, in bytes. */
function mtus({ result }: Attached): readonly number[] {
  return result.interfaces.map((each) => ("mtu" in each ? Number(each.mtu) : 0));
}

/** What ADD is answered with; where it is not refused the pod is taken away again. */
async function refusal(pod: Pod): Promise<string> {
  try {
    await addPod(pod);
  } catch (error) {
    return String(error);
  }
  await delPod(pod);
  return "";
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

  it("gives new pods what another uplink leaves, and the tunnel too", async () => {
    const tunnel = async (): Promise<number> => {
      const text = await lab.site.must("node-3", "ip", "-j", "link", "show", "terway.1");
      const [link]: readonly { readonly mtu: number }[] = JSON.parse(text);
      return link?.mtu ?? 0;
    };
    await lab.site.must("node-3", "ip", "link", "set", "ens192", "mtu", "1400");
    await until("the tunnel follows", async () => (await tunnel()) === 1350, 2_000, 20);
    const late = await lab.pod("node-3-b", "node-3");
    pods.push({ ...late, ...(await addPod(late)) });
    expect(pods.map(mtus)).toEqual([...NODES.map(() => [1450, 1450]), [1350, 1350]]);
    // IPv6 needs 1280: the network stays as it is, and new pods are told why they cannot be.
    await lab.site.must("node-3", "ip", "link", "set", "ens192", "mtu", "1320");
    const none = await lab.pod("node-3-c", "node-3");
    await until("pods are refused", async () => (await refusal(none)).includes(TOO_SMALL), 5_000, 100);
    expect(await tunnel()).toBe(1350);
    await lab.site.must("node-3", "ip", "link", "set", "ens192", "mtu", "1500");
    await until("the tunnel is as before", async () => (await tunnel()) === 1450, 2_000, 20);
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

  it("is refused at its first start where the uplink leaves too little for IPv6", async () => {
    await lab.publish(lab.conf);
    await lab.site.must("node-2", "ip", "link", "set", "eth0", "mtu", "1300");
    await rm(join(lab.agent("node-2").directory, "state"), { recursive: true, force: true });
    const ended = await runAgent(lab.agent("node-2"), []);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toContain("pods would have an MTU of 1250; IPv6 needs 1280 bytes at least");
    expect(ended.stderr).toContain("raise the MTU of the uplink, or set network.vxlan.mtu");
    expect(await lab.site.must("node-2", "ip", "-br", "link", "show", "type", "vxlan")).toBe("");
  });
});
