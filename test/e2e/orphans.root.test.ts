/**
 * ENIs that were left behind: what an agent that lost its store, or an instance that is gone, has made is deleted after the
 * quarantine; what may have an owner stays.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drainAgent, prepareAgent, startAgent } from "../harness/agent.ts";
import { until } from "../harness/process.ts";
import { differences, type Snapshot } from "../harness/snapshot.ts";
import { type OneNode, openOneNode } from "./one-node.ts";

const VSWITCH = "vsw-pods-h2";

describe("terwayd and ENIs without an owner", () => {
  let one: OneNode;
  let before: Snapshot;

  beforeAll(async () => {
    one = await openOneNode(`tw${process.pid}o`);
    before = await one.snapshot();
  });
  afterAll(async () => {
    await one[Symbol.asyncDispose]();
  });

  /** An ENI beside all instances, with the tags of one that an agent made for `instance`. */
  async function leftBehind(
    instance: string,
    event: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    const tags = [
      { key: "creator", value: "terway" },
      { key: "terway-instance", value: instance },
    ];
    const settings = { vSwitch: VSWITCH, serviceManaged: false, tags: JSON.stringify(tags), ...event };
    const pairs = Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`);
    const printed = await one.simulator.call("fault", "add", "foreignEni", ...pairs);
    return /eni-[0-9a-z]+/.exec(printed)?.[0] ?? printed;
  }

  const ids = async (): Promise<string[]> => (await one.simulator.enis()).map(({ id }) => id);

  it("deletes those of a dead instance and of its own lost past, and no other", async () => {
    const options = one.agent("agent", { orphan_eni_after: "1s", min_pool_size: 1 });
    await prepareAgent(options);
    const kept = [
      await leftBehind("i-node-2"),
      await leftBehind("i-dead", { serviceManaged: true }),
      await leftBehind("i-dead", { tags: '[{"key":"creator","value":"somebody"}]' }),
    ];
    const orphans = [await leftBehind("i-dead"), await leftBehind(one.node.instance)];
    const agent = await startAgent(options);
    const orphansGone = async (): Promise<boolean> => {
      const now = await ids();
      return orphans.every((id) => !now.includes(id));
    };
    try {
      await until("the orphans are gone", orphansGone, 30_000);
      expect(await ids()).toEqual(expect.arrayContaining(kept));
      expect(agent.process.output()).toContain("an ENI without an owner was deleted");
    } finally {
      await agent.kill();
    }
    await drainAgent(options);
    for (const id of kept) await one.simulator.call("fault", "add", "deleteEni", `eni=${id}`);
    expect(differences(before, await one.snapshot())).toEqual([]);
  });
});
