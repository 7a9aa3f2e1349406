/** What the refusals teach about the limits of instance and account. */
import { describe, expect, it } from "vitest";
import { kinds, mistakes, nodeWith, refuse } from "./fake-trouble.ts";

describe("eni-quota", () => {
  it("is learnt: the orphan is deleted, no other one for a minute, the pod hears the cause", () => {
    const { node, cloud } = nodeWith("attach-eni", [], {
      limits: { enisMax: 5, addressesPerEni: 2 },
      cloud: { enisMax: 1, addressesPerEni: 2 },
      settings: { idleMax: 0 },
    });
    for (const name of ["a", "b", "c"]) node.add(name, 60_000);
    node.run(10_000);
    expect([...node.leases.keys()]).toEqual(["a", "b"]);
    expect(node.refusals.get("c")?.fault).toMatchObject({ kind: "cloud", code: "Code.eni-quota" });
    expect((node.refusals.get("c")?.atMs ?? 0) - 2_000).toBeLessThan(3_000);
    expect(node.pool.learnt).toEqual({ enisMax: 1 });
    expect(mistakes(node, cloud)).toEqual([]);
    // From then on it is known without a call.
    node.run(120_000);
    const before = node.calls.length;
    node.add("d");
    expect(node.refusals.get("d")?.fault).toEqual({
      kind: "no-address",
      reason: "this instance has all its 1 secondary ENIs, of 2 addresses at most, and none is free",
    });
    expect(node.calls.length).toBe(before);
  });
});

describe("address-quota", () => {
  it("is learnt from below, at Create and at Assign, and never too low", () => {
    for (const [truth, believed] of [
      [6, 15],
      [10, 15],
      [14, 15],
      [1, 15],
      [2, 3],
    ] as const) {
      const { node, cloud } = nodeWith("assign", [], {
        limits: { enisMax: 3, addressesPerEni: believed },
        cloud: { addressesPerEni: truth },
        settings: { idleMax: 0 },
      });
      const pods = Array.from({ length: 3 * truth }, (_, index) => `p${index}`);
      for (const name of pods) {
        node.add(name, 120_000);
        node.run(15);
      }
      node.run(120_000);
      for (const name of pods) if (!node.leases.has(name)) node.add(name, 120_000);
      node.run(120_000);
      expect(new Set(node.leases.keys())).toEqual(new Set(pods));
      node.add("one-more");
      node.run(120_000);
      // Found by halving, not one by one.
      const refused = cloud.refusals.filter((text) => text.endsWith("address-quota"));
      expect(refused.length).toBeLessThanOrEqual(7);
      expect(node.pool.limits).toEqual({ enisMax: 3, addressesPerEni: truth });
      expect(mistakes(node, cloud)).toEqual([]);
    }
  });
});

describe("limits", () => {
  it("are never learnt as no ENI at all: that is tried again now and then", () => {
    const { node } = nodeWith("attach-eni", [refuse("eni-quota")]);
    node.add("a", 60_000);
    node.run(5_000);
    expect(node.refusals.get("a")?.fault).toMatchObject({ code: "Code.eni-quota" });
    expect(node.pool.limits.enisMax).toBe(1);
    node.run(60_000);
    node.add("b", 60_000);
    node.run(5_000);
    expect(node.leases.has("b")).toBe(true);
  });

  it("are raised by what works in spite of them", () => {
    const { node } = nodeWith("assign", [], {
      limits: { enisMax: 2, addressesPerEni: 2 },
      settings: { idleMax: 0 },
    });
    for (const name of ["a", "b", "c"]) node.add(name);
    node.run(1_000);
    node.pool = { ...node.pool, limits: { enisMax: 1, addressesPerEni: 2 } };
    node.run(10_000);
    expect(node.pool.limits.enisMax).toBe(2);
  });
});

describe("account-quota", () => {
  it("pauses one minute for all calls that are refused together", () => {
    const { node } = nodeWith(
      "create-eni",
      Array.from({ length: 3 }, () => refuse("account-quota")),
    );
    for (let index = 0; index < 40; index += 1) node.add(`p${index}`);
    node.run(1_000);
    expect(kinds(node)).toEqual(["create-eni", "create-eni", "create-eni"]);
    expect(node.pool.inhibited).toMatchObject({ tries: 1 });
    expect((node.pool.inhibited?.untilMs ?? 0) - node.nowMs).toBeLessThanOrEqual(60_000);
  });

  it("pauses one minute, two, four, up to ten", () => {
    const { node } = nodeWith(
      "create-eni",
      Array.from({ length: 99 }, () => refuse("account-quota")),
      {
        settings: { idleMin: 1 },
      },
    );
    const times = [0];
    for (let seconds = 0; seconds < 4_000; seconds += 1) {
      const before = node.calls.filter(({ kind }) => kind === "create-eni").length;
      node.run(1_000);
      if (node.calls.filter(({ kind }) => kind === "create-eni").length > before) times.push(seconds);
    }
    const pauses = times.slice(1).map((second, index) => Math.round((second - (times[index] ?? 0)) / 60));
    expect(pauses.slice(0, 7)).toEqual([1, 2, 4, 8, 10, 10, 10]);
  });
});
