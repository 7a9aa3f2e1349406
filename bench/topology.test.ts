import { describe, expect, it } from "vitest";
import { parseTopology } from "../sim/model/topology-file.ts";
import { benchTopology, DELAY_MS } from "./topology.ts";

describe("benchTopology()", () => {
  it("is a topology with one node and delays that do not vary", () => {
    const parsed = parseTopology(JSON.stringify(benchTopology()));
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.fault));
    expect(parsed.value.instances.map(({ name }) => name)).toEqual(["node-1"]);
    expect(parsed.value.latencies).toEqual(
      Object.fromEntries(Object.entries(DELAY_MS).map(([name, ms]) => [name, { minMs: ms, maxMs: ms }])),
    );
  });
});
