/**
 * The agent beside the node's own programs: it keeps them from its ENIs by drop-in files, lets packets of pods through a
 * firewall that drops the rest, and takes both away when it drains.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { must, until } from "../harness/process.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

let lab: OneNode;

beforeAll(async () => {
  lab = await openOneNode(`tw${process.pid}t`);
});

afterAll(async () => lab[Symbol.asyncDispose]());

const rules = async (): Promise<string> =>
  must("ip", ["netns", "exec", lab.node.namespace, "iptables-nft", "-S", "FORWARD"]);

describe("terwayd on a node that drops what is forwarded", () => {
  it("has its rules in place when it serves, puts them back, and removes them when it drains", async () => {
    const iptables = ["netns", "exec", lab.node.namespace, "iptables-nft"];
    await must("ip", [...iptables, "-P", "FORWARD", "DROP"]);
    const options = lab.agent("firewall");
    await prepareAgent(options);
    const agent = await startAgent(options);
    try {
      const ours = await rules();
      expect(ours).toContain("-A FORWARD -i tw+");
      await must("ip", [...iptables, "-F", "FORWARD"]);
      await until("the rules are back", async () => (await rules()) === ours, 20_000);
    } finally {
      await agent.stop();
    }
    await drainAgent(options);
    expect(await rules()).toBe("-P FORWARD DROP\n");
  });
});

describe("terwayd --host-root", () => {
  it("names the MAC of each ENI, leaves files of others, and removes its own when it drains", async () => {
    const root = join(lab.directory, "root");
    const [manager, networkd] = ["etc/NetworkManager/conf.d", "etc/systemd/network"];
    for (const path of [manager, networkd]) mkdirSync(join(root, path), { recursive: true });
    const own = join(root, networkd, "10-netplan-eth0.network");
    writeFileSync(own, "[Match]\nName=eth0\n");
    const before = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
    const options = { ...lab.agent("host", { min_pool_size: 1 }), flags: ["--host-root", root] };
    await prepareAgent(options);
    const agent = await startAgent(options);
    try {
      const file = join(root, manager, "99-terway.conf");
      const [, mac = ""] = await until(
        "the MAC of the ENI is in the file",
        async () => existsSync(file) && (/;mac:([0-9a-f:]+)/.exec(readFileSync(file, "utf8")) ?? undefined),
        20_000,
      );
      await until(
        "the node has a device with this MAC",
        async () => (await must("ip", ["-n", lab.node.namespace, "-o", "link"])).includes(mac),
        20_000,
      );
      expect(readFileSync(join(root, networkd, "00-terway-enis.network"), "utf8")).toContain(
        `MACAddress=${mac}\n`,
      );
    } finally {
      await agent.stop();
    }
    // Pods keep running without an agent, so the files stay.
    expect(readdirSync(join(root, networkd)).sort()).toEqual([
      "00-terway-enis.network",
      "00-terway-links.network",
      "10-netplan-eth0.network",
    ]);
    await drainAgent(options);
    expect(readdirSync(root, { recursive: true, encoding: "utf8" }).sort()).toEqual(before);
    expect(readFileSync(own, "utf8")).toBe("[Match]\nName=eth0\n");
  });
});
