/**
 * CHECK, GC, STATUS, DELs that nobody heard and callers that go away, with the built programs on a simulated node.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { encodeSpooled, spoolName } from "../../proto/spool.ts";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, deletePodNamespace, delPod, plugin, type Pod } from "../harness/pod.ts";
import { must, type Ran, until } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { differences, networkSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { type SimEni } from "../harness/simulator.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

const CONF = { cniVersion: "1.1.0", name: "terway", type: "terway" };
const VSWITCH = "vsw-pods-h2";
const ERROR = z.looseObject({ code: z.number(), msg: z.string(), details: z.string().default("") });

let one: OneNode;
let agent: Agent;
let options: AgentOptions;
let before: Snapshot;

const spoolDir = (): string => join(options.directory, "state/spool");
const confDir = (): string => join(options.directory, "cni/net.d");

beforeAll(async () => {
  one = await openOneNode(`tw${process.pid}c`);
  const base = one.agent("agent", { max_pool_size: 0, min_pool_size: 0 });
  options = {
    ...base,
    cniConf: JSON.stringify(CONF),
    flags: ["--cni-conf-dir", join(base.directory, "cni/net.d")],
  };
  await prepareAgent(options);
  before = await one.snapshot();
  agent = await startAgent(options);
});

afterAll(async () => {
  try {
    await agent.stop();
    await drainAgent(options);
    expect(differences(before, await one.snapshot())).toEqual([]);
  } finally {
    await one[Symbol.asyncDispose]();
  }
});

/** A pod whose plugin finds agent and spool. */
async function newPod(name: string): Promise<Pod> {
  const pod = await one.pod(name, options);
  return { ...pod, conf: confWith({}) };
}

function confWith(more: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...CONF, agent_socket: agent.socketPath, spool_dir: spoolDir(), ...more });
}

async function check(pod: Pod, { result }: Attached): Promise<Ran> {
  return plugin("CHECK", { ...pod, conf: confWith({ prevResult: result }) });
}

/** GC and STATUS need a pod for nothing but the environment, of which they ignore the rest. */
async function ask(command: string, pod: Pod, more: Readonly<Record<string, unknown>> = {}): Promise<Ran> {
  return plugin(command, { ...pod, conf: confWith(more) });
}

function errorOf({ stdout }: Ran): z.output<typeof ERROR> {
  return ERROR.parse(JSON.parse(stdout));
}

function expectSilent({ status, stdout }: Ran): void {
  expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
}

async function inNode(...words: readonly string[]): Promise<string> {
  return must("ip", ["netns", "exec", one.node.namespace, ...words]);
}

async function hasLink({ hostName }: Attached): Promise<boolean> {
  return (await inNode("ip", "-o", "link")).includes(`${hostName}@`);
}

async function linkGoes(attached: Attached): Promise<void> {
  await until(`${attached.hostName} is gone`, async () => !(await hasLink(attached)), 5000);
}

/** The agent makes again what of the pod was taken away, also where that was not seen yet. */
async function isMended(pod: Pod, attached: Attached): Promise<void> {
  const isBack = async (): Promise<boolean> =>
    (await inNode("ip", "route", "show", attached.address, "table", "7400")) !== "" &&
    (await check(pod, attached)).status === 0;
  await until(`${attached.hostName} is mended`, isBack, 5000);
}

/** What CHECK says of an attachment that was removed. */
async function isForgotten(pod: Pod, attached: Attached): Promise<boolean> {
  return errorOf(await check(pod, attached)).msg.includes("no lease");
}

describe("the CNI configuration of the runtime", () => {
  it("is there once the agent serves, as a list, with nothing beside it", async () => {
    const path = join(confDir(), "10-terway.conflist");
    await until("it is written", async () => existsSync(path), 5000);
    const { type } = CONF;
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      cniVersion: "1.1.0",
      name: "terway",
      plugins: [{ type, agent_socket: agent.socketPath, spool_dir: spoolDir() }],
    });
    expect(readdirSync(confDir())).toEqual(["10-terway.conflist"]);
  });
});

describe("CHECK", () => {
  it("succeeds after ADD, changes nothing, and names what somebody removed", async () => {
    const pod = await newPod("check");
    const attached = await addPod(pod);
    const made = await networkSnapshot(["ip", "netns", "exec", one.node.namespace]);
    expectSilent(await check(pod, attached));
    expect(differences(made, await networkSnapshot(["ip", "netns", "exec", one.node.namespace]))).toEqual([]);
    // Now and then the agent has mended it before it is asked.
    let broken = await check(pod, attached);
    for (let tries = 0; tries < 20 && broken.status === 0; tries += 1) {
      await inNode("ip", "route", "del", attached.address, "table", "7400");
      broken = await check(pod, attached);
      if (broken.status === 0) await isMended(pod, attached);
    }
    expect([broken.status, errorOf(broken).code]).toEqual([1, 103]);
    expect(errorOf(broken).msg).toContain(`route ${attached.address}`);
    await isMended(pod, attached);
    const other = { ...attached, result: { ...attached.result, ips: [] } };
    expect(errorOf(await check(pod, other)).msg).toContain(`no address ${attached.address}`);
    await delPod(pod);
    expect(await isForgotten(pod, attached)).toBe(true);
  });
});

