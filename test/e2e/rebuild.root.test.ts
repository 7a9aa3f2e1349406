/**
 * The agent's database is lost while it is away. The next start rebuilds it from the kernel, the runtime's results and the
 * cloud: pods go on talking, no address is given twice, CHECK and DEL work as before, and nothing is left in the end.
 *
 * @module
 */
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { readdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Agent, type AgentOptions, drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { addPod, type Attached, deletePodNamespace, delPod, type Pod, plugin } from "../harness/pod.ts";
import { type Ran, until } from "../harness/process.ts";
import { forgetResult, keepResult } from "../harness/result-cache.ts";
import { differences, networkSnapshot, type Snapshot } from "../harness/snapshot.ts";
import { ping, pingStream } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

const PODS = 5;
const VSWITCH = "vsw-pods-h2";
/** Three addresses an ENI: five pods are on two of them. */
const ENI_CONF = {
  max_pool_size: 1,
  instance_type_limits: { "ecs.g7.xlarge": { eni: 4, ip: 3 } },
  address_cooldown: "3s",
};

let one: OneNode;
beforeAll(async () => {
  one = await openOneNode(`tw${process.pid}b`);
});
afterAll(() => one[Symbol.asyncDispose]());

/** Pods that a case has made and not deleted yet. */
let made: Pod[] = [];

type Running = { readonly pod: Pod; readonly attached: Attached };

async function running(name: string, options: AgentOptions): Promise<Running> {
  const pod = await one.pod(name, options);
  made.push(pod);
  const attached = await addPod(pod);
  // The data plane follows the API's answer a little later.
  await until(
    `${name} reaches the gateway`,
    async () => (await ping(pod.namespace, gateway())).received === 3,
    5000,
  );
  return { pod, attached };
}

function gateway(): string {
  return one.simulator.gateways[VSWITCH] ?? "";
}

function check({ pod, attached }: Running): Promise<Ran> {
  const conf = { ...JSON.parse(pod.conf), prevResult: attached.result };
  return plugin("CHECK", { ...pod, conf: JSON.stringify({ ...conf, cniVersion: "1.0.0" }) });
}

/** Without what counts packets. */
async function nodeNetwork(): Promise<Snapshot> {
  const taken = await networkSnapshot(["ip", "netns", "exec", one.node.namespace]);
  return Object.fromEntries(
    Object.entries(taken).map(([title, text]) => [title, text.replaceAll(/packets \d+ bytes \d+/g, "")]),
  );
}

function overwriteMiddle(path: string): void {
  const fd = openSync(path, "r+");
  const page = Math.floor(statSync(path).size / 8192) * 4096;
  for (let at = 0; at < 4096; at += 16) writeSync(fd, Buffer.alloc(16, 0x5a), 0, 16, page + at);
  closeSync(fd);
}

type Loss = {
  readonly name: string;
  readonly end: (agent: Agent) => Promise<unknown>;
  readonly lose: (path: string) => Promise<void>;
  readonly why: string;
};

const LOSSES: readonly Loss[] = [
  {
    name: "deleted",
    end: (agent) => agent.kill(),
    async lose(path) {
      for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true });
    },
    why: "there was no database",
  },
  {
    name: "damaged",
    end: (agent) => agent.stop(),
    lose: async (path) => overwriteMiddle(path),
    why: "the database was damaged",
  },
  {
    name: "cut-off",
    end: (agent) => agent.stop(),
    lose: (path) => truncate(path, 5000),
    why: "the database was damaged",
  },
];

describe("terwayd whose database was lost", () => {
  for (const { name, end, lose, why } of LOSSES)
    it(`knows its pods again: ${name}`, async () => {
      const before = await one.snapshot();
      const cache = join(one.directory, name, "cni");
      const options = { ...one.agent(name, ENI_CONF), flags: ["--cni-cache-dir", cache] };
      await prepareAgent(options);
      let agent = await startAgent(options);
      try {
        const pods: Running[] = [];
        for (let index = 0; index < PODS; index++) {
          const next = await running(`${name}-${index}`, options);
          // Of the last one the runtime knows nothing.
          if (index < PODS - 1) await keepResult(cache, next.pod, next.attached);
          pods.push(next);
        }
        // A device may pass packets before the cloud says that its ENI is attached.
        await until(
          "every ENI is InUse",
          async () => (await one.simulator.enis()).every(({ status }) => status === "InUse"),
          10_000,
        );
        const streams = pods.map(({ pod }) => pingStream(pod.namespace, gateway(), 20));
        const network = await nodeNetwork();
        await end(agent);
        await lose(join(options.directory, "state/agent.db"));
        agent = await startAgent(options);
        const log = agent.process.output();
        expect(log).toContain(why);
        expect(log).toContain(`"leases":${PODS},"unknown":1,"enis":2`);
        // Rules, tables, marks and maps are as they were: every ENI has its slot.
        expect(differences(network, await nodeNetwork())).toEqual([]);
        const addresses = pods.map(({ attached }) => attached.address);
        const another = await running(`${name}-new`, options);
        expect(addresses).not.toContain(another.attached.address);
        for (const each of pods) expect(await check(each)).toMatchObject({ status: 0 });
        for (const stream of streams) {
          const { sent, received } = await stream.stop();
          expect([received, sent > 10]).toEqual([sent, true]);
        }
        for (const { pod } of [...pods, another]) {
          await delPod(pod);
          await forgetResult(cache, pod);
          await deletePodNamespace(pod);
        }
        made = [];
        const files = await readdir(join(options.directory, "state"));
        expect(files.filter((file) => file.includes("damaged")).length > 0).toBe(name !== "deleted");
      } catch (error) {
        throw new Error(`${String(error)}\n${agent.process.output()}`, { cause: error });
      } finally {
        for (const pod of made) await plugin("DEL", pod);
        made = [];
        await agent.stop();
        await drainAgent(options);
      }
      expect(differences(before, await one.snapshot())).toEqual([]);
    });
});
