import { describe, expect, it } from "vitest";
import { fakeCloud } from "./fake-cloud.ts";
import { type FakeNode, fakeNode } from "./fake-node.ts";
import { A, kinds, mistakes } from "./fake-trouble.ts";
import { type PoolSettings } from "./model.ts";

/** So many pods on ENIs of `perEni` addresses, spread or packed; then those named go. */
function nodeAfter(
  perEni: number,
  pods: number,
  gone: readonly number[],
  settings: Partial<PoolSettings>,
): { readonly node: FakeNode; readonly cloud: ReturnType<typeof fakeCloud>; readonly callsBefore: number } {
  const cloud = fakeCloud({ enisMax: 5, addressesPerEni: perEni, vSwitches: [{ id: A, size: 1_000 }] });
  const node = fakeNode({
    cloud,
    limits: { enisMax: 5, addressesPerEni: perEni },
    settings: { cooldownMs: 0, settleMs: 60_000, idleMin: 0, idleMax: 0, ...settings },
  });
  node.run(1_000);
  for (let index = 0; index < pods; index += 1) node.add(`p${index}`);
  node.run(20_000);
  const callsBefore = node.calls.length;
  for (const index of gone) node.del(`p${index}`);
  return { node, cloud, callsBefore };
}

function sizes(node: FakeNode): number[] {
  return [...node.pool.enis.values()].map(({ addresses }) => addresses.size);
}

describe("shrink()", () => {
  it("waits until the surplus has lasted settleMs", () => {
    const { node, callsBefore } = nodeAfter(6, 6, [3, 4, 5], { idleMax: 1 });
    node.run(59_000);
    expect(node.calls.length).toBe(callsBefore);
    node.run(2_000);
    expect(kinds(node, callsBefore)).toEqual(["unassign"]);
  });

  it("keeps what a pod has had lately, though others have made the surplus long before", () => {
    const { node, callsBefore } = nodeAfter(6, 6, [3, 4, 5], { idleMax: 1 });
    node.run(55_000);
    node.del("p2");
    node.run(6_000);
    const given = node.calls
      .slice(callsBefore)
      .flatMap((call) => ("addresses" in call ? call.addresses : []));
    expect(given).toHaveLength(3);
    expect(node.leases.size).toBe(2);
    node.run(120_000);
    expect(sizes(node)).toEqual([3]);
  });

  it("looks again where all that could be given back was a pod's lately, though nothing happens meanwhile", () => {
    const { node, callsBefore } = nodeAfter(6, 6, [3], {});
    node.run(55_000);
    node.del("p2");
    node.add("p6");
    node.run(6_000);
    expect(kinds(node, callsBefore)).toEqual([]);
    node.run(61_000);
    expect(kinds(node, callsBefore)).toEqual(["unassign"]);
  });

  it("gives an ENI back only when none of its addresses was a pod's lately", () => {
    const { node, cloud, callsBefore } = nodeAfter(6, 12, [6, 7, 8, 9, 10], {});
    node.run(55_000);
    node.del("p11");
    node.run(6_000);
    expect(kinds(node, callsBefore)).not.toContain("detach-eni");
    node.run(120_000);
    expect(kinds(node, callsBefore)).toContain("detach-eni");
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("starts to count anew when the surplus was gone in between", () => {
    const { node, callsBefore } = nodeAfter(6, 6, [3, 4, 5], { idleMax: 1 });
    node.run(50_000);
    node.add("x");
    node.add("y");
    node.run(1_000);
    node.del("x");
    node.del("y");
    node.run(50_000);
    expect(node.calls.length).toBe(callsBefore);
  });

  it("gives nothing back within idleMax", () => {
    const { node, callsBefore } = nodeAfter(6, 12, [0, 1, 2, 6, 7], { idleMax: 5 });
    node.run(600_000);
    expect(node.calls.length).toBe(callsBefore);
  });

  it("detaches whole ENIs first, then unassigns from the ENI with the fewest pods, never a primary address", () => {
    // Pods 0 to 3 are on the first ENI, 4 to 7 on the second, 8 to 11 on the third.
    const { node, cloud, callsBefore } = nodeAfter(4, 12, [1, 4, 5, 6, 7, 9, 10, 11], { idleMax: 2 });
    node.run(61_000);
    // Eight idle, two to keep: four by the second ENI, two of the third.
    expect(node.calls.slice(callsBefore).map((call) => [call.kind, "slot" in call ? call.slot : -1])).toEqual(
      [
        ["detach-eni", 1],
        ["unassign", 2],
      ],
    );
    node.run(600_000);
    expect(sizes(node)).toEqual([4, 2]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("keeps exactly idleMax when all pods are gone", () => {
    for (const idleMax of [0, 1, 3, 4, 5, 9]) {
      const all = Array.from({ length: 12 }, (_, index) => index);
      const { node, cloud } = nodeAfter(4, 12, all, { idleMax });
      node.run(600_000);
      expect(sizes(node).reduce((sum, size) => sum + size, 0)).toBe(idleMax);
      expect(mistakes(node, cloud)).toEqual([]);
    }
  });

  it("leaves the idle primary address of an ENI in use", () => {
    const { node, callsBefore } = nodeAfter(4, 4, [0, 1, 2], { idleMax: 0 });
    node.run(600_000);
    expect(kinds(node, callsBefore)).toEqual(["unassign"]);
    expect(sizes(node)).toEqual([2]);
  });

  it("takes at most ten addresses back with one call", () => {
    const { node, callsBefore } = nodeAfter(
      15,
      15,
      Array.from({ length: 14 }, (_, index) => index + 1),
      {},
    );
    node.run(600_000);
    const counts = node.calls
      .slice(callsBefore)
      .map((call) => (call.kind === "unassign" ? call.addresses.length : call.kind));
    expect(counts).toEqual([10, 4]);
  });

  it("does not detach an ENI with an address that cools down", () => {
    const { node, callsBefore } = nodeAfter(4, 4, [0, 1, 2, 3], { idleMax: 0, cooldownMs: 300_000 });
    node.run(290_000);
    expect(node.calls.length).toBe(callsBefore);
    node.run(100_000);
    expect(sizes(node)).toEqual([]);
  });

  it("does not take from an ENI that is leaving, and serves a late pod by a new one", () => {
    const { node, cloud } = nodeAfter(4, 4, [0, 1, 2, 3], {});
    node.run(60_300);
    expect(node.pool.enis.get(0)?.state.kind).toBe("detaching");
    node.add("late");
    node.run(20_000);
    expect(node.leases.get("late")?.slot).toBe(1);
    expect(mistakes(node, cloud)).toEqual([]);
  });
});
