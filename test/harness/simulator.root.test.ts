/**
 * A promise of the cloud that is broken fails the test during which it is, and whoever takes the simulator down.
 *
 * @module
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEFAULT_TOPOLOGY_FILE } from "../../sim/model/topology-default.ts";
import { must, until } from "./process.ts";
import { type Simulator, simulatorUp } from "./simulator.ts";
import { brokenNow } from "./standing.ts";

const NAME = `tw${process.pid}y`;
const SENTENCE = /^eni-without-owner: eni-\w+ \(vsw-pods-h2\) is Available without instance for \d+ s$/;

describe("simulatorUp()", () => {
  let directory: string;
  let simulator: Simulator;

  /** A cloud in which no ENI may be without owner for longer than 1 ms, and one is. */
  async function brokenCloud(): Promise<Simulator> {
    const path = join(directory, "topology.json");
    await writeFile(path, JSON.stringify({ ...DEFAULT_TOPOLOGY_FILE, limits: { ownerlessMs: 1 } }));
    const cloud = await simulatorUp(NAME, [path]);
    await cloud.call("fault", "add", "foreignEni", "vSwitch=vsw-pods-h2", "serviceManaged=false");
    await until("it is broken", async () => (await cloud.brokenInvariants()).length > 0, 5000);
    return cloud;
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "terway-simulator-"));
    simulator = await brokenCloud();
  });
  afterAll(async () => {
    await simulator.call("down").catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  });

  // It can fail by the look after it alone.
  it.fails("fails a test during which a promise is broken", () => undefined);

  it("fails in the end, and has taken everything down", async () => {
    expect(await simulator.brokenInvariants()).toEqual([expect.stringMatching(SENTENCE)]);
    await expect(simulator.down()).rejects.toThrow(
      new RegExp(`^broken in the cloud ${NAME}:\n${SENTENCE.source.slice(1)}`),
    );
    expect(await brokenNow()).toEqual([]);
    expect(await must("ip", ["netns"])).not.toContain(NAME);
    await simulator.down();
  });

  it("is content with what a test breaks on purpose, by name", async () => {
    simulator = await brokenCloud();
    expect(await brokenNow()).toHaveLength(1);
    simulator.breaks("eni-without-owner");
    expect(await brokenNow()).toEqual([]);
    await simulator.down();
  });
});
