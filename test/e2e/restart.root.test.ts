/**
 * The agent is killed, or told to stop, at the worst moments of an ADD, and started again: the runtime repeats the ADD and
 * gets an address, no ENI and no address leaks, and pods that were attached before notice nothing.
 *
 * @module
 */
import { watch } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, it } from "vitest";
import { plugin } from "../harness/pod.ts";
import { type Ran, until } from "../harness/process.ts";
import { pingStream } from "../harness/traffic.ts";
import { type NodeOptions, openRig, type Rig, type RigNode } from "./rig.ts";
import { type NodeSpec, QUICK_RELEASE } from "./topology.ts";

/** One address on an ENI: each pod needs a new one. */
const TYPE = "ecs.e2e.single";
const LIMITS = { eni: 4, ip: 1 };
const ONE_EACH: NodeOptions = { eniConf: { instance_type_limits: { [TYPE]: LIMITS } } };
const CASES = [
  "kill-create",
  "term-create",
  "kill-attach",
  "kill-link",
  "term-link",
  "kill-assign",
  "kill-grant",
] as const;
type Case = (typeof CASES)[number];
const SPECS = CASES.map((name): NodeSpec => ({
  name,
  ...(["kill-assign", "kill-grant"].includes(name) ? {} : { type: TYPE }),
}));
/** The runtime hears at once that the agent is gone, and tries again. */
const HEARD_MS = 8000;
const AGAIN_MS = 12_000;

let rig: Rig;

beforeAll(async () => {
  rig = await openRig(`tw${process.pid}a`, SPECS, {
    instanceTypes: { [TYPE]: { eniQuantity: LIMITS.eni, eniPrivateIpAddressQuantity: LIMITS.ip } },
    latencies: { ...QUICK_RELEASE, attachLink: { minMs: 1500, maxMs: 2500 } },
  });
});

afterAll(async () => {
  const left = await rig.close();
  if (left.length > 0) throw new Error(`left or broken:\n${left.join("\n")}`);
});

/** A node with a pod that talks while `work` kills the agent; nothing of it may be lost, and nothing left. */
async function underTraffic(
  name: Case,
  expect: ExpectStatic,
  options: NodeOptions,
  work: (node: RigNode) => Promise<void>,
): Promise<void> {
  const left = await rig.onNode(
    name,
    async (node) => {
      const { pod } = await node.add();
      const stream = pingStream(pod.namespace, rig.simulator.gateways[node.vSwitches[0] ?? ""] ?? "", 10);
      try {
        await work(node);
      } finally {
        const { sent, received } = await stream.stop();
        expect(sent).toBeGreaterThan(50);
        expect(received).toBe(sent);
      }
    },
    options,
  );
  expect(left).toEqual([]);
}

type End = (node: RigNode) => Promise<void>;

const kill: End = async (node) => node.agent().kill();

const terminate: End = async (node) => {
  const status = await node.agent().stop();
  if (status !== 0) throw new Error(`terwayd ended with ${status} after SIGTERM`);
};

/** Ends the agent when `moment` has come in the ADD of a second pod, starts it again and repeats the ADD. */
async function cutOff(node: RigNode, end: End, moment: () => Promise<unknown>): Promise<Ran> {
  const pod = await node.newPod();
  const cut = plugin("ADD", pod);
  await moment();
  const endedMs = performance.now();
  await end(node);
  const ran = await cut;
  const heardMs = performance.now() - endedMs;
  if (heardMs > HEARD_MS) throw new Error(`the plugin ended ${heardMs} ms after the agent`);
  await node.start();
  const { tookMs } = await node.add(pod);
  if (tookMs > AGAIN_MS) throw new Error(`the repeated ADD took ${tookMs} ms`);
  return ran;
}

/** Holds back the answers of an action for longer than an agent takes to stop. */
async function hold(node: RigNode, action: string, aim: string): Promise<void> {
  await node.fault("add", "holdReply", `action=${action}`, "delayMs=8000", aim);
}

/** Waits until the node has `count` ENIs, the last one in this status. One that serves may still be `Attaching`. */
async function lastEniIs(node: RigNode, count: number, status: string): Promise<void> {
  await until(
    `ENI ${count} is ${status}`,
    async () => {
      const enis = await node.enis();
      return enis.length === count && enis.every((eni) => eni.status === "InUse" || eni.status === status);
    },
    10_000,
    20,
  );
}

