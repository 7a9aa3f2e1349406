/** What a view means in each state, and which views say nothing because they may be old. */
import { describe, expect, it } from "vitest";
import { instanceId } from "../../../proto/ids.ts";
import { failureOf } from "./fake-cloud.ts";
import { A, eniOf, IDLE, ip, looked, poolOf, stateIn, used, viewOf } from "./fake-pool.ts";
import { type Eni, type EniState } from "./model.ts";
import { step } from "./step.ts";

const LINKING: EniState = { kind: "linking", sinceMs: 10_000, rounds: 0, inUse: false, unsure: false };
const ADDRESSES = { "10.0.0.1": IDLE, "10.0.0.2": IDLE };

function leaving(kind: "detaching" | "deleting", more = {}): Eni {
  return eniOf(0, ADDRESSES, { state: { kind, sinceMs: 1_000, unsure: false, ...more } });
}

function kinds(effects: readonly { readonly kind: string }[]): string[] {
  return effects.map(({ kind }) => kind).filter((kind) => kind !== "note" && kind !== "persist-eni");
}

describe("a linking ENI", () => {
  const eni = eniOf(0, ADDRESSES, { state: LINKING, look: { atMs: 13_000, tries: 0 } });
  const pool = poolOf([eni], { idleMin: 2 });

  it("that is Available in a view asked for right after Attach is looked at again", () => {
    const early = looked(pool, [viewOf(eni, "Available")], 12_400, 13_000);
    expect(stateIn(early.pool)).toEqual(LINKING);
    expect(early.pool.enis.get(0)?.look?.tries).toBe(1);
    const late = looked(pool, [viewOf(eni, "Available")], 12_500, 13_000);
    expect(stateIn(late.pool)).toEqual({ kind: "attaching", rounds: 1, call: { tries: 0 } });
    expect(kinds(late.effects)).toEqual(["attach-eni"]);
  });

  it("that is InUse waits for its device until 30 s are over, and is then given up", () => {
    const waiting = looked(pool, [viewOf(eni, "InUse")], 13_000, 13_100);
    expect(stateIn(waiting.pool)).toEqual({ ...LINKING, inUse: true });
    expect(waiting.pool.enis.get(0)?.look).toEqual({ atMs: 40_000, tries: 0 });
    const over = looked(waiting.pool, [viewOf(eni, "InUse")], 40_000, 40_075);
    expect(kinds(over.effects)).toEqual(["unlink-eni", "detach-eni"]);
    expect(over.pool.inhibited?.fault).toEqual({
      kind: "deadline",
      what: "the device of eni-0 (00:16:3e:00:00:01)",
      waitedMs: 30_075,
    });
  });

  it("that is Detaching for 90 s is made to leave: nobody else asks the cloud again", () => {
    const lone = poolOf([eni]);
    expect(kinds(looked(lone, [viewOf(eni, "Detaching")], 99_000, 99_999).effects)).toEqual([]);
    expect(kinds(looked(lone, [viewOf(eni, "Detaching")], 99_000, 100_000).effects)).toEqual([
      "unlink-eni",
      "detach-eni",
    ]);
    const attaching = (tries: number) =>
      poolOf([{ ...eni, state: { kind: "attaching", rounds: 0, call: { tries, retryAtMs: 200_000 } } }]);
    expect(kinds(looked(attaching(4), [viewOf(eni, "Detaching")], 99_000, 99_100).effects)).toEqual([]);
    expect(kinds(looked(attaching(5), [viewOf(eni, "Detaching")], 99_000, 99_100).effects)).toEqual([
      "unlink-eni",
      "detach-eni",
    ]);
  });

  it("that is Attaching for 90 s is given up", () => {
    const lone = poolOf([eni]);
    expect(kinds(looked(lone, [viewOf(eni, "Attaching")], 99_000, 99_999).effects)).toEqual([]);
    expect(kinds(looked(lone, [viewOf(eni, "Attaching")], 99_000, 100_000).effects)).toEqual([
      "unlink-eni",
      "detach-eni",
    ]);
  });

  it("with pods is never given up: its device is tried again", () => {
    const busy = eniOf(0, { "10.0.0.1": used("a") }, { state: LINKING });
    const over = looked(poolOf([busy]), [viewOf(busy, "InUse")], 50_000, 50_100);
    expect(kinds(over.effects)).toEqual([]);
    expect(stateIn(over.pool)).toMatchObject({ kind: "linking", relinkAtMs: 55_100 });
    expect(over.wakeAtMs).toBeLessThanOrEqual(55_100);
    expect(kinds(step(over.pool, { kind: "ticked", nowMs: 55_100 }).effects)).toContain("link-eni");
  });

  it("serves as soon as its device works, also after a view said that the attachment failed", () => {
    const failed = looked(pool, [viewOf(eni, "Available")], 12_500, 13_000);
    const linked = step(failed.pool, {
      kind: "eni-linked",
      slot: 0,
      eni: viewOf(eni, "InUse").id,
      ifIndex: 7,
      nowMs: 13_500,
    });
    expect(stateIn(linked.pool)).toEqual({ kind: "ready", ifIndex: 7, confirmed: false });
    expect(linked.pool.enis.get(0)?.look).toEqual({ atMs: 16_500, tries: 0 });
  });

  it("is dropped when it is missing three times in a row", () => {
    const once = looked(pool, [], 13_000, 13_100);
    const twice = looked(once.pool, [], 16_000, 16_100);
    expect([once, twice].map(({ pool: { enis } }) => enis.size)).toEqual([1, 1]);
    const thrice = looked(twice.pool, [], 20_000, 20_100);
    expect(thrice.pool.enis.get(0)?.facts).toBeUndefined();
    expect(kinds(thrice.effects)).toEqual(expect.arrayContaining(["forget-eni", "unlink-eni"]));
  });
});

