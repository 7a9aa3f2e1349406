/** Calls that are refused, and what of them a view settles. */
import { describe, expect, it } from "vitest";
import { failureOf, lostReply } from "./fake-cloud.ts";
import { after, eniOf, IDLE, ip, looked, poolOf, used, viewOf } from "./fake-pool.ts";
import { type Eni } from "./model.ts";
import { step } from "./step.ts";

const ADDRESSES = { "10.0.0.1": IDLE, "10.0.0.2": IDLE };

function kinds(effects: readonly { readonly kind: string }[]): string[] {
  return effects.map(({ kind }) => kind).filter((kind) => kind !== "note" && kind !== "persist-eni");
}

function addressesOf(eni: Eni | undefined): string[] {
  return [...(eni?.addresses ?? [])].map(([address, { kind }]) => `${address} ${kind}`);
}

describe("an Unassign that the cloud or the node refuses", () => {
  const UNASSIGNING = { "10.0.0.1": used("a"), "10.0.0.2": { kind: "unassigning" } as const };
  const eni = eniOf(0, UNASSIGNING, { unassigning: { unsure: false, call: { tries: 0 } } });
  const { id } = viewOf(eni, "InUse");
  const addresses = [ip("10.0.0.2")];
  const call = { kind: "unassign", slot: 0, eni: id, addresses } as const;

  it("makes the addresses idle again, on disk too, if it was the cloud", () => {
    const failure = failureOf(call, "configuration");
    const refused = step(poolOf([eni]), {
      kind: "unassign-failed",
      slot: 0,
      eni: id,
      addresses,
      failure,
      nowMs: 5,
    });
    expect(addressesOf(refused.pool.enis.get(0))).toEqual(["10.0.0.1 used", "10.0.0.2 idle"]);
    expect(refused.effects[0]).toEqual({ kind: "persist-eni", slot: 0 });
  });

  it("keeps them from everybody if the node doubts that nobody has them", () => {
    const fault = { kind: "internal", reason: "in use by cali123" } as const;
    const failure = { class: "configuration", effect: "none", fault } as const;
    const refused = step(poolOf([eni]), {
      kind: "unassign-failed",
      slot: 0,
      eni: id,
      addresses,
      failure,
      nowMs: 5,
    });
    expect(addressesOf(refused.pool.enis.get(0))).toEqual(["10.0.0.1 used", "10.0.0.2 unassigning"]);
    expect(refused.pool.enis.get(0)?.unassigning?.call).toEqual({ tries: 1, retryAtMs: 60_005 });
  });

  it("is decided by what the cloud lists where the reply was lost", () => {
    const lost = step(poolOf([eni]), {
      kind: "unassign-failed",
      slot: 0,
      eni: id,
      addresses,
      failure: lostReply("unassign"),
      nowMs: 5,
    });
    expect(lost.pool.enis.get(0)).toMatchObject({ unassigning: { unsure: true }, look: { atMs: 1_005 } });
    const done = looked(lost.pool, [viewOf(eni, "InUse", ["10.0.0.1"])], 1_005, 1_100);
    expect(addressesOf(done.pool.enis.get(0))).toEqual(["10.0.0.1 used"]);
    const still = looked(lost.pool, [viewOf(eni, "InUse")], 1_005, 1_100);
    expect(kinds(still.effects)).toEqual(["unassign"]);
  });
});

describe("a lost Assign that is refused afterwards", () => {
  it("is looked for, once a view is surely new", () => {
    const eni = eniOf(0, ADDRESSES, {
      assigning: { family: "ipv4", token: "t", count: 1, unsure: true, call: { tries: 1 } },
    });
    const { id } = viewOf(eni, "InUse");
    const call = {
      kind: "assign",
      family: "ipv4",
      slot: 0,
      eni: id,
      count: 1,
      token: "t",
      priority: "pod",
    } as const;
    const failure = failureOf(call, "configuration");
    const refused = after(poolOf([eni]), [
      { kind: "assign-failed", slot: 0, eni: id, failure, nowMs: 1_000 },
    ]);
    expect(refused.pool.enis.get(0)).toMatchObject({
      refused: { family: "ipv4", count: 0 },
      look: { atMs: 11_001 },
    });
    const found = looked(
      refused.pool,
      [viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])],
      11_001,
      11_100,
    );
    expect(addressesOf(found.pool.enis.get(0))).toContain("10.0.0.3 idle");
    expect(found.pool.limits.addressesPerEni).toBe(15);
  });
});
