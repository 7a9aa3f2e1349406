/** The on-premises network on the kernel: it is what it says, and leaves nothing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram } from "../fabric/run.ts";
import { type OnPrem, openOnPrem } from "./onprem.ts";
import { threeNodes } from "./site.ts";

const name = `tw${process.pid}o`;
let site: OnPrem;
let before: string;

beforeAll(async () => {
  before = await leftovers();
  site = await openOnPrem(threeNodes({ name, ipv6: true }));
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
  expect(await leftovers()).toBe(before);
});

/** Namespaces of this test, and devices of the machine. */
async function leftovers(): Promise<string> {
  const [netns, links] = await Promise.all([
    runProgram(["ip", "netns"], ""),
    runProgram(["ip", "-o", "link"], ""),
  ]);
  return `${netns.stdout
    .split("\n")
    .filter((line) => line.startsWith(name))
    .join()}${links.stdout}`;
}

async function pings(from: string, to: string, ...more: readonly string[]): Promise<boolean> {
  return (await site.run(from, "ping", "-n", "-c", "1", "-W", "1", ...more, to)).status === 0;
}

/** A route and an address that stand for a pod of node-1. */
async function addPod(address: string): Promise<void> {
  await site.must("node-1", "ip", "addr", "replace", `${address}/32`, "dev", "lo");
}

