/** Hybrid mode end to end: the built agent on three nodes of two subnets, pods through the built plugin, packets between them. */
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, drainAgent, runAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, delPod, plugin, type Pod } from "../harness/pod.ts";
import { run, until as untilWithin } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import {
  changed,
  type Conf,
  type HybridNodes,
  type NodeName,
  NODES,
  openHybridNodes,
} from "./hybrid-nodes.ts";

const NAME = `tw${process.pid}y`;

let lab: HybridNodes;
let before: Map<NodeName, Snapshot>;
const agents = new Map<NodeName, Agent>();
const pods = new Map<string, Pod & Attached>();

beforeAll(async () => {
  lab = await openHybridNodes(NAME);
  before = new Map();
  for (const node of NODES) before.set(node, await lab.snapshot(node));
  await Promise.all(NODES.map((node) => start(node)));
});

afterAll(async () => {
  for (const agent of agents.values()) await agent.kill();
  await lab[Symbol.asyncDispose]();
  expect((await run("ip", ["netns"])).stdout).not.toContain(NAME);
});

function until(what: string, isSo: () => Promise<boolean>): Promise<unknown> {
  return untilWithin(what, isSo, 10_000, 20);
}

async function start(node: NodeName): Promise<void> {
  agents.set(node, await startAgent(lab.agent(node)));
}

function agent(node: NodeName): Agent {
  const found = agents.get(node);
  if (found === undefined) throw new Error(`no agent on ${node}`);
  return found;
}

async function attach(name: string, node: NodeName): Promise<Pod & Attached> {
  const pod = await lab.pod(name, node);
  const both = { ...pod, ...(await addPod(pod)) };
  pods.set(name, both);
  return both;
}

function pod(name: string): Pod & Attached {
  const found = pods.get(name);
  if (found === undefined) throw new Error(`no pod ${name}`);
  return found;
}

/** Which of the pairs do not reach each other. */
async function silent(names: readonly string[]): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const from of names)
    for (const to of names)
      if (from !== to && (await ping(pod(from).namespace, pod(to).address)).received === 0)
        lost.push(`${from} -> ${to}`);
  return lost;
}

/** Waits for a line of the agent's log that was not there before `act`. */
async function says(node: NodeName, words: string, act: () => Promise<void>): Promise<string> {
  const known = agent(node).process.output().length;
  await act();
  let line: string | undefined;
  await until(`${node} says ${words}`, async () => {
    const output = agent(node).process.output().slice(known);
    line = output.split("\n").find((each) => each.includes(words));
    return line !== undefined;
  });
  return line ?? "";
}

/** Publishes the file and waits until all nodes, or these, have gone with it. */
async function goes(conf: Conf | string, nodes: readonly NodeName[] = NODES): Promise<void> {
  const known = new Map(nodes.map((node) => [node, agent(node).process.output().length]));
  await lab.publish(conf);
  for (const node of nodes)
    await until(`${node} goes with the file`, async () =>
      agent(node)
        .process.output()
        .slice(known.get(node))
        .includes("the hybrid network is as it is published"),
    );
}

async function routes(node: NodeName): Promise<string> {
  return lab.site.must(node, "ip", "route", "show", "proto", "84");
}

