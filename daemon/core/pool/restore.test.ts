import { describe, expect, it } from "vitest";
import { type Ipv4, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { isIpv6 } from "../../../proto/addr6.ts";
import { eniId, vSwitchId } from "../../../proto/ids.ts";
import { attachmentOf, SETTINGS } from "./fake-node.ts";
import { type Pool } from "./model.ts";
import { type EniRecord } from "./records.ts";
import { restore, type RestoreInput } from "./restore.ts";
import { step } from "./step.ts";

const A = vSwitchId("vsw-a");
const ip = (text: string): Ipv4 => parseIpv4(text) ?? expect.fail(text);
const MAC = parseMac("00:16:3e:00:00:01") ?? expect.fail("MAC");

type KnownRecord = Exclude<EniRecord, { readonly kind: "creating" }>;

function known(
  kind: "attaching" | "ready" | "detaching" | "deleting",
  slot: number,
  last: number,
): KnownRecord {
  const addresses = [ip(`10.0.0.${last}`), ip(`10.0.0.${last + 1}`), ip(`10.0.0.${last + 2}`)];
  const facts = { id: eniId(`eni-${slot}`), mac: MAC, primary: ip(`10.0.0.${last}`) };
  return { slot, vSwitch: A, kind, facts, addresses, unassigning: [] };
}

function restored(records: Partial<RestoreInput["records"]>): Pool {
  return restore({
    settings: SETTINGS,
    limits: { enisMax: 3, addressesPerEni: 15 },
    vSwitches: [],
    records: { enis: [], leases: [], cooldowns: [], ...records },
    nowMs: 1_000,
    seed: 7,
  });
}

function lease(name: string, address: string, slot: number): RestoreInput["records"]["leases"][number] {
  return { attachment: attachmentOf(name), address: ip(address), slot };
}

describe("restore()", () => {
  it("gives back what pods have, what cools down and what was to be given back", () => {
    const pool = restored({
      enis: [{ ...known("ready", 2, 1), unassigning: [ip("10.0.0.3")] }],
      leases: [lease("a", "10.0.0.1", 2)],
      cooldowns: [{ address: ip("10.0.0.2"), untilMs: 9_000 }],
    });
    expect(pool.enis.get(2)).toEqual({
      grewAtMs: 1_000,
      slot: 2,
      vSwitch: A,
      facts: { id: "eni-2", mac: MAC, primary: "10.0.0.1" },
      misses: 0,
      state: {
        kind: "linking",
        sinceMs: 1_000,
        rounds: 0,
        inUse: false,
        unsure: false,
        relinkAtMs: 1_000,
        wasReady: true,
      },
      unassigning: { unsure: true, call: { tries: 0 } },
      addresses: new Map([
        ["10.0.0.1", { kind: "used", attachment: attachmentOf("a") }],
        ["10.0.0.2", { kind: "cooling", untilMs: 9_000 }],
        ["10.0.0.3", { kind: "unassigning" }],
      ]),
    });
    expect(pool.unplaced).toEqual(new Map());
  });

  it("links attached ENIs and asks for the cloud's view with the first event, and nothing else before it", () => {
    const request = { token: "t-1", vSwitch: A, securityGroups: [], secondaryCount: 3, tags: {} };
    const pool = restored({
      enis: [
        known("ready", 0, 1),
        known("attaching", 1, 11),
        known("deleting", 2, 21),
        { slot: 3, vSwitch: A, kind: "creating", request },
      ],
    });
    const first = step(pool, { kind: "ticked", nowMs: 1_000 });
    expect(first.effects).toEqual([
      { kind: "link-eni", slot: 0, eni: "eni-0" },
      { kind: "describe", scope: { by: "instance" } },
    ]);
    const seen = step(first.pool, { kind: "described", scope: { by: "instance" }, views: [], nowMs: 1_100 });
    expect(seen.effects.filter(({ kind }) => kind !== "describe")).toEqual([
      { kind: "attach-eni", slot: 1, eni: "eni-1", priority: "warm-up" },
      { kind: "create-eni", slot: 3, request, priority: "warm-up" },
      { kind: "unlink-eni", slot: 2, eni: "eni-2" },
      { kind: "delete-eni", slot: 2, eni: "eni-2" },
    ]);
  });

  it("takes from the node what a former run may have left of an ENI that leaves, before it asks the cloud", () => {
    const begun = step(restored({ enis: [known("detaching", 0, 1)] }), { kind: "ticked", nowMs: 1_000 });
    const scope = { by: "instance" } as const;
    const asked = step(begun.pool, { kind: "described", scope, views: [], nowMs: 1_100 });
    expect(asked.effects.filter(({ kind }) => kind !== "describe")).toEqual([
      { kind: "unlink-eni", slot: 0, eni: "eni-0" },
      { kind: "detach-eni", slot: 0, eni: "eni-0" },
    ]);
  });

  it("keeps an ENI with pods, whatever was begun with it", () => {
    for (const kind of ["attaching", "detaching", "deleting"] as const) {
      const pool = restored({ enis: [known(kind, 0, 1)], leases: [lease("a", "10.0.0.2", 0)] });
      expect(pool.enis.get(0)?.state.kind).toBe("linking");
    }
  });

  it("does not take back a detachment that the former run may have sent, though it is refused now", () => {
    const begun = step(restored({ enis: [known("detaching", 0, 1)] }), { kind: "ticked", nowMs: 1_000 });
    const asked = step(begun.pool, {
      kind: "described",
      scope: { by: "instance" },
      views: [],
      nowMs: 1_100,
    });
    const of = { slot: 0, eni: eniId("eni-0") };
    const fault = { kind: "internal", reason: "in use" } as const;
    const failure = { class: "configuration", effect: "none", fault } as const;
    const refused = step(asked.pool, { kind: "detach-failed", ...of, failure, nowMs: 1_200 });
    expect(refused.pool.enis.get(0)?.state.kind).toBe("detaching");
  });

  it("keeps an ENI whose address cools down", () => {
    const cooldowns = [{ address: ip("10.0.0.2"), untilMs: 9_000 }];
    expect(restored({ enis: [known("detaching", 0, 1)], cooldowns }).enis.get(0)?.state.kind).toBe(
      "detaching",
    );
    expect(restored({ enis: [known("attaching", 0, 1)], cooldowns }).enis.get(0)?.state.kind).toBe("linking");
  });

  it("gives a lease to the ENI that stays where one that leaves had the address before", () => {
    const pool = restored({
      enis: [known("deleting", 0, 1), known("ready", 1, 1)],
      leases: [lease("a", "10.0.0.1", 1)],
    });
    expect(pool.enis.get(0)?.state.kind).toBe("deleting");
    expect(pool.enis.get(1)?.addresses.get(ip("10.0.0.1"))?.kind).toBe("used");
  });

  it("gives a lease of another ENI to none that leaves", () => {
    const pool = restored({ enis: [known("deleting", 0, 1)], leases: [lease("a", "10.0.0.1", 1)] });
    expect(pool.enis.get(0)?.state.kind).toBe("deleting");
    expect([...pool.unplaced.keys()]).toEqual(["10.0.0.1"]);
  });

  it("asks for a second view where pods have no ENI in the first one, and gives it the slot that they know", () => {
    const pool = restored({ leases: [lease("a", "10.0.0.1", 2)] });
    const { kind, facts, addresses } = known("ready", 2, 1);
    const first = step(pool, { kind: "described", scope: { by: "instance" }, views: [], nowMs: 1_000 });
    expect([kind, first.wakeAtMs]).toEqual(["ready", 11_000]);
    const view = {
      ...facts,
      status: "InUse",
      type: "Secondary",
      vSwitch: A,
      addresses: addresses.filter((address) => !isIpv6(address)),
      securityGroups: [],
      tags: SETTINGS.ownTags,
      addresses6: [],
      serviceManaged: false,
      instance: SETTINGS.instance,
    } as const;
    const second = step(first.pool, {
      kind: "described",
      scope: { by: "instance" },
      views: [view],
      nowMs: 11_100,
    });
    expect(second.pool.enis.get(2)?.addresses.get(ip("10.0.0.1"))?.kind).toBe("used");
    expect(second.pool.unplaced.size).toBe(0);
  });

  it("keeps what belongs to no known ENI: not served, released with a cooldown", () => {
    const pool = restored({ leases: [lease("a", "10.0.0.1", 0)] });
    const attachment = attachmentOf("a");
    const again = step(pool, { kind: "add-requested", attachment, deadlineMs: 1e6, nowMs: 1_000 });
    expect(again.effects.filter(({ kind }) => kind === "refuse")).toMatchObject([
      { fault: { kind: "not-ready" } },
    ]);
    const gone = step(again.pool, { kind: "released", attachment, nowMs: 2_000 });
    expect(gone.pool.unplaced).toEqual(
      new Map([["10.0.0.1", { state: { kind: "cooling", untilMs: 32_000 } }]]),
    );
    const thawed = step(gone.pool, { kind: "ticked", nowMs: 32_000 });
    expect(thawed.pool.unplaced).toEqual(new Map());
    expect(thawed.effects).toContainEqual({ kind: "forget-cooldown", address: "10.0.0.1" });
  });

  it("does not let a clock that was set back lengthen a cooldown", () => {
    const pool = restored({
      enis: [known("ready", 0, 1)],
      cooldowns: [{ address: ip("10.0.0.1"), untilMs: 9e9 }],
    });
    expect(pool.enis.get(0)?.addresses.get(ip("10.0.0.1"))).toEqual({ kind: "cooling", untilMs: 31_000 });
  });
});
