import { describe, expect, it } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Store } from "../store/store.ts";
import { openLog } from "./log.ts";
import { statusWith, storeStartFault, watchStore } from "./open-store.ts";

const FULL: Fault = { kind: "store", op: "write", reason: "the disk is full" };
const LOG = openLog("silent");

/** A store in memory whose writes can be made to fail. */
function fakeStore(): Store & { readonly written: StoreChange[]; fail: boolean; damaged: boolean } {
  const written: StoreChange[] = [];
  const store = {
    written,
    fail: false,
    damaged: false,
    isDamaged: () => store.damaged,
    write(changes: readonly StoreChange[]): Result<void> {
      if (store.fail) return failed(FULL);
      written.push(...changes);
      return ok(undefined);
    },
    load: () => ({ leases: [], enis: [], cooldowns: [], meta: {} }),
    notices: [],
    [Symbol.dispose]: () => undefined,
  };
  return store;
}

describe("storeStartFault()", () => {
  it("lets pass what a person can mend without the agent", () => {
    const kinds = ["full", "read-only", "locked", "io", "newer", "damaged", "other"] as const;
    const passing = kinds.filter((kind) => storeStartFault({ kind, fault: FULL }).passing !== undefined);
    expect(passing).toEqual(["full", "read-only", "locked", "io", "newer"]);
  });
});

describe("watchStore()", () => {
  it("tries a write where the last one failed or was long ago, and else believes it", () => {
    let elapsedMs = 0;
    const store = fakeStore();
    const told: Fault[] = [];
    const onDamaged = (fault: Fault): void => void told.push(fault);
    const watched = watchStore(store, { elapsedMs: () => elapsedMs, log: LOG, onDamaged });
    expect(watched.check()).toEqual(ok(undefined));
    expect(store.written).toEqual([]);
    elapsedMs = 30_000;
    expect(watched.check()).toEqual(ok(undefined));
    expect(store.written).toEqual([{ kind: "put-meta", key: "checked", value: "" }]);
    store.fail = true;
    expect(watched.check()).toEqual(ok(undefined));
    expect(watched.write([{ kind: "rebuilt" }])).toEqual(failed(FULL));
    expect(watched.check()).toEqual(failed(FULL));
    store.fail = false;
    expect(watched.check()).toEqual(ok(undefined));
    expect(told).toEqual([]);
  });
});

describe("watchStore() of a damaged file", () => {
  it("tells of it", () => {
    const store = fakeStore();
    const told: Fault[] = [];
    const onDamaged = (fault: Fault): void => void told.push(fault);
    const watched = watchStore(store, { elapsedMs: () => 0, log: LOG, onDamaged });
    store.fail = true;
    watched.write([{ kind: "rebuilt" }]);
    expect(told).toEqual([]);
    store.damaged = true;
    watched.write([{ kind: "rebuilt" }]);
    expect(told).toEqual([FULL]);
  });
});

const fine = async (): Promise<Result<void>> => ok(undefined);
const broken = async (): Promise<Result<void>> =>
  failed({ kind: "pods-affected", differences: ["a route is missing"] });

describe("statusWith()", () => {
  it("says 50 with the cause where the database cannot be written, and 51 before that", async () => {
    const store = { check: (): Result<void> => failed(FULL) };
    const reason = "the agent's database: write: the disk is full";
    expect(await statusWith(store, fine)).toEqual(failed({ kind: "cannot-serve", reason }));
    expect(await statusWith(store, broken)).toEqual(await broken());
    expect(await statusWith({ check: () => ok(undefined) }, fine)).toEqual(ok(undefined));
  });
});