describe("openOnPrem()", () => {
  it("joins nodes within and between subnets, and the outside, in both families", async () => {
    for (const [from, to] of [
      ["node-1", "192.168.1.12"],
      ["node-1", "192.168.2.11"],
      ["node-3", "192.168.1.11"],
      ["node-3", "198.51.100.10"],
      ["outside", "192.168.2.11"],
      ["node-1", "fd00:192:168:1::12"],
      ["node-1", "fd00:192:168:2::11"],
      ["node-3", "2001:db8:100::10"],
      ["outside", "fd00:192:168:1::12"],
    ] as const) {
      expect(await pings(from, to), `${from} to ${to}`).toBe(true);
    }
  });

  it("has the uplinks and default routes that it says", async () => {
    const routes = await Promise.all(
      ["node-1", "node-2", "node-3"].map((node) => site.must(node, "ip", "route", "show", "default")),
    );
    expect(routes.map((text) => text.trim())).toEqual([
      "default via 192.168.1.1 dev eth0",
      "default via 192.168.1.1 dev eth0",
      "default via 192.168.2.1 dev ens192",
    ]);
    expect(site.node("node-3")).toMatchObject({ uplink: "ens192", address: "192.168.2.11" });
    expect(await site.must("node-1", "sysctl", "-n", "net.ipv4.ip_forward")).toBe("0\n");
  });

  it("routes nothing to pods: not the router, not the outside", async () => {
    await addPod("10.244.1.2");
    await using capture = await site.capture("node-1");
    expect(await pings("node-1", "198.51.100.10", "-I", "10.244.1.2")).toBe(false);
    await capture.settled();
    const lines = capture.lines().filter((line) => line.includes("10.244.1.2"));
    expect(lines).toEqual(["node-1 > IP 10.244.1.2 > 198.51.100.10: ICMP echo request"]);
    expect(await pings("node-3", "10.244.1.2")).toBe(false);
  });

  it("pulls out a cable and puts it in again", async () => {
    await site.unplug("node-2");
    expect(await site.must("node-2", "ip", "link", "show", "eth0")).toContain("NO-CARRIER");
    expect(await pings("node-1", "192.168.1.12")).toBe(false);
    expect(await pings("node-1", "192.168.2.11")).toBe(true);
    await site.plug("node-2");
    await expect.poll(() => pings("node-1", "192.168.1.12"), { timeout: 5000 }).toBe(true);
  });

  it("captures what passes a subnet once, and what a node sends and receives, by UDP port", async () => {
    await using rack = await site.capture("rack-2", { udpPort: 8472 });
    await using node = await site.capture("node-1", { udpPort: 8472 });
    await using all = await site.capture("rack-1");
    await site.must(
      "node-1",
      "bash",
      "-c",
      "echo > /dev/udp/192.168.2.11/8472; echo > /dev/udp/192.168.2.11/8473",
    );
    const sent = /192\.168\.1\.11\.\d+ > 192\.168\.2\.11\.8472: VXLAN short$/;
    await rack.until(sent);
    await Promise.all([rack.settled(), node.settled(), all.settled()]);
    expect(rack.lines()).toEqual([expect.stringMatching(/^router IP /)]);
    expect(node.lines()).toEqual([expect.stringMatching(/^node-1 > IP /)]);
    expect(rack.lines()).toEqual([expect.stringMatching(sent)]);
    expect(all.lines().filter((line) => sent.test(line))).toEqual([expect.stringMatching(/^node-1 IP /)]);
    expect(all.lines()).toContainEqual(expect.stringMatching(/^node-1 IP .*\.8473: UDP length 1$/));
    await expect(node.until(/never/, 50)).rejects.toThrow(
      "a line like /never/: not within 50 ms; seen:\nnode-1 >",
    );
  });

  it("sees what a VXLAN device carries", async () => {
    for (const [node, remote, own] of [
      ["node-1", "192.168.1.12", "10.9.0.1"],
      ["node-2", "192.168.1.11", "10.9.0.2"],
    ] as const) {
      const device = `type vxlan id 7 dstport 8472 remote ${remote} dev eth0`;
      await site.must(node, "ip", "link", "add", "vx7", ...device.split(" "));
      await site.must(node, "ip", "addr", "add", `${own}/24`, "dev", "vx7");
      await site.must(node, "ip", "link", "set", "vx7", "up");
    }
    await using capture = await site.capture("rack-1", { udpPort: 8472 });
    expect(await pings("node-1", "10.9.0.2")).toBe(true);
    expect(await capture.until(/echo reply/)).toMatch(
      /^node-2 IP 192\.168\.1\.12\.\d+ > 192\.168\.1\.11\.8472: VXLAN vni 7 \/ IP 10\.9\.0\.2 > 10\.9\.0\.1: ICMP echo reply$/,
    );
    for (const node of ["node-1", "node-2"]) await site.must(node, "ip", "link", "del", "vx7");
  });

  it("has the MTU of each cable, and a router that says what does not fit", async () => {
    const narrow = threeNodes({ name: `${name}m`, mtu: 9000 });
    const nodes = narrow.nodes.map((node) => (node.name === "node-3" ? { ...node, mtu: 1400 } : node));
    const [first, second] = narrow.subnets;
    if (first === undefined || second === undefined) throw new Error("two subnets");
    await using other = await openOnPrem({ ...narrow, nodes, subnets: [first, { ...second, mtu: 1400 }] });
    expect(await other.must("node-1", "cat", "/proc/sys/net/ipv6/conf/eth0/mtu")).toBe("9000\n");
    const big = ["ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s"] as const;
    expect((await other.run("node-1", ...big, "8972", "192.168.1.12")).status).toBe(0);
    expect((await other.run("node-1", ...big, "1400", "192.168.2.11")).stdout).toContain("mtu = 1400");
  });

  it("leaves alone what is there, says what is wrong, and removes what it began", async () => {
    await expect(openOnPrem(threeNodes({ name }))).rejects.toThrow(`${name}-router, ${name}-outside`);
    expect(await pings("node-1", "192.168.1.12")).toBe(true);
    const wrong = threeNodes({ name: `${name}w` });
    const failing = { ...wrong, nodes: [{ name: "node-1", subnet: "rack-1", uplink: "lo" }] };
    await expect(openOnPrem(failing)).rejects.toThrow(/ip -n .*-router -batch/);
    expect((await runProgram(["ip", "netns"], "")).stdout).not.toContain(`${name}w`);
    await expect(site.capture("rack-9")).rejects.toThrow("there is no node and no subnet rack-9");
    await expect(site.must("outside", "false")).rejects.toThrow("false on outside: exit status 1");
  });
});
