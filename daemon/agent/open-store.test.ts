import { describe, expect, it } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type StoreChange } from "../store/schema.ts";
import { type OpenFault, type Store } from "../store/store.ts";
import { openLog } from "./log.ts";
import { openPatiently, statusWith, watchStore } from "./open-store.ts";
import { type Timers } from "./timers.ts";

const FULL: Fault = { kind: "store", op: "write", reason: "the disk is full" };
const LOG = openLog("silent");

/** A store in memory whose writes can be made to fail. */
function fakeStore(): Store & { readonly written: StoreChange[]; fail: boolean } {
  const written: StoreChange[] = [];
  const store = {
    written,
    fail: false,
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

/** Time passes when somebody waits for it. */
function instantTimers(): Timers & { readonly waitedMs: number[] } {
  const waitedMs: number[] = [];
  return {
    waitedMs,
    elapsedMs: () => 0,
    after(ms, run) {
      waitedMs.push(ms);
      queueMicrotask(run);
      return { [Symbol.dispose]: () => undefined };
    },
    atTurnEnd: (run) => queueMicrotask(run),
  };
}

const trying = (answers: readonly Result<Store, OpenFault>[], isPatient = true) => {
  const timers = instantTimers();
  const said: Fault[] = [];
  let tries = 0;
  const stop = new AbortController();
  const opening = openPatiently({
    open: () => answers[tries++] ?? failed({ kind: "other", fault: FULL }),
    onWait: (fault) => said.push(fault),
    isPatient,
    timers,
    stop: stop.signal,
    log: LOG,
  });
  return { opening, said, timers, stop };
};
const refused = (kind: OpenFault["kind"]): Result<Store, OpenFault> => failed({ kind, fault: FULL });

describe("openPatiently()", () => {
  it("waits for what passes, and says each reason once", async () => {
    const store = fakeStore();
    const answers = [refused("full"), refused("full"), refused("locked"), ok(store)];
    const { opening, said, timers } = trying(answers);
    expect(await opening).toEqual({ ok: true, value: store });
    expect(said).toEqual([FULL, FULL]);
    expect(timers.waitedMs).toEqual([1000, 1000, 1000]);
  });

  it("fails at once for what does not pass, or where nobody waits", async () => {
    const text = expect.stringContaining("the disk is full");
    expect(await trying([refused("other")]).opening).toEqual({ ok: false, fault: { text } });
    const impatient = trying([refused("full")], false);
    expect(await impatient.opening).toEqual({ ok: false, fault: { text } });
    expect(impatient.timers.waitedMs).toEqual([]);
  });

  it("ends when the agent is to stop", async () => {
    const { opening, stop } = trying(Array.from({ length: 100 }, () => refused("read-only")));
    stop.abort();
    expect(await opening).toMatchObject({ ok: false });
  });
});

describe("watchStore()", () => {
  it("tries a write where the last one failed or was long ago, and else believes it", () => {
    let elapsedMs = 0;
    const store = fakeStore();
    const watched = watchStore(store, () => elapsedMs, LOG);
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
