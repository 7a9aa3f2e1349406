/** The store model against the real store: the same operations on both. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Boot } from "../../daemon/store/migrate.ts";
import { type Stored } from "../../daemon/store/rows.ts";
import { type LeaseRow, type StoreChange } from "../../daemon/store/schema.ts";
import { openStore } from "../../daemon/store/store.ts";
import { openStoreModel } from "./store-model.ts";

type Step =
  | { readonly kind: "write"; readonly changes: readonly StoreChange[] }
  /** The agent starts again; `boots` and `clockMs` say what has changed. */
  | { readonly kind: "open"; readonly boots: boolean; readonly clockMs: number; readonly loses: boolean };

const small = fc.nat(3);
const lease: fc.Arbitrary<LeaseRow> = fc
  .record({ container: small, address: small, state: fc.constantFrom("pending" as const, "done" as const) })
  .map(({ container, address, state }) => ({
    network: "terway",
    containerId: `c${container}`,
    ifName: "eth0",
    address: `10.0.0.${address}`,
    address6: "",
    stack: "ipv4",
    slot: 0,
    state,
    hostName: "tw0",
    netns: "/run/netns/c",
    pod: "",
    hostMac: "",
    podMac: "",
  }));
const change: fc.Arbitrary<StoreChange> = fc.oneof(
  lease.map((row): StoreChange => ({ kind: "put-lease", lease: row })),
  small.map((container): StoreChange => ({
    kind: "delete-lease",
    network: "terway",
    containerId: `c${container}`,
    ifName: "eth0",
  })),
  fc
    .record({ slot: small, record: fc.constantFrom("a", "b") })
    .map((row): StoreChange => ({ kind: "put-eni", ...row })),
  small.map((slot): StoreChange => ({ kind: "delete-eni", slot })),
  fc.record({ address: small, untilMs: fc.nat(100_000) }).map(({ address, untilMs }): StoreChange => ({
    kind: "put-cooldown",
    address: `10.0.0.${address}`,
    untilMs,
  })),
  small.map((address): StoreChange => ({ kind: "delete-cooldown", address: `10.0.0.${address}` })),
  fc.constant<StoreChange>({ kind: "rebuilt" }),
  fc
    .record({ key: fc.constantFrom("facts" as const, "limits" as const), value: fc.constantFrom("1", "2") })
    .map((row): StoreChange => ({ kind: "put-meta", ...row })),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(change, { maxLength: 4 }).map((changes): Step => ({ kind: "write", changes })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        boots: fc.boolean(),
        clockMs: fc.constantFrom(0, 0, 500, 5_000, -60_000),
        loses: fc.constantFrom(false, false, true),
      })
      .map((open): Step => ({ kind: "open", ...open })),
  },
);

function sorted({ leases, cooldowns, ...rest }: Stored): Stored {
  return {
    ...rest,
    leases: leases.toSorted((a, b) => (a.containerId < b.containerId ? -1 : 1)),
    cooldowns: cooldowns.toSorted((a, b) => (a.address < b.address ? -1 : 1)),
  };
}

function bootOf(boots: number, nowMs: number): Boot {
  return { bootId: `boot-${boots}`, nowMs, uptimeMs: 1_000 };
}

/** What both hold in the end, and which writes both refused. */
function playOnBoth(steps: readonly Step[]): void {
  const directory = mkdtempSync(join(tmpdir(), "tw-store-model-"));
  try {
    const model = openStoreModel();
    let [boots, nowMs] = [0, 1_000_000];
    let modelled = model.open(bootOf(boots, nowMs));
    let real = openStore({ directory, ...bootOf(boots, nowMs) });
    for (const one of steps) {
      if (!real.ok) throw new Error(JSON.stringify(real.fault));
      if (one.kind === "write") {
        const outcomes = [modelled.write(one.changes).ok, real.value.write(one.changes).ok];
        expect(outcomes[0]).toBe(outcomes[1]);
      } else {
        real.value[Symbol.dispose]();
        if (one.loses) {
          rmSync(directory, { recursive: true, force: true });
          model.lose();
        }
        if (one.boots) boots += 1;
        nowMs += one.clockMs;
        modelled = model.open(bootOf(boots, nowMs));
        real = openStore({ directory, ...bootOf(boots, nowMs) });
        if (!real.ok) throw new Error(JSON.stringify(real.fault));
        expect(modelled.lost).toBe(real.value.lost);
      }
      expect(sorted(modelled.load())).toEqual(sorted(real.value.load()));
    }
    if (real.ok) real.value[Symbol.dispose]();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe("openStoreModel()", () => {
  it("holds what the real store holds, and refuses what it refuses", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 25 }), playOnBoth), { numRuns: 30 });
  }, 120_000);

  it("loses what was not synced, and nothing else, with the power", () => {
    const model = openStoreModel();
    const store = model.open(bootOf(0, 0));
    const row = fc.sample(lease, { numRuns: 1, seed: 1 })[0];
    if (row === undefined) throw new Error("no lease");
    store.write([{ kind: "put-lease", lease: { ...row, containerId: "synced", address: "10.0.0.8" } }]);
    store.write([{ kind: "put-eni", slot: 0, record: "r" }]);
    store.write([{ kind: "put-lease", lease: { ...row, containerId: "lost", address: "10.0.0.9" } }]);
    expect(model.unsynced()).toBe(1);
    model.losePower(1);
    const { leases, enis } = model.open(bootOf(0, 0)).load();
    expect([leases.map(({ containerId }) => containerId), enis]).toEqual([
      ["synced"],
      [{ slot: 0, record: "r" }],
    ]);
  });
});
