import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Pool } from "../core/pool/model.ts";
import { CHECK_AGE_MAX_MS, STARVED_HOLD_MS } from "../core/status/status.ts";
import { openLog } from "./log.ts";
import { openStatus, type StatusWatch } from "./status.ts";
import { attachment, openLab } from "./test-lab.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

type Datapath = {
  /** What a look finds. */
  missing: readonly string[];
  /** Does a repair help? */
  mends: boolean;
  /** What was asked for, in order. */
  readonly asked: string[];
  /** Keeps a look from its end. */
  gate?: Promise<void>;
};

function open(pool: () => Pool, datapath: Datapath): StatusWatch {
  return openStatus({
    pool,
    async check(pods): Promise<Result<readonly string[]>> {
      datapath.asked.push(pods ? "check pods" : "check");
      await datapath.gate;
      return ok(datapath.missing);
    },
    async mend() {
      datapath.asked.push("mend");
      if (datapath.mends) datapath.missing = [];
    },
    nowMs: () => performance.now(),
    log: openLog("silent"),
    onBug(error) {
      throw error;
    },
  });
}

describe("openStatus()", () => {
  it("looks at the datapath on its own and makes again what is missing", async () => {
    using lab = openLab().loop;
    const datapath: Datapath = { missing: [], mends: true, asked: [] };
    using watch = open(lab.pool, datapath);
    expect(await watch.status()).toEqual(ok(undefined));
    expect(datapath.asked).toEqual(["check pods"]);
    datapath.missing = ["rule 512 is missing"];
    await vi.advanceTimersByTimeAsync(CHECK_AGE_MAX_MS + 2000);
    expect(datapath.asked.slice(1)).toEqual(["check", "mend", "check pods"]);
    expect(await watch.status()).toEqual(ok(undefined));
  });

  it("says what could not be made again, until it is there", async () => {
    using lab = openLab().loop;
    const datapath: Datapath = { missing: ["table ip terway is missing"], mends: false, asked: [] };
    using watch = open(lab.pool, datapath);
    await vi.advanceTimersByTimeAsync(3000);
    const fault = { kind: "pods-affected", differences: ["table ip terway is missing"] } as const;
    expect(await watch.status()).toEqual(failed(fault));
    datapath.missing = [];
    await vi.advanceTimersByTimeAsync(CHECK_AGE_MAX_MS + 2000);
    expect(await watch.status()).toEqual(ok(undefined));
  });

  it("mends nothing any more once it has ended, and has ended when no look is under way", async () => {
    using lab = openLab().loop;
    const { promise, resolve } = Promise.withResolvers<void>();
    const datapath: Datapath = { missing: ["rule"], mends: true, asked: [], gate: promise };
    using watch = open(lab.pool, datapath);
    const asked = watch.status();
    expect(datapath.asked).toEqual(["check pods"]);
    let ended = false;
    const end = (async () => {
      await watch.end();
      ended = true;
    })();
    await vi.advanceTimersByTimeAsync(1000);
    expect(ended).toBe(false);
    resolve();
    await Promise.all([end, asked]);
    await vi.advanceTimersByTimeAsync(CHECK_AGE_MAX_MS + 2000);
    expect(datapath.asked).toEqual(["check pods"]);
  });

  it("does not wait for a look that takes long", async () => {
    using lab = openLab().loop;
    const { promise, resolve } = Promise.withResolvers<void>();
    using watch = open(lab.pool, { missing: ["rule"], mends: false, asked: [], gate: promise });
    const asked = watch.status();
    await vi.advanceTimersByTimeAsync(200);
    expect(await asked).toEqual(ok(undefined));
    resolve();
  });

  it("answers 50 when the pool has been empty without hope for long enough, and no longer", async () => {
    const { loop } = openLab();
    using _ = loop;
    const full = ["a", "b"].map(attachment);
    for (const of of full)
      await loop.acquire({
        attachment: of,
        deadlineMs: performance.now() + 1000,
        leaseOf: () => ({ kind: "put-cooldown", address: "lease", untilMs: 0 }),
      });
    // No ENI can be added: the instance has room for this one alone.
    const pool = (): Pool => ({ ...loop.pool(), limits: { enisMax: 1, addressesPerEni: 2 } });
    using watch = open(pool, { missing: [], mends: true, asked: [] });
    watch.onPool(pool());
    await vi.advanceTimersByTimeAsync(STARVED_HOLD_MS - 1);
    expect(await watch.status()).toEqual(ok(undefined));
    await vi.advanceTimersByTimeAsync(1);
    expect(await watch.status()).toMatchObject({
      ok: false,
      fault: {
        kind: "cannot-serve",
        cause: expect.stringContaining("this instance has all its 1 secondary"),
      },
    });
    loop.dispatch({ kind: "released", attachment: attachment("a") });
    expect(await watch.status()).toEqual(ok(undefined));
  });
});