/** What five looks at a ready ENI that the cloud says to be Detaching lead to. */
function fiveDetaching(addresses: Parameters<typeof eniOf>[1]): string[] {
  const eni = eniOf(0, addresses, { look: { atMs: 1_000, tries: 0 } });
  let pool = poolOf([eni]);
  return [1, 2, 3, 4, 5].map((count) => {
    const seen = looked(pool, [viewOf(eni, "Detaching")], 100_000 * count, 100_000 * count + 100);
    ({ pool } = seen);
    return kinds(seen.effects).join();
  });
}

describe("a ready ENI", () => {
  const eni = eniOf(0, ADDRESSES, { look: { atMs: 1_000, tries: 0 } });
  const pool = poolOf([eni]);

  it("is believed to be detached only after two views in a row", () => {
    const once = looked(pool, [viewOf(eni, "Available")], 1_000, 1_100);
    expect(stateIn(once.pool)?.kind).toBe("ready");
    const wrong = looked(once.pool, [viewOf(eni, "InUse")], 4_000, 4_100);
    expect(wrong.pool.enis.get(0)?.misses).toBe(0);
    const twice = looked(once.pool, [viewOf(eni, "Available")], 4_000, 4_100);
    expect(kinds(twice.effects)).toEqual(["attach-eni"]);
  });

  it("that is Detaching in five views is made to leave, unless pods are on it", () => {
    expect(fiveDetaching(ADDRESSES)).toEqual(["", "", "", "", "unlink-eni,detach-eni"]);
    expect(fiveDetaching({ "10.0.0.1": used("a"), "10.0.0.2": IDLE })).toEqual(["", "", "", "", ""]);
  });

  it("that another instance has is not ours", () => {
    const other = { ...viewOf(eni, "InUse"), instance: instanceId("i-other") };
    const twice = looked(looked(pool, [other], 1_000, 1_100).pool, [other], 4_000, 4_100);
    expect(kinds(twice.effects)).toEqual(["forget-eni", "unlink-eni"]);
  });

  it.each([
    ["Available", [viewOf(eni, "Available")]],
    ["another instance's", [{ ...viewOf(eni, "InUse"), instance: instanceId("i-other") }]],
    ["missing", []],
  ])("stays though it is %s in many views, while its device is on the node", (_, views) => {
    const { id } = viewOf(eni, "InUse");
    let at = poolOf([eniOf(0, ADDRESSES, { look: { atMs: 1_000, tries: 0 } })]);
    for (const nowMs of [1_000, 100_000, 800_000, 9_000_000]) {
      const seen = step(
        { ...at, describing: { sinceMs: nowMs } },
        { kind: "described", scope: { by: "ids", ids: [id] }, views, present: [id], nowMs },
      );
      expect([stateIn(seen.pool), kinds(seen.effects)]).toEqual([eni.state, []]);
      at = seen.pool;
    }
  });

  it("that is missing is given up without its device, however new it is: that was here", () => {
    const young = poolOf([eniOf(0, ADDRESSES, { grewAtMs: 500_000, misses: 2 })]);
    expect(looked(young, [], 600_000, 600_100).pool.enis.size).toBe(0);
    const state = { kind: "linking", sinceMs: 0, rounds: 0, inUse: false, unsure: false } as const;
    const restarted = eniOf(0, ADDRESSES, {
      grewAtMs: 500_000,
      misses: 2,
      state: { ...state, wasReady: true },
    });
    expect(looked(poolOf([restarted]), [], 600_000, 600_100).pool.enis.size).toBe(0);
  });
});

