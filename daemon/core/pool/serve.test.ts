import { describe, expect, it } from "vitest";
import { vSwitchId } from "../../../proto/ids.ts";
import { fakeCloud } from "./fake-cloud.ts";
import { attachmentOf, type FakeNode, fakeNode } from "./fake-node.ts";
import { eniOf, IDLE, ip, poolOf, used } from "./fake-pool.ts";
import { type Pool, type PoolEffect } from "./model.ts";
import { step } from "./step.ts";

const A = vSwitchId("vsw-a");
const CLOUD = fakeCloud({ enisMax: 3, addressesPerEni: 15, vSwitches: [{ id: A, size: 1_000 }] });

/** The addresses that so many pods get, one after the other. */
function granted(pool: Pool, count: number): string[] {
  let current = pool;
  return Array.from({ length: count }, (_, index) => {
    const name = `p${index}`;
    const next = step(current, {
      kind: "add-requested",
      attachment: attachmentOf(name),
      deadlineMs: 1e6,
      nowMs: 1,
    });
    current = next.pool;
    return next.effects.map((effect) => (effect.kind === "grant" ? effect.address : effect.kind)).join();
  });
}

describe("serving", () => {
  it("gives the primary address first, then the one that is idle the longest", () => {
    const eni = eniOf(0, { "10.0.0.1": IDLE, "10.0.0.9": IDLE, "10.0.0.2": IDLE });
    expect(granted(poolOf([eni]), 3)).toEqual(["10.0.0.1", "10.0.0.9", "10.0.0.2"]);
  });

  it("gives the primary address first even where it is idle the shortest", () => {
    const enis = [eniOf(0, { "10.0.0.1": used("x"), "10.0.0.2": IDLE })];
    const freed = step(poolOf(enis, { cooldownMs: 0 }), {
      kind: "released",
      attachment: attachmentOf("x"),
      nowMs: 1,
    });
    expect(granted(freed.pool, 2)).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("puts a released address last", () => {
    const enis = [eniOf(0, { "10.0.0.1": used("x"), "10.0.0.2": used("a"), "10.0.0.3": IDLE })];
    const freed = step(poolOf(enis, { cooldownMs: 0 }), {
      kind: "released",
      attachment: attachmentOf("a"),
      nowMs: 1,
    });
    expect(granted(freed.pool, 2)).toEqual(["10.0.0.3", "10.0.0.2"]);
  });

  it("counts how long an address is idle from the end of its cooldown", () => {
    let pool = poolOf([eniOf(0, { "10.0.0.1": used("x"), "10.0.0.2": used("a"), "10.0.0.3": IDLE })]);
    pool = step(pool, { kind: "released", attachment: attachmentOf("a"), nowMs: 10 }).pool;
    pool = step(pool, { kind: "ticked", nowMs: 30_010 }).pool;
    expect([...(pool.enis.get(0)?.addresses ?? [])].slice(1)).toEqual([
      ["10.0.0.3", IDLE],
      ["10.0.0.2", { kind: "idle", sinceMs: 30_010 }],
    ]);
  });

  it("packs with most_ips and spreads with least_ips, the lowest slot first in a tie", () => {
    const enis = [
      eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": IDLE }),
      eniOf(1, { "10.0.1.1": used("x"), "10.0.1.2": IDLE, "10.0.1.3": IDLE }),
      eniOf(2, { "10.0.2.1": IDLE, "10.0.2.2": IDLE }),
    ];
    expect(granted(poolOf(enis), 4)).toEqual(["10.0.1.2", "10.0.1.3", "10.0.0.1", "10.0.0.2"]);
    expect(granted(poolOf(enis, { eniPolicy: "least_ips" }), 4)).toEqual([
      "10.0.0.1",
      "10.0.2.1",
      "10.0.0.2",
      "10.0.1.2",
    ]);
  });

  it("serves from a ready ENI only", () => {
    const detaching = { kind: "detaching", sinceMs: 0, unsure: false } as const;
    const linking = { kind: "linking", sinceMs: 0, rounds: 0, inUse: true, unsure: false } as const;
    const enis = [
      { ...eniOf(0, { "10.0.0.1": IDLE }), state: detaching },
      { ...eniOf(1, { "10.0.1.1": IDLE }), state: linking },
      eniOf(2, { "10.0.2.1": { kind: "unassigning" }, "10.0.2.2": { kind: "cooling", untilMs: 100 } }),
    ];
    expect(granted(poolOf(enis), 1)).toEqual([""]);
  });

  it("gives an attachment that has an address the same one again, and nothing else happens", () => {
    const pool = poolOf([eniOf(0, { "10.0.0.1": used("a"), "10.0.0.2": IDLE })]);
    const attachment = attachmentOf("a");
    const again = step(pool, { kind: "add-requested", attachment, deadlineMs: 1e6, nowMs: 1 });
    expect(again.effects).toEqual([{ kind: "grant", attachment, address: ip("10.0.0.1"), slot: 0 }]);
    expect(again.pool.enis.get(0)?.addresses).toEqual(pool.enis.get(0)?.addresses);
  });

  it("serves the oldest first when addresses come", () => {
    const node = started();
    for (const name of ["a", "b", "c"]) node.add(name);
    node.run(10_000);
    expect([...node.leases.keys()]).toEqual(["a", "b", "c"]);
  });

  it("refuses more than 1,000 that wait", () => {
    const linking = { kind: "linking", sinceMs: 0, rounds: 0, inUse: false, unsure: false } as const;
    const waiting = Array.from({ length: 1_000 }, (_, index) => ({
      attachment: attachmentOf(`w${index}`),
      sinceMs: 0,
      deadlineMs: 1e6,
    }));
    const pool = {
      ...poolOf([{ ...eniOf(0, { "10.0.0.1": IDLE }), state: linking }]),
      waiting,
      cloudSeen: false,
    };
    const attachment = attachmentOf("late");
    expect(step(pool, { kind: "add-requested", attachment, deadlineMs: 1e6, nowMs: 1 }).effects[0]).toEqual({
      kind: "refuse",
      attachment,
      fault: { kind: "no-address", reason: "1000 pods wait for an address already" },
    });
  });
});

describe("releasing", () => {
  it("cools the address down, on disk too", () => {
    const pool = poolOf([eniOf(0, { "10.0.0.1": used("a") })]);
    const next = step(pool, { kind: "released", attachment: attachmentOf("a"), nowMs: 5 });
    expect(next.effects).toEqual([{ kind: "persist-cooldown", address: "10.0.0.1", untilMs: 30_005 }]);
    expect(next.wakeAtMs).toBe(30_005);
    const early = step(next.pool, { kind: "ticked", nowMs: 30_004 });
    expect(early.pool.enis.get(0)?.addresses.get(ip("10.0.0.1"))).toEqual({
      kind: "cooling",
      untilMs: 30_005,
    });
    const late = step(early.pool, { kind: "ticked", nowMs: 30_005 });
    expect(late.pool.enis.get(0)?.addresses.get(ip("10.0.0.1"))).toEqual({ kind: "idle", sinceMs: 30_005 });
    expect(late.effects).toEqual([{ kind: "forget-cooldown", address: "10.0.0.1" }]);
  });

  it("frees one of a pair by itself, where the ENI has not the other any more", () => {
    const pool = poolOf([eniOf(0, { "10.0.0.1": used("b"), "fd00::9": used("a") })]);
    const next = step(pool, { kind: "released", attachment: attachmentOf("a"), nowMs: 5 });
    expect(next.effects).toEqual([{ kind: "persist-cooldown", address: "fd00::9", untilMs: 30_005 }]);
    expect([...(next.pool.enis.get(0)?.addresses.values() ?? [])].map(({ kind }) => kind)).toEqual([
      "used",
      "cooling",
    ]);
  });

  it("makes it idle at once where the cooldown is 0", () => {
    const pool = poolOf([eniOf(0, { "10.0.0.1": used("a") })], { cooldownMs: 0 });
    const next = step(pool, { kind: "released", attachment: attachmentOf("a"), nowMs: 5 });
    expect(next.effects).toEqual([]);
    expect(granted(next.pool, 1)).toEqual(["10.0.0.1"]);
  });

  it("is no error for what is not held, and answers the ADD that still waits", () => {
    const node = started();
    node.del("unknown");
    node.add("a");
    node.del("a");
    expect(node.refusals.get("a")?.fault).toEqual({
      kind: "no-address",
      reason: "the pod was deleted while it waited",
    });
    node.run(20_000);
    expect(node.leases.size).toBe(0);
  });
});

describe("deadlines", () => {
  it("end the wait with the newest refusal of the cloud as the cause", () => {
    const cloud = fakeCloud({
      ...CLOUD.options,
      trouble: ({ kind }) => (kind === "create-eni" ? { kind: "refuse", class: "again" } : undefined),
    });
    const node = fakeNode({ cloud });
    node.run(1_000);
    const startMs = node.nowMs;
    node.add("a", 9_000);
    node.run(20_000);
    expect(node.refusals.get("a")).toEqual({
      atMs: startMs + 9_000,
      fault: {
        kind: "deadline",
        what: "getting an address for the pod",
        waitedMs: 9_000,
        cause: "create-eni for vsw-a: Code.again: it is again (request R-1)",
      },
    });
  });

  it("become later when the same pod asks again, and it keeps its place", () => {
    const node = started();
    node.add("a", 500);
    node.add("b", 60_000);
    node.add("a", 60_000);
    node.run(10_000);
    expect([...node.leases.keys()]).toEqual(["a", "b"]);
  });
});

describe("effects", () => {
  it("come records first", () => {
    const node = started();
    node.add("a");
    node.run(11);
    const next = step(node.pool, {
      kind: "eni-create-failed",
      slot: 0,
      failure: {
        class: "vswitch-full",
        effect: "none",
        fault: { kind: "internal", reason: "full" },
      },
      nowMs: node.nowMs,
    });
    const kinds = next.effects.map(({ kind }: PoolEffect) => kind);
    expect(kinds).toEqual(["forget-eni", "note", "refuse"]);
  });
});

function started(): FakeNode {
  const node = fakeNode({
    cloud: fakeCloud({ enisMax: 3, addressesPerEni: 15, vSwitches: [{ id: A, size: 1_000 }] }),
  });
  node.run(1_000);
  return node;
}
