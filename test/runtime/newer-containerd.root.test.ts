/**
 * A containerd of version 2 asks for the STATUS on every poll: the node's readiness follows the agent. Runs where
 * test/containerd-newer.sh was run before, otherwise the summary says so.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "../harness/process.ts";
import { differences, hostSnapshot, machineChanges, type Snapshot } from "../harness/snapshot.ts";
import { ping } from "../harness/traffic.ts";
import { type OneNode, openOneNode } from "../e2e/one-node.ts";
import { untilNetwork } from "./measure.ts";
import { missingProgram, openRuntimeNode, QUICK_CLOUD, type RuntimeNode } from "./node.ts";
import { cannotRun } from "./notes.ts";
import { recordsIn } from "./recorder.ts";

const PROGRAMS = join(import.meta.dirname, "../../.cache/containerd-newer/usr/bin");

describe("containerd 2", () => {
  let machine: Snapshot;
  let nodeBefore: Snapshot;
  let one: OneNode | undefined;
  let opened: RuntimeNode | undefined;
  let why = "";

  beforeAll(async () => {
    machine = await hostSnapshot();
    why = existsSync(PROGRAMS)
      ? ((await missingProgram(PROGRAMS)) ?? "")
      : "there is none in .cache: test/containerd-newer.sh fetches it (30 MB)";
    if (why === "") {
      one = await openOneNode(`tw${process.pid}n`, { latencies: QUICK_CLOUD });
      nodeBefore = await one.snapshot();
      const options = { cniVersion: "1.1.0", programs: PROGRAMS };
      opened = await openRuntimeNode(one, options).catch((error: unknown) => {
        why = String(error);
        return undefined;
      });
    }
    if (opened === undefined) cannotRun("containerd 2", why);
  });

  afterAll(async () => {
    const left: string[] = [];
    try {
      left.push(...((await opened?.close()) ?? []));
      if (one !== undefined) left.push(...differences(nodeBefore, await one.snapshot()));
    } finally {
      await one?.[Symbol.asyncDispose]();
    }
    const onMachine = machineChanges(machine, await hostSnapshot(), `tw${process.pid}n`);
    expect([...left, ...onMachine]).toEqual([]);
  });

  it("is ready while the agent serves, and not without it; pods do not notice", async ({ skip }) => {
    if (opened === undefined || one === undefined) skip(why);
    else await drive(opened, one);
  });
});

async function drive(runtime: RuntimeNode, { node }: OneNode): Promise<void> {
  const { containerd } = runtime;
  const { cri } = containerd;
  expect(containerd.version).toMatch(/^v?2\./);
  await untilNetwork(cri, false);
  await runtime.startAgent();
  await untilNetwork(cri, true);
  const pod = await runtime.run("steady");
  expect(await runtime.agent().stop()).toBe(0);
  await untilNetwork(cri, false);
  const network = (await cri.conditions()).find(({ type }) => type === "NetworkReady");
  expect(network?.message).toContain("does not answer");
  expect(await ping(node.namespace, pod.address)).toMatchObject({ received: 3 });
  await runtime.startAgent();
  await untilNetwork(cri, true);
  await runtime.end(pod.id);
  const records = await recordsIn(runtime.recordsDirectory);
  const statuses = records.filter(({ command }) => command === "STATUS");
  expect(statuses.length).toBeGreaterThan(0);
  expect(new Set(statuses.map(({ status }) => status))).toEqual(new Set([0, 1]));
  const refused = statuses.find(({ status }) => status === 1);
  expect(JSON.parse(refused?.stdout ?? "{}")).toMatchObject({ cniVersion: "1.1.0", code: 50 });
  expect(refused?.env["CONTAINERID"] ?? "").toBe("");
  expect(await must("ip", ["-n", node.namespace, "route", "show", "table", "7400"])).not.toContain(
    pod.address,
  );
}
