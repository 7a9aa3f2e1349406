/** How many calls of the cloud the usual situations cost, on a cloud without trouble. */
import { describe, expect, it } from "vitest";
import { vSwitchId } from "../../../proto/ids.ts";
import { fakeCloud } from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";

const GENEROUS = { enisMax: 3, addressesPerEni: 15, vSwitches: [{ id: vSwitchId("vsw-a"), size: 1_000 }] };

/** Calls by kind since call number `from`. */
function callsOf(node: FakeNode, from = 0): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of node.calls.slice(from)) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `pod-${index}`);
}

describe("calls of the cloud", () => {
  it("starts with one survey", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(300_000);
    expect(callsOf(node)).toEqual({ describe: 1 });
  });

  it("gives the first pod of an empty pool an address with two calls, and confirms with a third", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    node.add("a");
    node.run(60_000);
    expect(callsOf(node, 1)).toEqual({ "create-eni": 1, "attach-eni": 1, describe: 1 });
    expect([...node.leases.keys()]).toEqual(["a"]);
  });

  it("serves 40 pods at once from nothing with 7 calls", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    for (const name of names(40)) node.add(name);
    node.run(30_000);
    expect(node.leases.size).toBe(40);
    expect(callsOf(node, 1)).toEqual({ "create-eni": 3, "attach-eni": 3, describe: 1 });
    expect(node.offences).toEqual([]);
  });

  it("serves 40 pods that come within a second with at most 10 calls", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    for (const name of names(40)) {
      node.add(name);
      node.run(25);
    }
    node.run(30_000);
    expect(node.leases.size).toBe(40);
    expect(node.calls.length - 1).toBeLessThanOrEqual(10);
  });

  it("serves 40 pods one by one with 14 calls", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    for (const name of names(40)) {
      node.add(name);
      node.run(8_000);
      expect(node.leases.has(name)).toBe(true);
    }
    expect(callsOf(node, 1)).toEqual({ "create-eni": 3, "attach-eni": 3, assign: 5, describe: 3 });
    expect(node.offences).toEqual([]);
  });

  it("makes no call for 100 pods that come and go on idle addresses, nor in five idle minutes", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS), settings: { cooldownMs: 0 } });
    node.run(1_000);
    node.add("first");
    node.run(60_000);
    const before = node.calls.length;
    for (const name of names(100)) {
      node.add(name);
      node.del(name);
      node.run(100);
    }
    node.run(300_000);
    expect(node.calls.length - before).toBe(0);
  });

  it("restarts with 40 pods with one call", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    for (const name of names(40)) node.add(name);
    node.run(60_000);
    const before = node.calls.length;
    node.restart();
    node.run(300_000);
    expect(callsOf(node, before)).toEqual({ describe: 1 });
    expect(node.pool.enis.values().every(({ state }) => state.kind === "ready")).toBe(true);
    node.add("one-more");
    expect(node.leases.has("one-more")).toBe(true);
    expect(node.offences).toEqual([]);
  });

  it("settles at idleMax when all 40 pods are gone: two ENIs given back, one unassigned down to it", () => {
    const node = fakeNode({ cloud: fakeCloud(GENEROUS) });
    node.run(1_000);
    for (const name of names(40)) node.add(name);
    node.run(60_000);
    const before = node.calls.length;
    for (const name of names(40)) node.del(name);
    node.run(600_000);
    const [eni, ...others] = [...node.pool.enis.values()];
    expect(others).toEqual([]);
    expect([...(eni?.addresses.values() ?? [])]).toEqual(
      Array.from({ length: 5 }, () => ({ kind: "idle", sinceMs: 92_000 })),
    );
    expect(callsOf(node, before)).toEqual({ "detach-eni": 2, "delete-eni": 2, describe: 2, unassign: 1 });
  });
});
