/**
 * Others change what the agent made: everything is put right within two seconds, pods talk again, and what is not ours
 * stays as it was changed.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, delPod, type Pod } from "../harness/pod.ts";
import { must, until } from "../harness/process.ts";
import { differences, networkSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

/** How long a repair may take on a machine that has other things to do; it is meant to take 2,000. */
const PATIENCE_MS = 10_000;

describe("terwayd when others change the node's network", () => {
  let one: OneNode;
  let before: Snapshot;
  let options: AgentOptions;
  let agent: Agent;
  let pod: Pod;
  let attached: Attached;
  const took: string[] = [];

  const inNode = (...args: readonly string[]): Promise<string> =>
    must("ip", ["netns", "exec", one.node.namespace, ...args]);
  /** Without what counts packets, and the kernel's own multicast routes. */
  const now = async (): Promise<Snapshot> => {
    const whole = await networkSnapshot(["ip", "netns", "exec", one.node.namespace]);
    const [ruleset = "", route = ""] = ["nft list ruleset", "ip route"].map((title) => whole[title]);
    return {
      ...whole,
      "nft list ruleset": ruleset.replaceAll(/packets \d+ bytes \d+/g, ""),
      "ip route": route.replaceAll(/multicast .*\n/g, ""),
    };
  };

  beforeAll(async () => {
    one = await openOneNode(`tw${process.pid}d`);
    before = await one.snapshot();
    options = one.agent("agent");
    await prepareAgent(options);
    agent = await startAgent(options);
    pod = await one.pod("a", options);
    attached = await addPod(pod);
  });
  afterAll(async () => {
    process.stdout.write(`${took.join("\n")}\n`);
    await delPod(pod);
    await agent.stop();
    await drainAgent(options);
    const left = differences(before, await one.snapshot());
    await one[Symbol.asyncDispose]();
    expect(left).toEqual([]);
  });

  /** `args` of `damage` with the names of this run: POD (host's end), IP, ENI, GATEWAY. */
  const words = (text: string): string[] => {
    const gateway = one.simulator.gateways["vsw-pods-h2"] ?? "";
    const named = { POD: attached.hostName, IP: attached.address, ENI: "eth1", GATEWAY: gateway };
    const filled = Object.entries(named).reduce((all, [key, value]) => all.replace(key, value), text);
    const [, value, path] = /^write (\d) (.*)$/.exec(filled) ?? [];
    return path === undefined ? filled.split(" ") : ["sh", "-c", `echo ${value} >/proc/sys/${path}`];
  };

  it.each<[string, string]>([
    ["the rule of pods", "ip rule del priority 512"],
    ["the rule of an ENI", "ip rule del priority 2048"],
    ["the guard of an ENI", "ip rule del priority 2049"],
    ["a pod's route", "ip route del IP table 7400"],
    ["a pod's route, replaced", "ip route replace unreachable IP table 7400"],
    ["the default route of an ENI", "ip route del default table 7401"],
    ["the neighbour of a gateway", "ip neigh del GATEWAY dev ENI"],
    ["the neighbour of a gateway, not permanent", "ip neigh replace GATEWAY dev ENI nud stale"],
    ["a pod's neighbour", "ip neigh del IP dev POD"],
    ["a pod's device, down", "ip link set POD down"],
    ["a pod's device, renamed", "ip link set POD name other0"],
    ["an ENI, down", "ip link set ENI down"],
    ["the nftables table", "nft delete table ip terway"],
    ["all of nftables", "nft flush ruleset"],
    ["a pod's element", "nft flush map ip terway pod_source"],
    ["a chain's rules", "nft flush chain ip terway prerouting"],
    ["the chain of pods", "nft flush chain ip terway pods"],
    ["forwarding of a pod's device", "write 0 net/ipv4/conf/POD/forwarding"],
    ["forwarding of an ENI", "write 0 net/ipv4/conf/ENI/forwarding"],
    ["rp_filter of a pod's device", "write 2 net/ipv4/conf/POD/rp_filter"],
  ])("puts %s right", async (what, damage) => {
    const whole = await now();
    const startedMs = performance.now();
    await inNode(...words(damage));
    await until(
      `${what} is whole`,
      async () => differences(whole, await now()).length === 0,
      PATIENCE_MS,
    ).catch(async (error: unknown) => {
      const left = differences(whole, await now());
      throw new Error(`${String(error)}\n${left.join("\n")}\n${agent.process.output()}`);
    });
    took.push(`  ${what.padEnd(44)} whole after ${Math.round(performance.now() - startedMs)} ms`);
    const gateway = one.simulator.gateways["vsw-pods-h2"] ?? "";
    expect(await ping(pod.namespace, gateway)).toMatchObject({ received: 3 });
  });

  it("leaves alone what is not ours", async () => {
    await inNode("ip", "route", "add", "198.51.100.0/24", "dev", "eth1", "table", "7399");
    await inNode("ip", "rule", "add", "priority", "513", "lookup", "7399");
    await inNode("nft", "add table ip others");
    const changed = await now();
    await inNode("ip", "rule", "del", "priority", "512");
    await until("the rule is back", async () => differences(changed, await now()).length === 0, PATIENCE_MS);
    await inNode("ip", "rule", "del", "priority", "513");
    await inNode("ip", "route", "flush", "table", "7399");
    await inNode("nft", "delete table ip others");
  });
});
