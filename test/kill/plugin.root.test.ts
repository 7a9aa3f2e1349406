/**
 * The plugin is killed right before each of its system calls that anybody can tell of, at ADD, at DEL, and at a DEL that it
 * keeps on disk. The runtime does what runtimes do with a plugin that was killed: it asks again, or deletes.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, it } from "vitest";
import { type Pod, plugin } from "../harness/pod.ts";
import { allEnded } from "../harness/process.ts";
import { type Lab, openLab, type Size } from "./lab.ts";
import { type KillNode } from "./node.ts";
import { killedAt, type SystemCall, systemCalls, traced } from "./strace.ts";

/** As many pods as a DEL without an agent has system calls, and some more. */
const SIZE: Size = { enis: 2, addresses: 49, idleMax: 49, cooldownMs: 200, pods: 48 };
const TIMEOUT_MS = 300_000;
/** strace's own status where the program was killed: 128 + SIGKILL, or the signal, which Node tells as 1. */
const KILLED: ReadonlySet<number> = new Set([137, 1]);

const directory = mkdtempSync(join(tmpdir(), `tw${process.pid}p-`));
const counts: string[] = [];
let lab: Lab;

beforeAll(async () => {
  lab = await openLab({ name: `tw${process.pid}p`, nodes: { add: SIZE, del: SIZE, spool: SIZE } });
});

afterAll(async () => {
  process.stdout.write(`${counts.join("\n")}\n`);
  rmSync(directory, { recursive: true, force: true });
  await lab[Symbol.asyncDispose]();
});

/** The calls of one command, by a run that is not killed. */
async function callsOf(command: string, pod: Pod): Promise<readonly SystemCall[]> {
  const file = join(directory, pod.containerId);
  const ran = await plugin(command, pod, {}, traced(file));
  if (ran.status !== 0) throw new Error(`${command}: ${ran.stdout}${ran.stderr}`);
  return systemCalls(readFileSync(file, "utf8"));
}

/** Whether it was killed; a call that did not come this time leaves it to its end. */
async function killed(expect: ExpectStatic, command: string, pod: Pod, call: SystemCall): Promise<boolean> {
  const ran = await plugin(command, pod, {}, killedAt(call));
  if (ran.status === 0) return false;
  expect(KILLED, ran.stdout + ran.stderr).toContain(ran.status);
  expect(ran.stdout, "a failure of its own").not.toContain('"code"');
  return true;
}

/** The node is as before, and no DEL waits. */
async function isBack(expect: ExpectStatic, node: KillNode): Promise<readonly string[]> {
  expect(await node.settled()).toEqual([]);
  return (await node.rested()).map((address) => `${address} rests for ever`);
}

describe.concurrent("a plugin that is killed before each system call", () => {
  it(
    "of ADD leaves nothing that the next ADD or DEL does not find",
    async ({ expect }) => {
      const left = await lab.onNode("add", async (node) => {
        await node.remember();
        const first = node.sandbox(1);
        const calls = await callsOf("ADD", first);
        await node.del(first);
        let kills = 0;
        for (const [at, call] of calls.entries()) {
          let pod = node.sandbox(1);
          if (await killed(expect, "ADD", pod, call)) kills += 1;
          if (at % 2 === 1) {
            await node.undo(pod);
            pod = node.sandbox(1);
          }
          await node.add(pod);
          await node.undo(pod);
        }
        counts.push(`plugin, ADD: ${calls.length} system calls, ${kills} kills`);
        expect(kills).toBeGreaterThan(calls.length / 2);
        return isBack(expect, node);
      });
      expect(left).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    "of DEL leaves nothing that the repeated DEL does not take away",
    async ({ expect }) => {
      const left = await lab.onNode("del", async (node) => {
        await node.remember();
        const first = node.sandbox(1);
        await node.add(first);
        const calls = await callsOf("DEL", first);
        let kills = 0;
        for (const call of calls) {
          const pod = node.sandbox(1);
          await node.add(pod);
          if (await killed(expect, "DEL", pod, call)) kills += 1;
          await node.undo(pod);
        }
        counts.push(`plugin, DEL: ${calls.length} system calls, ${kills} kills`);
        expect(kills).toBeGreaterThan(calls.length / 2);
        return isBack(expect, node);
      });
      expect(left).toEqual([]);
    },
    TIMEOUT_MS,
  );

  it(
    "of a DEL without an agent loses no DEL, and half a file harms nobody",
    async ({ expect }) => {
      const left = await lab.onNode("spool", async (node) => {
        await node.remember();
        const pods = Array.from({ length: (SIZE.pods ?? 0) - 1 }, (_, at) => node.sandbox(at + 1));
        for (const pod of pods) await node.add(pod);
        await node.kill();
        const [first, ...others] = pods;
        const calls = first === undefined ? [] : await callsOf("DEL", first);
        expect(others.length).toBeGreaterThanOrEqual(calls.length);
        const late: Pod[] = [];
        let kills = 0;
        for (const [at, pod] of others.entries()) {
          const call = calls[at];
          if (call !== undefined && (await killed(expect, "DEL", pod, call))) kills += 1;
          // The runtime asks again, sooner or later.
          if (at % 2 === 1) await node.undo(pod);
          else late.push(pod);
        }
        await node.start(0);
        await allEnded(late.map((pod) => node.undo(pod)));
        counts.push(`plugin, DEL without an agent: ${calls.length} system calls, ${kills} kills`);
        expect(kills).toBe(calls.length);
        return isBack(expect, node);
      });
      expect(left).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
