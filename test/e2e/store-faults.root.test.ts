/**
 * The agent's database on a disk that is full, locked by another process, or written by a newer agent: new pods are told
 * why and to try again, pods that run notice nothing, DEL comes to its end, and all goes on by itself when the cause is gone.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Agent,
  type AgentOptions,
  drainAgent,
  isServing,
  prepareAgent,
  startAgent,
} from "../harness/agent.ts";
import { addPod, delPod, type Pod, plugin } from "../harness/pod.ts";
import { must, type Ran, until } from "../harness/process.ts";
import { differences } from "../harness/snapshot.ts";
import { pingStream } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

let node: OneNode;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  node = stack.use(await openOneNode(`tw${process.pid}s`));
});
afterAll(() => stack.disposeAsync());

type Rig = {
  readonly options: AgentOptions;
  /** The directory of the database. */
  readonly state: string;
  readonly start: (isUp?: (socketPath: string) => Promise<boolean>) => Promise<Agent>;
  /** A pod's namespace; the pod is deleted in the end, whatever became of it. */
  readonly pod: (name: string) => Promise<Pod>;
};

const isListening = async (socketPath: string): Promise<boolean> => existsSync(socketPath);

/** An agent whose state is on a file system of its own, of 512 KiB; all is taken away in the end. */
async function onSmallDisk(name: string, work: (rig: Rig) => Promise<void>): Promise<void> {
  const before = await node.snapshot();
  const options = node.agent(name, { min_pool_size: 1, max_pool_size: 4 });
  await prepareAgent(options);
  const state = join(options.directory, "state");
  await mkdir(state);
  await must("mount", ["-n", "-t", "tmpfs", "-o", "size=512k", "tmpfs", state]);
  const agents: Agent[] = [];
  const pods: Pod[] = [];
  const rig: Rig = {
    options,
    state,
    async start(isUp) {
      const agent = await startAgent(options, 30_000, isUp);
      agents.push(agent);
      return agent;
    },
    async pod(own) {
      const pod = await node.pod(`${name}-${own}`, options);
      pods.push(pod);
      return pod;
    },
  };
  const faults: unknown[] = [];
  const go = async (part: () => Promise<unknown>): Promise<void> => {
    await part().catch((error: unknown) => faults.push(error));
  };
  await go(() => work(rig));
  for (const pod of pods) await go(() => delPod(pod));
  for (const agent of agents) await go(() => agent.stop());
  await go(() => drainAgent(options));
  await go(() => must("umount", ["-n", state]));
  const said = agents.map((agent) => agent.process.output()).join("\n");
  if (faults.length > 0) throw new Error([...faults.map(String), said].join("\n"), { cause: faults[0] });
  expect(differences(before, await node.snapshot())).toEqual([]);
}

async function fillDisk(directory: string): Promise<void> {
  for (const bytes of [4096, 1])
    for (let file = 0; file < 200; file++)
      try {
        await writeFile(join(directory, `fill-${bytes}-${file}`), Buffer.alloc(bytes));
      } catch {
        break;
      }
}

async function makeRoom(directory: string): Promise<void> {
  for (const name of await readdir(directory)) if (name.startsWith("fill-")) await rm(join(directory, name));
}

/** What the plugin said: 11 asks the runtime to try again. */
function refusal(ran: Ran): { readonly code: number; readonly said: string } {
  const { code, msg, details }: { code: number; msg: string; details?: string } = JSON.parse(ran.stdout);
  return { code, said: `${msg} ${details ?? ""}` };
}

function check(pod: Pod, result: object): Promise<Ran> {
  const conf = {
    ...JSON.parse(pod.conf),
    cniVersion: "1.0.0",
    prevResult: { ...result, cniVersion: "1.0.0" },
  };
  return plugin("CHECK", { ...pod, conf: JSON.stringify(conf) });
}

