import { describe, expect, it } from "vitest";
import { parseTopology } from "../sim/model/topology-file.ts";
import { benchTopology, DELAY_MS, LARGE_NODE, SMALL_NODE } from "./topology.ts";

describe("benchTopology()", () => {
  it("is a topology with one node and delays that do not vary", () => {
    const parsed = parseTopology(JSON.stringify(benchTopology(SMALL_NODE)));
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.fault));
    expect(parsed.value.instances.map(({ name }) => name)).toEqual(["node-1"]);
    expect(parsed.value.latencies).toEqual(
      Object.fromEntries(Object.entries(DELAY_MS).map(([name, ms]) => [name, { minMs: ms, maxMs: ms }])),
    );
  });

  it("is a large node in a cloud that answers at once", () => {
    const parsed = parseTopology(JSON.stringify(benchTopology(LARGE_NODE)));
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.fault));
    expect(parsed.value.instances.map(({ type }) => type)).toEqual(["ecs.g7.32xlarge"]);
    expect(Math.max(...Object.values(parsed.value.latencies).map(({ maxMs }) => maxMs))).toBe(1);
  });
});