describe("terwayd --hybrid-conf", () => {
  it("joins pods of all nodes by VXLAN, without a cloud", async () => {
    for (const node of NODES) await attach(`${node}-a`, node);
    await attach("node-1-b", "node-1");
    expect([...pods.values()].map(({ address }) => address)).toEqual([
      "10.245.1.1",
      "10.245.2.1",
      "10.245.3.1",
      "10.245.1.2",
    ]);
    expect(await silent([...pods.keys()])).toEqual([]);
    const { result, namespace } = pod("node-3-a");
    expect(result.interfaces.map((each) => ("mtu" in each ? each.mtu : 0))).toEqual([1450, 1450]);
    expect((await ping(namespace, lab.site.node("node-1").address)).received).toBe(3);
    expect((await ping(namespace, lab.site.site.outside.address)).received).toBe(3);
    expect((await lab.site.run("node-2", "ping", "-c1", "-W1", pod("node-1-a").address)).status).toBe(0);
  });

  it("answers CHECK, STATUS and GC", async () => {
    const a = pod("node-1-a");
    const conf = JSON.stringify({ ...JSON.parse(a.conf), prevResult: a.result });
    expect(await plugin("CHECK", { ...a, conf })).toMatchObject({ status: 0 });
    expect(await plugin("STATUS", a)).toMatchObject({ status: 0 });
    const valid = [pod("node-1-a"), pod("node-1-b")].map(({ containerId }) => ({
      containerID: containerId,
      ifname: "eth0",
    }));
    const gc = JSON.stringify({ ...JSON.parse(a.conf), "cni.dev/valid-attachments": valid });
    expect(await plugin("GC", { ...a, conf: gc })).toMatchObject({ status: 0 });
    expect(await silent(["node-1-a", "node-1-b"])).toEqual([]);
  });

  it("goes with the file: underlay where nodes are on one link, VXLAN where they are not", async () => {
    await goes(changed(lab.conf, { mode: "Underlay", fallback: "VXLAN" }));
    expect(await routes("node-1")).toContain(`10.245.2.0/24 via ${lab.site.node("node-2").address} dev eth0`);
    expect(await routes("node-1")).toMatch(/10\.245\.3\.0\/24 via 10\.245\.3\.0 dev terway\.1 onlink/);
    expect(await silent([...pods.keys()])).toEqual([]);
  });

  it("names the nodes that it does not reach, and invents no way to them", async () => {
    const line = await says("node-1", "pods of a node cannot be reached", () =>
      goes(changed(lab.conf, { mode: "Underlay" })),
    );
    expect(line).toContain("not known to be on one link; mode is Underlay with fallback None");
    expect(await routes("node-1")).toContain("unreachable 10.245.3.0/24 metric 4278198272");
    expect(await routes("node-1")).not.toContain("10.245.3.0/24 via");
    expect(await silent(["node-1-a", "node-2-a"])).toEqual([]);
  });

  it("changes nothing for a file that is cut off, and says where", async () => {
    await goes(lab.conf);
    const text = JSON.stringify(lab.conf, undefined, 2);
    const line = await says("node-1", "cannot be used; nothing is changed", () =>
      writeFile(lab.confPath, text.slice(0, 300)),
    );
    expect(line).toMatch(/network\.jsonc:\d+:\d+: error: not JSON: /);
    expect(await silent([...pods.keys()])).toEqual([]);
    expect(await plugin("STATUS", pod("node-1-a"))).toMatchObject({ status: 0 });
  });

  it("starts with the network that it knew while the file is cut off; pods do not notice", async () => {
    await agent("node-1").kill();
    expect(await silent([...pods.keys()])).toEqual([]);
    await start("node-1");
    expect((await attach("node-1-c", "node-1")).address).toBe("10.245.1.3");
    expect(await silent(["node-1-c", "node-2-a", "node-3-a"])).toEqual([]);
    await goes(lab.conf);
  });

  it("lets one bad record cost nobody but its node", async () => {
    const bad = changed(lab.conf, {}, { name: "node-3", change: { blocks: ["10.246.3.0/24"] } });
    const line = await says("node-1", "pods of a node cannot be reached", () => goes(bad));
    expect(line).toMatch(/"node":"node-3".*10\.246\.3\.0\/24, outside of podCIDRs/);
    expect(await routes("node-1")).not.toContain("10.245.3.0/24");
    expect(await silent(["node-1-a", "node-2-a"])).toEqual([]);
    const refused = await plugin("ADD", await lab.pod("refused", "node-3"));
    expect(JSON.parse(refused.stdout)).toMatchObject({
      code: 11,
      msg: expect.stringMatching(
        /^no address for the pod: the record of this node \(node-3\) cannot be used: line \d+/,
      ),
    });
    expect(await plugin("CHECK", { ...pod("node-3-a"), conf: withResult(pod("node-3-a")) })).toMatchObject({
      status: 0,
    });
    await goes(lab.conf);
  });

  it("keeps addresses of a former block until their pods are gone", async () => {
    const other = changed(lab.conf, {}, { name: "node-2", change: { blocks: ["10.245.200.0/24"] } });
    await says("node-2", "pods get addresses of 10.245.200.0/24", () => goes(other));
    expect((await attach("node-2-b", "node-2")).address).toBe("10.245.200.1");
    expect(await silent(["node-2-b", "node-1-a"])).toEqual([]);
    expect(await silent(["node-2-b", "node-2-a"])).toEqual([]);
    await delPod(pod("node-2-a"));
    pods.delete("node-2-a");
  });

  it("says which block is full, and with how many pods", async () => {
    const small = changed(lab.conf, { nodeMaskSize: 30 });
    const conf = {
      ...small,
      nodes: small.nodes.map((node, at) => ({ ...node, blocks: [`10.245.${at + 100}.0/30`] })),
    };
    await says("node-3", "pods get addresses of 10.245.102.0/30", () => goes(conf));
    for (const name of ["s1", "s2"]) await attach(name, "node-3");
    const refused = await plugin("ADD", await lab.pod("s3", "node-3"));
    expect(JSON.parse(refused.stdout)).toEqual({
      cniVersion: "1.1.0",
      code: 11,
      msg: "no address for the pod: block 10.245.102.0/30 of this node is full: 2 pods have its addresses",
      details: "place fewer pods on this node, or choose a smaller nodeMaskSize and a larger block",
    });
  });

  it("leaves a node as it was when it is drained", async () => {
    expect(await agent("node-1").stop()).toBe(0);
    const refused = await drainAgent(lab.agent("node-1")).catch(String);
    expect(refused).toMatch(/pods of this node still have addresses: 10\.245\.1\.1 \(node-1-a-sandbox\)/);
    // The plugin keeps those of node-1 for the drain.
    for (const each of pods.values()) await delPod(each);
    for (const node of NODES) {
      if (node !== "node-1") expect(await agent(node).stop()).toBe(0);
      await drainAgent(lab.agent(node));
      const was = before.get(node);
      if (was !== undefined) expect(differences(was, await lab.snapshot(node)), node).toEqual([]);
    }
  });

  it("refuses to start beside flanneld, and says whose the device is", async () => {
    await lab.publish(lab.conf);
    const flannel = "ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 nolearning";
    await lab.site.must("node-1", "sh", "-c", flannel);
    const ran = await runAgent(lab.agent("node-1"));
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      /terwayd: the device flannel\.1 belongs to flanneld: .*\n {2}one agent a node/,
    );
    await lab.site.must("node-1", "ip", "link", "del", "flannel.1");
    await drainAgent(lab.agent("node-1"));
  });

  it("ends a first start that cannot work with a sentence, and checks a file", async () => {
    const other = { ...lab.agent("node-1"), nodeName: "node-4" };
    expect(await runAgent(other, ["--check"])).toMatchObject({
      status: 1,
      stderr:
        'terwayd: the configuration cannot be used\nno record of this node: no entry of "nodes" has the name node-4; did you mean node-1?\n',
    });
    expect(await runAgent(lab.agent("node-1"), ["--check"])).toMatchObject({
      status: 0,
      stdout:
        "terwayd: the configuration can be used; other nodes: 0 direct, 2 by VXLAN, 0 by the fabric, 0 not reached\n",
    });
  });
});

function withResult(attached: Pod & Attached): string {
  return JSON.stringify({ ...JSON.parse(attached.conf), prevResult: attached.result });
}