function status(pod: Pod): Promise<Ran> {
  return plugin("STATUS", { ...pod, conf: JSON.stringify({ ...JSON.parse(pod.conf), cniVersion: "1.1.0" }) });
}

/** A process that holds the database for itself. */
async function locker(path: string): Promise<ChildProcess> {
  const program = `
    const { DatabaseSync } = require("node:sqlite");
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE");
    process.stdout.write("locked");
    setTimeout(() => {}, 120_000);`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

const GATEWAY = "vsw-pods-h2";

describe("terwayd with a database that cannot be written", () => {
  it("refuses new pods with the cause while the disk is full, and leaves those that run alone", async () => {
    await onSmallDisk("full", async ({ state, start, pod }) => {
      await start();
      const [first, second, third] = [await pod("a"), await pod("b"), await pod("c")];
      const attached = await addPod(first);
      await addPod(second);
      const stream = pingStream(first.namespace, node.simulator.gateways[GATEWAY] ?? "", 20);
      await fillDisk(state);
      // What SQLite's log has room for may still go; then the cause is heard.
      const heard = await until(
        "an ADD is refused",
        async () => {
          const ran = await plugin("ADD", third);
          if (ran.status !== 0) return refusal(ran);
          await plugin("DEL", third);
          return undefined;
        },
        20_000,
        50,
      );
      expect(heard).toEqual({ code: 11, said: expect.stringContaining("the disk is full") });
      expect(heard?.said).toContain(`make room on the file system of ${state}`);
      expect(refusal(await status(third))).toEqual({
        code: 50,
        said: expect.stringContaining("the disk is full"),
      });
      expect(await check(first, attached.result)).toMatchObject({ status: 0 });
      // It may not be answered before it is written; the runtime asks again.
      expect(refusal(await plugin("DEL", second))).toMatchObject({ code: 11 });
      await makeRoom(state);
      expect(await status(third)).toMatchObject({ status: 0 });
      await addPod(third);
      await delPod(second);
      const { sent, received } = await stream.stop();
      expect([received, sent > 0]).toEqual([sent, true]);
    });
  });

  it("starts while another process has locked it, says so, and goes on by itself", async () => {
    await onSmallDisk("locked", async ({ state, start, pod }) => {
      const path = join(state, "agent.db");
      const agent = await start();
      const [first, next] = [await pod("a"), await pod("b")];
      await addPod(first);
      await agent.kill();
      const child = await locker(path);
      try {
        const again = await start(isListening);
        await until(
          "it has said so",
          async () => again.process.output().includes("cannot be opened"),
          10_000,
        );
        expect(refusal(await plugin("ADD", next))).toEqual({
          code: 11,
          said: expect.stringContaining("another process has locked it"),
        });
        expect(refusal(await status(next))).toEqual({
          code: 50,
          said: expect.stringContaining("another process has locked it"),
        });
        // Kept by the plugin, and carried out when the agent can.
        await delPod(first);
        child.kill("SIGKILL");
        await until("it serves", () => isServing(again.socketPath), 10_000);
        expect(again.process.output()).toContain("a kept DEL was carried out");
      } finally {
        child.kill("SIGKILL");
      }
      await addPod(next);
    });
  });

  it("does not touch what a newer agent has written, and says what to do", async () => {
    await onSmallDisk("newer", async ({ state, start, pod }) => {
      await (await start()).stop();
      const versionIs = (version: number): void => {
        const db = new DatabaseSync(join(state, "agent.db"));
        db.exec(`PRAGMA user_version=${version}`);
        db.close();
      };
      versionIs(99);
      const first = await pod("a");
      const agent = await start(isListening);
      await until("it has said so", async () => agent.process.output().includes("cannot be opened"), 10_000);
      const { code, said } = refusal(await plugin("ADD", first));
      expect(code).toBe(11);
      expect(said).toContain("written by a newer terwayd (schema 99");
      expect(said).toContain("install that version again");
      versionIs(3);
      await until("it serves", () => isServing(agent.socketPath), 10_000);
    });
  });
});