/** Two pods: two ENIs, both in use. */
async function provesTwo(node: RigNode, expect: ExpectStatic): Promise<void> {
  await until(
    "both are InUse",
    async () => (await node.enis()).every(({ status }) => status === "InUse"),
    5000,
  );
  const enis = await node.enis();
  expect(enis.map(({ addresses, instance }) => [addresses.length, instance])).toEqual([
    [1, node.node.instance],
    [1, node.node.instance],
  ]);
}

async function tokens(node: RigNode): Promise<{ readonly calls: number; readonly different: number }> {
  const calls = await node.calls("CreateNetworkInterface");
  return {
    calls: calls.length,
    different: new Set(calls.map(({ parameters }) => parameters["ClientToken"])).size,
  };
}

/** What the runtime reads: CNI's code for "try again later". */
function expectTryAgain(expect: ExpectStatic, ran: Ran): void {
  expect(ran.status).not.toBe(0);
  expect(JSON.parse(ran.stdout)).toMatchObject({ code: 11 });
}

describe.concurrent("an ADD that waits for Create", () => {
  for (const [name, end] of [
    ["kill-create", kill],
    ["term-create", terminate],
  ] as const) {
    it(`${name}: the same call again finds the ENI that was made`, async ({ expect }) => {
      await underTraffic(name, expect, ONE_EACH, async (node) => {
        await hold(node, "CreateNetworkInterface", `vSwitch=${node.vSwitches[0]}`);
        expectTryAgain(expect, await cutOff(node, end, async () => lastEniIs(node, 2, "Available")));
        expect(await tokens(node)).toEqual({ calls: 3, different: 2 });
        await provesTwo(node, expect);
      });
    });
  }
});

describe.concurrent("an ADD that waits for its ENI", () => {
  it("kill-attach: an ENI whose attachment was asked for is used", async ({ expect }) => {
    await underTraffic("kill-attach", expect, ONE_EACH, async (node) => {
      await hold(node, "AttachNetworkInterface", `instance=${node.node.name}`);
      expectTryAgain(expect, await cutOff(node, kill, async () => lastEniIs(node, 2, "Attaching")));
      expect(await tokens(node)).toEqual({ calls: 2, different: 2 });
      await provesTwo(node, expect);
    });
  });

  for (const [name, end] of [
    ["kill-link", kill],
    ["term-link", terminate],
  ] as const) {
    it(`${name}: an ENI whose device is on its way is used`, async ({ expect }) => {
      await underTraffic(name, expect, ONE_EACH, async (node) => {
        const attached = async (): Promise<boolean> =>
          (await node.calls("AttachNetworkInterface")).filter((call) => call.end === "ok").length === 2;
        const ran = await cutOff(node, end, async () => until("Attach was answered", attached, 10_000, 20));
        // An agent that is told to stop may have the time to finish it.
        if (end === kill || ran.status !== 0) expectTryAgain(expect, ran);
        expect(await tokens(node)).toEqual({ calls: 2, different: 2 });
        await provesTwo(node, expect);
      });
    });
  }
});

describe.concurrent("an ADD on an ENI that is there", () => {
  it("kill-assign: what was assigned unheard is found, and used or given back", async ({ expect }) => {
    await underTraffic("kill-assign", expect, {}, async (node) => {
      const [eni] = await node.enis();
      await lastEniIs(node, 1, "InUse");
      await hold(node, "AssignPrivateIpAddresses", `eni=${eni?.id}`);
      const assigned = async (): Promise<boolean> => (await node.enis())[0]?.addresses.length === 2;
      expectTryAgain(
        expect,
        await cutOff(node, kill, async () => until("the address is assigned", assigned, 10_000, 20)),
      );
      await until("two pods, two addresses", assigned, 40_000, 200);
      expect(await node.enis()).toHaveLength(1);
    });
  });

  it("kill-grant: the lease is on disk and the interface half made", async ({ expect }) => {
    const warm: NodeOptions = { eniConf: { min_pool_size: 3, max_pool_size: 5 } };
    await underTraffic("kill-grant", expect, warm, async (node) => {
      const taken = new Set<string>();
      for (let round = 0; round < 4; round++) {
        const pod = await node.newPod();
        const cut = plugin("ADD", pod);
        await leaseWritten(node);
        await node.agent().kill();
        const ran = await cut;
        await node.start();
        const { address } = await node.add(pod);
        // An ADD that was answered before stays as it was.
        if (ran.status === 0) expect(ran.stdout).toContain(`"${address}/32"`);
        taken.add(address);
      }
      expect(taken.size).toBe(4);
    });
  });
});

/** Resolves when the agent writes its database: the grant comes with the lease. */
async function leaseWritten(node: RigNode): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watcher = watch(join(node.options.directory, "state"), () => resolve());
  await promise;
  watcher.close();
}
