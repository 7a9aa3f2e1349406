/** Which addresses a view adds and takes away, and which views may be too old to tell. */
import { describe, expect, it } from "vitest";
import { eniOf, IDLE, ip, looked, poolOf, used, viewOf } from "./fake-pool.ts";
import { SETTINGS } from "./fake-node.ts";
import { type Eni } from "./model.ts";
import { decodeEniRecord, encodeRecord, type EniRecord, eniRecord } from "./records.ts";
import { restore } from "./restore.ts";

const ADDRESSES = { "10.0.0.1": IDLE, "10.0.0.2": IDLE };

function addressesOf(eni: Eni | undefined): string[] {
  return [...(eni?.addresses ?? [])].map(([address, { kind }]) => `${address} ${kind}`);
}

/** As the store has it. */
function stored(eni: Eni): readonly EniRecord[] {
  const record = decodeEniRecord(encodeRecord(eniRecord(eni)));
  return record.ok ? [record.value] : [];
}

describe("syncAddresses()", () => {
  const eni = eniOf(0, ADDRESSES, { look: { atMs: 1_000, tries: 0 } });

  it("loses no address to a view that may be older than the last one that it got", () => {
    const grown = poolOf([eniOf(0, ADDRESSES, { grewAtMs: 1_000 })]);
    const view = viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.9"]);
    const late = looked(grown, [view], 601_000, 601_100);
    expect(addressesOf(late.pool.enis.get(0))).toEqual(["10.0.0.1 idle", "10.0.0.2 idle", "10.0.0.9 idle"]);
    const later = looked(poolOf([eniOf(0, ADDRESSES, { grewAtMs: 1_000 })]), [view], 601_001, 601_100);
    expect(addressesOf(later.pool.enis.get(0))).toEqual(["10.0.0.1 idle", "10.0.0.9 idle"]);
  });

  it("finds no address in a view that may be older than the last one that was given back", () => {
    const shrunk = poolOf([eniOf(0, ADDRESSES, { shrankAtMs: 1_000 })]);
    const view = viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.9"]);
    const early = looked(shrunk, [view], 601_000, 601_100);
    expect(addressesOf(early.pool.enis.get(0))).toEqual(addressesOf(eni));
    const sure = looked(shrunk, [view], 601_001, 601_100);
    expect(addressesOf(sure.pool.enis.get(0))).toContain("10.0.0.9 idle");
  });

  it("that a view lacks an address of is looked at again when it is sure, and the address's pod is told", () => {
    const busy = eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": used("a") }, { grewAtMs: 1_000 });
    const view = viewOf(busy, "InUse", ["10.0.0.1"]);
    const early = looked(poolOf([busy]), [view], 2_000, 2_100);
    expect(early.pool.enis.get(0)).toMatchObject({ look: { atMs: 601_001 }, addresses: busy.addresses });
    const sure = looked(early.pool, [view], 601_001, 601_100).pool.enis.get(0);
    expect(sure?.addresses.get(ip("10.0.0.2"))).toMatchObject({ kind: "used", lost: true });
  });

  it("keeps the cooldown of an address that is gone, should it come back", () => {
    const cooling = { kind: "cooling", untilMs: 30_000 } as const;
    const cold = poolOf([eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": cooling })]);
    const gone = looked(cold, [viewOf(eni, "InUse", ["10.0.0.1"])], 1_000, 1_100);
    expect(gone.effects).not.toContainEqual({ kind: "forget-cooldown", address: "10.0.0.2" });
    expect(gone.pool.unplaced).toEqual(new Map([["10.0.0.2", { state: cooling }]]));
  });

  it("keeps its addresses while a call for them is under way", () => {
    const assigning = { family: "ipv4" as const, token: "t", count: 1, unsure: false, call: { tries: 0 } };
    const busy = poolOf([eniOf(0, ADDRESSES, { assigning })], { idleMin: 3 });
    const found = looked(busy, [viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])], 1_000, 1_100);
    expect(addressesOf(found.pool.enis.get(0))).toEqual(addressesOf(eni));
  });

  it("finds after a restart what the former run was given at its end, at once where nothing was given back before", () => {
    const restored = (more: Partial<Eni>) => {
      const pool = restore({
        settings: SETTINGS,
        limits: { enisMax: 3, addressesPerEni: 15 },
        vSwitches: [],
        records: { enis: stored(eniOf(0, ADDRESSES, more)), leases: [], cooldowns: [] },
        nowMs: 5_000,
        seed: 1,
      });
      const view = viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
      return looked({ ...pool, cloudSeen: true }, [view], 6_000, 6_100).pool.enis.get(0);
    };
    expect(addressesOf(restored({}))).toContain("10.0.0.3 idle");
    // Whenever that was: the clock may have been set since.
    expect(addressesOf(restored({ shrankAtMs: 1 }))).toEqual(addressesOf(eni));
  });

  it("allows what is there, whatever was learnt with a view that lagged", () => {
    const learnt = { limits: { enisMax: 3, addressesPerEni: 2 }, learnt: { addressesPerEni: 2 } };
    const view = viewOf(eni, "InUse", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    expect(looked(poolOf([eni], {}, learnt), [view], 1_000, 1_100).pool.limits.addressesPerEni).toBe(3);
  });
});