describe("an ENI whose device is awaited", () => {
  it("that is missing, and so new that views may not show it yet, is not given up", () => {
    const state = { kind: "linking", sinceMs: 0, rounds: 0, inUse: false, unsure: false } as const;
    const young = poolOf([eniOf(0, ADDRESSES, { grewAtMs: 500_000, misses: 2, state })]);
    expect(looked(young, [], 1_100_000, 1_100_100).pool.enis.size).toBe(1);
    expect(looked(young, [], 1_100_001, 1_100_100).pool.enis.size).toBe(0);
  });
});

describe("too many addresses", () => {
  const eni = eniOf(0, ADDRESSES, {
    assigning: { family: "ipv4", token: "t", count: 4, unsure: false, call: { tries: 0 } },
  });
  const { id } = viewOf(eni, "InUse");
  const call = {
    kind: "assign",
    family: "ipv4",
    slot: 0,
    eni: id,
    count: 4,
    token: "t",
    priority: "pod",
  } as const;
  const refused = step(poolOf([eni]), {
    kind: "assign-failed",
    slot: 0,
    eni: id,
    failure: failureOf(call, "address-quota"),
    nowMs: 1_000,
  });

  it("are a reason to look, once a view is surely new, and to assign nothing before", () => {
    expect(refused.pool.enis.get(0)).toMatchObject({
      refused: { family: "ipv4", count: 4 },
      look: { atMs: 11_001 },
    });
    expect(refused.pool.limits.addressesPerEni).toBe(15);
  });

  it("do not put off a look that is due earlier", () => {
    const unconfirmed = eniOf(0, ADDRESSES, {
      assigning: { family: "ipv4", token: "t", count: 4, unsure: false, call: { tries: 0 } },
      look: { atMs: 2_000, tries: 0 },
    });
    const failure = failureOf(call, "address-quota");
    const next = step(poolOf([unconfirmed]), {
      kind: "assign-failed",
      slot: 0,
      eni: id,
      failure,
      nowMs: 1_000,
    });
    expect(next.pool.enis.get(0)?.look).toEqual({ atMs: 2_000, tries: 0 });
    // That one is too early to tell; the one after it is not.
    const early = looked(next.pool, [viewOf(eni, "InUse")], 2_000, 2_100);
    expect(early.pool.enis.get(0)).toMatchObject({
      refused: { family: "ipv4", count: 4 },
      look: { atMs: 11_001 },
    });
  });

  it("teach the limit where the ENI has what we believe", () => {
    const seen = looked(refused.pool, [viewOf(eni, "InUse")], 11_001, 11_100);
    expect(seen.pool).toMatchObject({
      limits: { addressesPerEni: 5 },
      learnt: { addressesPerEni: 5 },
      batchMax: 2,
    });
    expect(seen.effects).toContainEqual({ kind: "persist-limits" });
  });

  it("teach nothing where it has more than we knew", () => {
    const seen = looked(
      refused.pool,
      [viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])],
      11_001,
      11_100,
    );
    expect(seen.pool.limits.addressesPerEni).toBe(15);
    expect(seen.pool.enis.get(0)?.addresses.get(ip("10.0.0.3"))).toEqual(IDLE);
  });
});

