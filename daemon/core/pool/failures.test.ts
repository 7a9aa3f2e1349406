/** What each refusal and each lost reply leads to, one at a time. */
import { describe, expect, it } from "vitest";
import { vSwitchId } from "../../../proto/ids.ts";
import { A, kinds, LOST, mistakes, NEVER_SENT, nodeWith, refuse, tokens } from "./fake-trouble.ts";

describe("lost replies", () => {
  it("of Create: the same call at once, no second ENI", () => {
    for (const trouble of [LOST, NEVER_SENT]) {
      const { node, cloud } = nodeWith("create-eni", [trouble]);
      node.add("a");
      node.run(3_500);
      expect(node.leases.has("a")).toBe(true);
      expect(kinds(node)).toEqual(["create-eni", "create-eni", "attach-eni"]);
      expect(new Set(tokens(node)).size).toBe(1);
      expect(mistakes(node, cloud)).toEqual([]);
    }
  });

  it("of Create, again and again: the same token, with growing pauses", () => {
    const { node } = nodeWith(
      "create-eni",
      Array.from({ length: 40 }, () => LOST),
    );
    node.add("a", 600_000);
    const times: number[] = [];
    for (let ms = 0; ms < 30_000; ms += 10) {
      const before = node.calls.length;
      node.run(10);
      if (node.calls.length > before) times.push(node.nowMs);
    }
    const pauses = times.slice(1).map((ms, index) => ms - (times[index] ?? 0) - 450);
    expect(pauses[0]).toBeLessThan(20);
    // 400 ms, 800, 1.6 s, 3.2 s, then 5 s, of which the upper half is random.
    for (const [index, most] of [400, 800, 1_600, 3_200, 5_000, 5_000].entries()) {
      expect(pauses[index + 1]).toBeLessThanOrEqual(most + 20);
      expect(pauses[index + 1]).toBeGreaterThanOrEqual(most / 2 - 20);
    }
    expect(new Set(tokens(node)).size).toBe(1);
  });

  it("of Assign: the same call at once, no address lost", () => {
    const { node, cloud } = nodeWith("assign", [LOST], { settings: { idleMax: 0 } });
    node.add("a");
    node.run(10_000);
    const before = node.calls.length;
    node.add("b");
    node.run(2_000);
    expect(node.leases.has("b")).toBe(true);
    expect(kinds(node, before)).toEqual(["assign", "assign"]);
    expect(new Set(tokens(node)).size).toBe(2);
    expect(node.pool.enis.get(0)?.addresses.size).toBe(2);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Assign are repeated even where nobody waits any more: the addresses are taken", () => {
    const { node, cloud } = nodeWith("assign", [LOST, refuse("again")], {
      settings: { idleMax: 0, settleMs: 1e6 },
    });
    node.add("a");
    node.run(10_000);
    node.add("b", 700);
    node.run(5_000);
    expect(node.refusals.has("b")).toBe(true);
    expect(node.pool.enis.get(0)?.addresses.size).toBe(2);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Attach: the device comes anyway, nothing is thrown away", () => {
    const { node, cloud } = nodeWith("attach-eni", [LOST]);
    node.add("a");
    node.run(3_500);
    expect(node.leases.has("a")).toBe(true);
    expect(kinds(node).filter((kind) => kind !== "describe")).toEqual(["create-eni", "attach-eni"]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Attach that was never carried out: attached after a look", () => {
    const { node, cloud } = nodeWith("attach-eni", [NEVER_SENT]);
    node.add("a");
    node.run(5_000);
    expect(node.leases.has("a")).toBe(true);
    expect(kinds(node)).toEqual(["create-eni", "attach-eni", "describe", "attach-eni"]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Detach, Delete and Unassign: a look decides, and nothing is left", () => {
    for (const kind of ["detach-eni", "delete-eni", "unassign"] as const) {
      for (const trouble of [LOST, NEVER_SENT]) {
        const { node, cloud } = nodeWith(kind, [trouble], {
          settings: { idleMax: kind === "unassign" ? 1 : 0, cooldownMs: 0, settleMs: 0 },
        });
        for (const name of ["a", "b", "c"]) node.add(name);
        node.run(10_000);
        for (const name of ["a", "b", "c"]) node.del(name);
        node.run(15_000);
        expect([...node.pool.enis.values()].map(({ addresses }) => addresses.size)).toEqual(
          kind === "unassign" ? [1] : [],
        );
        expect(cloud.vpc.free.get(A)?.length).toBe(kind === "unassign" ? 999 : 1_000);
        expect(mistakes(node, cloud)).toEqual([]);
      }
    }
  });
});

describe("again", () => {
  it("is tried with the same token after a pause, as long as the cloud wishes", () => {
    const { node } = nodeWith("create-eni", [refuse("again"), refuse("again")]);
    node.add("a");
    node.run(6_000);
    expect(node.leases.has("a")).toBe(true);
    expect(new Set(tokens(node)).size).toBe(1);
  });

  it("honours Retry-After", () => {
    const { node } = nodeWith("create-eni", []);
    node.add("a");
    node.run(11);
    const fault = { kind: "internal", reason: "slow down" } as const;
    const failure = { class: "again", effect: "none", fault, retryAfterMs: 7_000 } as const;
    node.send({ kind: "eni-create-failed", slot: 0, failure });
    expect(node.pool.enis.get(0)?.state).toMatchObject({ call: { tries: 1, retryAtMs: node.nowMs + 7_000 } });
  });

  it("is given up where nobody wants it any more", () => {
    const { node } = nodeWith(
      "create-eni",
      Array.from({ length: 9 }, () => refuse("again")),
    );
    node.add("a", 1_500);
    node.run(60_000);
    expect(node.pool.enis.size).toBe(0);
    expect(kinds(node).length).toBeLessThan(5);
  });

  it("on an ENI is given up where nobody wants it any more", () => {
    const { node } = nodeWith(
      "assign",
      Array.from({ length: 99 }, () => refuse("again")),
      {
        settings: { idleMax: 0 },
      },
    );
    node.add("a");
    node.run(10_000);
    node.add("b", 700);
    node.run(5_000);
    expect(node.pool.enis.get(0)?.assigning).toBeUndefined();
    expect(node.wakeAtMs()).toBeGreaterThan(node.nowMs + 60_000);
  });

  it("on one ENI does not keep a pod waiting that another ENI can serve", () => {
    const { node } = nodeWith(
      "assign",
      Array.from({ length: 99 }, () => refuse("again")),
      {
        settings: { idleMax: 0 },
      },
    );
    node.add("a");
    node.run(10_000);
    node.add("b", 20_000);
    node.run(6_000);
    expect(node.leases.has("b")).toBe(true);
  });
});

describe("a creation that failed", () => {
  it("took nothing from the vSwitch", () => {
    const { node } = nodeWith("create-eni", [refuse("configuration")]);
    node.add("a");
    node.run(1_000);
    expect(node.pool.vSwitches[0]?.view.availableAddresses).toBe(1_000);
  });
});

describe("new-token", () => {
  it("repeats the same request with another token", () => {
    const { node, cloud } = nodeWith("create-eni", [refuse("new-token")]);
    node.add("a");
    node.run(3_500);
    expect(node.leases.has("a")).toBe(true);
    expect(new Set(tokens(node)).size).toBe(2);
    expect(mistakes(node, cloud)).toEqual([]);
  });
});

describe("configuration", () => {
  it("is told at once with the cloud's own fault, and tried once a minute at most", () => {
    const { node } = nodeWith(
      "create-eni",
      Array.from({ length: 99 }, () => refuse("configuration")),
      {
        settings: { idleMin: 2 },
      },
    );
    node.run(1_000);
    node.add("a");
    const fault = {
      kind: "cloud",
      action: "create-eni",
      target: "vsw-a",
      code: "Code.configuration",
      message: "it is configuration",
      requestId: "R-1",
      remedy: "cure configuration",
    };
    expect(node.refusals.get("a")).toEqual({ atMs: node.nowMs, fault });
    const before = node.calls.length;
    node.run(600_000);
    expect(node.calls.length - before).toBeLessThanOrEqual(10);
    expect(node.calls.length - before).toBeGreaterThanOrEqual(9);
  });

  it("of Assign is tried once a minute where no other ENI can help", () => {
    const { node } = nodeWith(
      "assign",
      Array.from({ length: 99 }, () => refuse("configuration")),
      {
        limits: { enisMax: 1, addressesPerEni: 15 },
        settings: { idleMin: 1, idleMax: 1 },
      },
    );
    node.run(10_000);
    node.add("a");
    const before = node.calls.length;
    node.run(600_000);
    expect(kinds(node, before).length).toBeGreaterThanOrEqual(9);
    expect(kinds(node, before).length).toBeLessThanOrEqual(11);
  });

  it("after a lost reply keeps the token: the ENI may exist", () => {
    const { node, cloud } = nodeWith("create-eni", [LOST, refuse("configuration")]);
    node.add("a");
    node.run(200_000);
    expect(new Set(tokens(node)).size).toBe(1);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Unassign or Detach leaves what is there in use", () => {
    for (const kind of ["unassign", "detach-eni"] as const) {
      const { node, cloud } = nodeWith(
        kind,
        Array.from({ length: 99 }, () => refuse("configuration")),
        {
          settings: { idleMax: kind === "unassign" ? 1 : 0, cooldownMs: 0, settleMs: 0 },
        },
      );
      for (const name of ["a", "b", "c"]) node.add(name);
      node.run(10_000);
      for (const name of ["a", "b", "c"]) node.del(name);
      const before = node.calls.length;
      node.run(300_000);
      expect(node.calls.length - before).toBeLessThan(20);
      // A pod that comes now has to wait for the ENI's link at most.
      node.add("late", 100_000);
      node.run(100_000);
      expect(node.leases.has("late")).toBe(true);
      expect(mistakes(node, cloud)).toEqual([]);
    }
  });
});

describe("gone", () => {
  it("right after Create is a lag: tried again, then deleted for certain", () => {
    const { node, cloud } = nodeWith("attach-eni", [refuse("gone"), refuse("gone")]);
    node.add("a");
    node.run(10_000);
    expect(node.leases.has("a")).toBe(true);
    expect(mistakes(node, cloud)).toEqual([]);
    const lost = nodeWith("attach-eni", [], {
      cloud: {
        trouble: (call) => (call.kind === "attach-eni" && call.eni === "eni-1" ? refuse("gone") : undefined),
      },
    });
    lost.node.add("a", 300_000);
    lost.node.run(120_000);
    expect(lost.node.calls.filter((call) => call.kind === "attach-eni" && call.eni === "eni-1").length).toBe(
      6,
    );
    expect(kinds(lost.node).filter((kind) => kind === "delete-eni")).toEqual(["delete-eni"]);
    expect(lost.node.leases.has("a")).toBe(true);
    expect(mistakes(lost.node, lost.cloud)).toEqual([]);
  });
});

describe("state", () => {
  it("at Assign while the cloud does not say InUse yet: the same call again, no second ENI", () => {
    const { node, cloud } = nodeWith("assign", [refuse("state")], { settings: { idleMax: 0 } });
    node.add("a");
    for (let ms = 0; ms < 10_000 && !node.leases.has("a"); ms += 10) node.run(10);
    const before = node.calls.length;
    node.add("b");
    node.run(2_500);
    expect(node.leases.has("b")).toBe(true);
    expect(kinds(node, before)).toEqual(["assign", "assign"]);
    expect(node.pool.enis.size).toBe(1);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Attach is looked at, and tried again where the ENI is Available", () => {
    const { node, cloud } = nodeWith("attach-eni", [refuse("state")]);
    node.add("a");
    node.run(10_000);
    expect(node.leases.has("a")).toBe(true);
    expect(kinds(node).slice(0, 4)).toEqual(["create-eni", "attach-eni", "describe", "attach-eni"]);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("of Create leaves the vSwitch alone for a minute, and uses the next one", () => {
    const B = vSwitchId("vsw-b");
    const { node } = nodeWith("create-eni", [refuse("state")], {
      cloud: {
        vSwitches: [
          { id: A, size: 100 },
          { id: B, size: 100 },
        ],
      },
    });
    node.add("a");
    node.run(5_000);
    expect(node.pool.enis.get(0)?.vSwitch).toBe(B);
    expect(node.leases.has("a")).toBe(true);
  });
});

describe("attachments that the cloud undoes", () => {
  it("are tried three times, then the ENI is deleted and the pod hears why", () => {
    const undo = { kind: "undo" } as const;
    const once = nodeWith("attach-eni", [undo]);
    once.node.add("a");
    once.node.run(8_000);
    expect(once.node.leases.has("a")).toBe(true);
    expect(mistakes(once.node, once.cloud)).toEqual([]);

    const always = nodeWith(
      "attach-eni",
      Array.from({ length: 99 }, () => undo),
      {
        limits: { enisMax: 1, addressesPerEni: 15 },
      },
    );
    always.node.add("a", 120_000);
    always.node.run(20_000);
    expect(kinds(always.node).filter((kind) => kind === "attach-eni").length).toBe(3);
    expect(always.node.refusals.get("a")?.fault).toEqual({
      kind: "not-ready",
      reason: "the cloud accepted 3 times to attach eni-1 to i-test, and undid it each time",
    });
    expect(mistakes(always.node, always.cloud)).toEqual([]);
  });
});

describe("devices that do not come", () => {
  it("for 15 s are not counted on any more: another ENI serves the pod", () => {
    const { node, cloud } = nodeWith("attach-eni", []);
    node.add("a", 120_000);
    node.run(700);
    cloud.vpc.agenda.splice(0, 1);
    node.run(22_000);
    expect(node.leases.get("a")?.slot).toBe(1);
    node.run(60_000);
    expect(mistakes(node, cloud)).toEqual([]);
  });

  it("30 s after InUse the ENI goes away, and the pod hears why", () => {
    const { node, cloud } = nodeWith("attach-eni", [], { limits: { enisMax: 1, addressesPerEni: 15 } });
    node.add("a", 120_000);
    node.run(700);
    // The device never appears.
    cloud.vpc.agenda.splice(0, 1);
    node.run(29_000);
    expect(node.refusals.size).toBe(0);
    node.run(5_000);
    expect(node.refusals.get("a")?.fault).toMatchObject({
      kind: "deadline",
      what: "the device of eni-1 (00:16:3e:00:00:01)",
    });
    node.run(30_000);
    expect(node.pool.enis.size).toBe(0);
    expect(mistakes(node, cloud)).toEqual([]);
  });
});