describe("GC", () => {
  it("spares a live pod, whatever the list says, and removes one whose namespace is gone", async () => {
    const live = await newPod("gc-live");
    const dead = await newPod("gc-dead");
    const attached = { live: await addPod(live), dead: await addPod(dead) };
    await deletePodNamespace(dead);
    await linkGoes(attached.dead);
    expectSilent(await ask("GC", live, { name: "other", "cni.dev/valid-attachments": [] }));
    const both = [live, dead].map(({ containerId: containerID }) => ({ containerID, ifname: "eth0" }));
    expectSilent(await ask("GC", live, { "cni.dev/valid-attachments": both }));
    expect(await isForgotten(dead, attached.dead)).toBe(false);
    expectSilent(await ask("GC", live, { "cni.dev/valid-attachments": [] }));
    expect(await isForgotten(dead, attached.dead)).toBe(true);
    expectSilent(await check(live, attached.live));
    expect(agent.process.output()).toContain("GC does not list a pod that is alive");
    await delPod(live);
  });

  it("removes what no trace is left of without a list, too", async () => {
    const dead = await newPod("gc-none");
    const attached = await addPod(dead);
    expectSilent(await ask("GC", dead));
    expectSilent(await check(dead, attached));
    await deletePodNamespace(dead);
    await linkGoes(attached);
    expectSilent(await ask("GC", dead));
    expect(await isForgotten(dead, attached)).toBe(true);
  });
});

describe("a DEL that nobody hears", () => {
  it("is kept, and carried out when the agent runs again", async () => {
    const pod = await newPod("kept");
    const attached = await addPod(pod);
    await agent.kill();
    for (const _ of [1, 2]) expectSilent(await plugin("DEL", pod));
    expect(readdirSync(spoolDir())).toEqual([spoolName(attachmentOf(pod))]);
    agent = await startAgent(options);
    expect(readdirSync(spoolDir())).toEqual([]);
    await linkGoes(attached);
    expect(await isForgotten(pod, attached)).toBe(true);
  });

  it("is noticed by an agent that runs; what is no DEL is set aside", async () => {
    const pod = await newPod("noticed");
    const attached = await addPod(pod);
    const name = spoolName(attachmentOf(pod)) ?? "";
    writeFileSync(join(spoolDir(), "terway@x@eth0.del"), "{");
    writeFileSync(join(spoolDir(), name), encodeSpooled({ attachment: attachmentOf(pod), netns: "" }));
    const left = async (): Promise<boolean> =>
      readdirSync(spoolDir()).join() === "terway@x@eth0.del.rejected";
    await until("both are taken", left, 5000);
    await linkGoes(attached);
    expect(await isForgotten(pod, attached)).toBe(true);
  });

  it("comes before the next ADD of its attachment", async () => {
    const pod = await newPod("again");
    await addPod(pod);
    await agent.kill();
    await plugin("DEL", pod);
    agent = await startAgent(options);
    const attached = await addPod(pod);
    expectSilent(await check(pod, attached));
    await delPod(pod);
  });
});

/** How many addresses for pods the cloud has given to the node. */
async function addressesGiven(): Promise<number> {
  return (await ownEnis()).reduce((sum, { addresses }) => sum + addresses.length, 0);
}

/** The node's secondary ENIs. */
async function ownEnis(): Promise<readonly SimEni[]> {
  const enis = await one.simulator.enis();
  return enis.filter(({ isPrimary, instance }) => !isPrimary && instance === one.node.instance);
}

/** Longer than the simulated cloud takes to assign an address: one that nobody waits for any more may be on its way. */
const ASSIGNED_MS = 1500;

/** Pods until no address is left that the node has, or is about to have; nobody else has pods. */
async function takeAll(name: string): Promise<Pod[]> {
  const taken: Pod[] = [];
  let fullSinceMs = Infinity;
  while (performance.now() - fullSinceMs < ASSIGNED_MS || fullSinceMs === Infinity) {
    if (taken.length > 0 && taken.length >= (await addressesGiven())) {
      fullSinceMs = Math.min(fullSinceMs, performance.now());
      await new Promise((resolve) => void setTimeout(resolve, 50));
      continue;
    }
    fullSinceMs = Infinity;
    const pod = await newPod(`${name}${taken.length}`);
    await addPod(pod);
    taken.push(pod);
  }
  return taken;
}

function attachmentOf({ containerId }: Pod): { network: string; containerId: string; ifName: string } {
  return { network: "terway", containerId, ifName: "eth0" };
}