describe("an ENI that leaves", () => {
  it("is asked to again when nothing happens for 20 s", () => {
    for (const [kind, status, call] of [
      ["detaching", "InUse", "detach-eni"],
      ["detaching", "Detaching", "detach-eni"],
      ["deleting", "Available", "delete-eni"],
      ["deleting", "Deleting", "delete-eni"],
    ] as const) {
      const eni = leaving(kind);
      expect(kinds(looked(poolOf([eni]), [viewOf(eni, status)], 20_900, 20_999).effects)).toEqual([]);
      expect(kinds(looked(poolOf([eni]), [viewOf(eni, status)], 20_900, 21_000).effects)).toEqual([
        "unlink-eni",
        call,
      ]);
    }
  });

  it("is asked to again at once where the reply was lost and the view shows no effect", () => {
    for (const [kind, status, call] of [
      ["detaching", "InUse", "detach-eni"],
      ["deleting", "Available", "delete-eni"],
    ] as const) {
      const eni = leaving(kind, { unsure: true });
      expect(kinds(looked(poolOf([eni]), [viewOf(eni, status)], 2_000, 2_100).effects)).toEqual([
        "unlink-eni",
        call,
      ]);
    }
  });

  it("is deleted where somebody has asked for its deletion meanwhile: that may be stuck", () => {
    const eni = leaving("detaching");
    expect(kinds(looked(poolOf([eni]), [viewOf(eni, "Deleting")], 2_000, 2_100).effects)).toEqual([
      "unlink-eni",
      "delete-eni",
    ]);
  });

  it("is deleted once it is detached, and detached first where it turns out to be attached", () => {
    const detached = leaving("detaching");
    expect(kinds(looked(poolOf([detached]), [viewOf(detached, "Available")], 2_000, 2_100).effects)).toEqual([
      "unlink-eni",
      "delete-eni",
    ]);
    const attached = leaving("deleting");
    expect(kinds(looked(poolOf([attached]), [viewOf(attached, "InUse")], 2_000, 2_100).effects)).toEqual([
      "unlink-eni",
      "detach-eni",
    ]);
  });

  it("that was taken for detached, and is Detaching for long, is asked to detach again", () => {
    const taken = leaving("deleting", { unsure: true });
    const view = viewOf(taken, "Detaching");
    expect(kinds(looked(poolOf([taken]), [view], 20_000, 20_999).effects)).toEqual([]);
    expect(kinds(looked(poolOf([taken]), [view], 20_000, 21_000).effects)).toContain("detach-eni");
  });

  it("that is missing is gone, unless it is so new that it may not be visible yet", () => {
    const old = leaving("deleting", { unsure: true });
    expect(looked(poolOf([old]), [], 2_000, 2_100).pool.enis.size).toBe(0);
    const young = { ...leaving("deleting", { unsure: true }), grewAtMs: 500, changedAtMs: 500 };
    const early = looked(poolOf([young]), [], 2_000, 2_100);
    expect(early.pool.enis.get(0)?.look?.atMs).toBe(10_501);
    const asked = looked(early.pool, [], 10_501, 10_600);
    expect(kinds(asked.effects)).toEqual(["unlink-eni", "delete-eni"]);
    expect(looked(early.pool, [], 600_501, 600_600).pool.enis.size).toBe(0);
    const accepted = { ...leaving("deleting"), grewAtMs: 500 };
    expect(looked(poolOf([accepted]), [], 2_000, 2_100).pool.enis.size).toBe(0);
  });

  it("gives its addresses back to its vSwitch", () => {
    const gone = looked(poolOf([leaving("deleting")]), [], 2_000, 2_100);
    expect(gone.pool.vSwitches.find(({ view }) => view.id === A)?.view.availableAddresses).toBe(1_002);
  });
});
