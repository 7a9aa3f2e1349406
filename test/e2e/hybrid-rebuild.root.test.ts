/**
 * The database of a node on premises is lost: there is no cloud to ask, so kernel and runtime suffice.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { drainAgent, startAgent } from "../harness/agent.ts";
import { addPod, deletePodNamespace, delPod } from "../harness/pod.ts";
import { keepResult } from "../harness/result-cache.ts";
import { differences } from "../harness/snapshot.ts";
import { pingStream } from "../harness/traffic.ts";
import { openHybridNodes } from "./hybrid-nodes.ts";

describe("terwayd --hybrid-conf whose database was lost", () => {
  it("knows its pods again, and gives none of their addresses away", async () => {
    await using lab = await openHybridNodes(`tw${process.pid}w`);
    const before = await lab.snapshot("node-1");
    const plain = lab.agent("node-1");
    const cache = join(plain.directory, "cni");
    const options = { ...plain, flags: ["--cni-cache-dir", cache] };
    let agent = await startAgent(options);
    try {
      const pods = [await lab.pod("a", "node-1"), await lab.pod("b", "node-1"), await lab.pod("c", "node-1")];
      const [first, second, unknown] = pods;
      if (first === undefined || second === undefined || unknown === undefined) throw new Error("no pods");
      const addresses: string[] = [];
      for (const pod of pods) {
        const attached = await addPod(pod);
        addresses.push(attached.address);
        if (pod !== unknown) await keepResult(cache, pod, attached);
      }
      const stream = pingStream(first.namespace, addresses[2] ?? "", 20);
      await agent.kill();
      for (const suffix of ["", "-wal", "-shm"])
        await rm(join(options.directory, `state/agent.db${suffix}`), { force: true });
      agent = await startAgent(options);
      expect(agent.process.output()).toContain(`"leases":3,"unknown":1,"enis":0`);
      for (const pod of [second, unknown]) {
        await delPod(pod);
        await deletePodNamespace(pod);
      }
      const { sent, received } = await stream.stop();
      expect([received > 10, sent >= received]).toEqual([true, true]);
      await delPod(first);
    } catch (error) {
      throw new Error(`${String(error)}\n${agent.process.output()}`, { cause: error });
    } finally {
      await agent.stop();
    }
    await drainAgent(options);
    expect(differences(before, await lab.snapshot("node-1"))).toEqual([]);
  });
});