/** Executes ADD and kills the plugin after that many milliseconds, or when `when` resolves. */
async function killedAdd(pod: Pod, when: () => Promise<unknown>): Promise<void> {
  const child = spawn(program("terway"), {
    env: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: `/run/netns/${pod.namespace}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    },
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = once(child, "close");
  child.stdin.on("error", () => undefined);
  child.stdin.end(pod.conf);
  await when();
  child.kill("SIGKILL");
  await ended;
}

describe("an ADD whose plugin is killed", () => {
  it("ends its wait for an address and gives it back", async () => {
    const others = await takeAll("taken");
    // Else the first call is refused, and takes the fault with it.
    await until(
      "the ENI is InUse",
      async () => (await ownEnis()).every(({ status }) => status === "InUse"),
      10_000,
    );
    const pod = await newPod("killed");
    const started = agent.process.output().length;
    await one.simulator.call("fault", "add", "holdReply", "action=AssignPrivateIpAddresses", "delayMs=6000");
    await killedAdd(pod, async () =>
      until("the cloud has given one more", async () => (await addressesGiven()) > others.length, 10_000, 10),
    );
    await until(
      "the agent notices",
      async () => agent.process.output().slice(started).includes("the caller has gone"),
      // Before the answer is there.
      5000,
    );
    await one.simulator.call("fault", "clear");
    // The address that was on its way is there for the next one.
    const attached = await addPod(pod);
    expectSilent(await check(pod, attached));
    for (const each of [pod, ...others]) await delPod(each);
  });

  it("leaves the whole or nothing, whenever it happens", async () => {
    const first = await newPod("whenever");
    const attached = await addPod(first);
    await delPod(first);
    await linkGoes(attached);
    for (let afterMs = 0; afterMs < 8; afterMs += 1) {
      await killedAdd(first, async () => new Promise((resolve) => void setTimeout(resolve, afterMs)));
      await delPod(first);
    }
    await linkGoes(attached);
    const again = await addPod(first);
    expectSilent(await check(first, again));
    await delPod(first);
  });
});

describe("STATUS", () => {
  it("is silent while a pod can be served, and 50 without an agent", async () => {
    const pod = await newPod("status");
    expectSilent(await ask("STATUS", pod));
    await agent.kill();
    const refused = await ask("STATUS", pod);
    expect([refused.status, errorOf(refused).code]).toEqual([1, 50]);
    agent = await startAgent(options);
  });

  it("stays silent over a datapath that the agent can mend, with the pods' part of it", async () => {
    const pod = await newPod("mended");
    const attached = await addPod(pod);
    const gateway = one.simulator.gateways[VSWITCH] ?? "";
    const reaches = async (): Promise<boolean> => (await ping(pod.namespace, gateway)).received > 0;
    await until("it reaches the gateway", reaches, 5000);
    await inNode("nft", "delete", "table", "ip", "terway");
    await until("CHECK is content again", async () => (await check(pod, attached)).status === 0, 40_000, 500);
    await until("it reaches the gateway", reaches, 5000);
    expectSilent(await ask("STATUS", pod));
    await delPod(pod);
  });

  it("is 51 while an ENI's device is missing, and silent when it is back", async () => {
    const pod = await newPod("cut");
    const attached = await addPod(pod);
    const links = await inNode("ip", "-o", "link", "show", "group", "21506");
    const device = /^\d+: ([^@:]+)/.exec(links)?.[1] ?? "";
    const aside = await newPod("aside");
    await inNode("ip", "link", "set", device, "netns", aside.namespace);
    const refused = await until(
      "it is not silent",
      async () => {
        const asked = await ask("STATUS", pod);
        return asked.status === 0 ? undefined : asked;
      },
      30_000,
      500,
    );
    expect(errorOf(refused).code).toBe(51);
    expect(refused.tookMs).toBeLessThan(1000);
    const back = ["link", "set", device, "netns", one.node.namespace];
    await must("ip", ["netns", "exec", aside.namespace, "ip", ...back]);
    await until("it is silent", async () => (await ask("STATUS", pod)).status === 0, 30_000, 500);
    expectSilent(await check(pod, attached));
    await delPod(pod);
  });

  it("is 50 when the pool has been without hope for 15 s, with the cause, and silent when an address is there", async () => {
    const others = await takeAll("last");
    const more = await newPod("more");
    await one.simulator.call("fault", "drain", VSWITCH);
    expect(errorOf(await plugin("ADD", more)).code).toBe(11);
    const refusedMs = performance.now();
    expectSilent(await ask("STATUS", more));
    const refused = await until(
      "it is not silent",
      async () => {
        const asked = await ask("STATUS", more);
        return asked.status === 0 ? undefined : asked;
      },
      30_000,
      500,
    );
    expect(performance.now() - refusedMs).toBeGreaterThan(12_000);
    expect(errorOf(refused)).toMatchObject({ code: 50, msg: expect.stringContaining("could not be served") });
    for (const each of others) await delPod(each);
    expectSilent(await ask("STATUS", more));
    await one.simulator.call("fault", "refill", VSWITCH);
  });
});
