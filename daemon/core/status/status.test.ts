import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Fault } from "../../../proto/fault.ts";
import { ok } from "../../../proto/result.ts";
import { type Outlook } from "../pool/outlook.ts";
import {
  CHECK_AGE_MAX_MS,
  PODS_AGE_MAX_MS,
  STARVED_HOLD_MS,
  STATUS_AT_START,
  type StatusEffect,
  type StatusEvent,
  type StatusState,
  type StatusStep,
  stepStatus,
  verdict,
} from "./status.ts";

const CAUSE: Fault = { kind: "no-address", reason: "vSwitch vsw-a has no free address" };
const STARVED: Outlook = { kind: "starved", fault: CAUSE };
const SERVES: Outlook = { kind: "serves" };

function after(events: readonly StatusEvent[], from: StatusState = STATUS_AT_START): StatusStep {
  return events.reduce<StatusStep>((last, event) => stepStatus(last.state, event), {
    state: from,
    effects: [],
  });
}

describe("verdict()", () => {
  it("is fine at a start and in a dip that is shorter than the hold", () => {
    expect(verdict(STATUS_AT_START, 0)).toEqual(ok(undefined));
    const { state } = after([{ kind: "outlook", outlook: STARVED, nowMs: 1_000 }]);
    expect(verdict(state, 1_000 + STARVED_HOLD_MS - 1)).toEqual(ok(undefined));
  });

  it("says what keeps the pool from growing when that has held, counted from the first moment", () => {
    const { state } = after([
      { kind: "outlook", outlook: STARVED, nowMs: 1_000 },
      { kind: "outlook", outlook: STARVED, nowMs: 12_000 },
    ]);
    expect(verdict(state, 1_000 + STARVED_HOLD_MS)).toEqual({
      ok: false,
      fault: {
        kind: "cannot-serve",
        reason: "no address is idle and none has been to be had for 15 s",
        cause: "no address for the pod: vSwitch vsw-a has no free address",
      },
    });
  });

  it("is fine at once when an address is there, and counts anew from then on", () => {
    const { state } = after([
      { kind: "outlook", outlook: STARVED, nowMs: 0 },
      { kind: "outlook", outlook: SERVES, nowMs: 60_000 },
    ]);
    expect(state).toEqual(STATUS_AT_START);
    const again = after([{ kind: "outlook", outlook: STARVED, nowMs: 60_001 }], state).state;
    expect(verdict(again, 60_000 + STARVED_HOLD_MS)).toEqual(ok(undefined));
  });

  it("names what is missing of the datapath, before the pool's troubles, and not all of it", () => {
    const { state } = after([{ kind: "outlook", outlook: STARVED, nowMs: 0 }], {
      ...STATUS_AT_START,
      broken: ["a", "b", "c", "d", "e", "f", "g"],
    });
    const differences = ["a", "b", "c", "d", "e", "and 2 more"];
    expect(verdict(state, 60_000)).toEqual({ ok: false, fault: { kind: "pods-affected", differences } });
  });
});

describe("stepStatus()", () => {
  const CHECKING: StatusState = { doing: "checking", broken: [] };
  const CHECK: StatusEffect = { kind: "check", pods: false };
  /** Its pods were looked at. */
  const SEEN: StatusState = { doing: "nothing", broken: [], podsCheckedMs: 0 };

  it("looks at all at the start", () => {
    expect(after([{ kind: "ticked", nowMs: 5 }]).effects).toEqual([{ kind: "check", pods: true }]);
  });

  it("looks at the datapath when the last look is too old, once at a time", () => {
    const first = after([{ kind: "ticked", nowMs: 5 }], SEEN);
    expect(first).toEqual({ state: { ...CHECKING, podsCheckedMs: 0 }, effects: [CHECK] });
    expect(after([{ kind: "ticked", nowMs: 6 }], first.state)).toEqual({ state: first.state, effects: [] });
    const checked = after([{ kind: "checked", differences: [], nowMs: 7 }], first.state);
    expect(checked).toEqual({ state: { ...SEEN, checkedMs: 7 }, effects: [] });
    expect(after([{ kind: "ticked", nowMs: 7 + CHECK_AGE_MAX_MS - 1 }], checked.state).effects).toEqual([]);
    expect(after([{ kind: "ticked", nowMs: 7 + CHECK_AGE_MAX_MS }], checked.state).effects).toEqual([CHECK]);
  });

  it("mends what is missing before it speaks of it", () => {
    const mending = after([{ kind: "checked", differences: ["rule"], nowMs: 1 }], CHECKING);
    expect(mending.effects).toEqual([{ kind: "mend", differences: ["rule"] }]);
    expect(verdict(mending.state, 1)).toEqual(ok(undefined));
    const rechecking = after([{ kind: "mended", nowMs: 2 }], mending.state);
    expect(rechecking.effects).toEqual([{ kind: "check", pods: true }]);
    const fine = after([{ kind: "checked", differences: [], nowMs: 3 }], rechecking.state);
    expect(fine).toEqual({ state: { doing: "nothing", broken: [], checkedMs: 3 }, effects: [] });
    const broken = after([{ kind: "checked", differences: ["rule"], nowMs: 3 }], rechecking.state);
    expect(broken).toEqual({ state: { doing: "nothing", broken: ["rule"], checkedMs: 3 }, effects: [] });
  });

  it("looks at once at what is suspected, and again where a look may have been too early", () => {
    const fresh: StatusState = { ...SEEN, checkedMs: 10 };
    const suspected = after([{ kind: "suspected", pods: false, nowMs: 11 }], fresh);
    expect(suspected).toEqual({ state: { ...fresh, doing: "checking" }, effects: [CHECK] });
    const twice = after(
      [
        { kind: "suspected", pods: true, nowMs: 12 },
        { kind: "suspected", pods: false, nowMs: 13 },
        { kind: "checked", differences: [], nowMs: 14 },
      ],
      suspected.state,
    );
    expect(twice.state).toMatchObject({ doing: "nothing", suspected: "pods" });
    expect(after([{ kind: "ticked", nowMs: 15 }], twice.state)).toEqual({
      state: { doing: "checking", broken: [], checkedMs: 14, podsCheckedMs: 15 },
      effects: [{ kind: "check", pods: true }],
    });
  });

  it("looks at all pods now and then", () => {
    const fresh: StatusState = { doing: "nothing", broken: [], checkedMs: 0, podsCheckedMs: 0 };
    const early = after([{ kind: "ticked", nowMs: PODS_AGE_MAX_MS - 1 }], fresh);
    expect(early.effects).toEqual([CHECK]);
    const due = after([{ kind: "ticked", nowMs: PODS_AGE_MAX_MS }], fresh);
    expect(due.effects).toEqual([{ kind: "check", pods: true }]);
    const checked = after([{ kind: "checked", differences: [], nowMs: PODS_AGE_MAX_MS + 5 }], due.state);
    expect(checked.state.podsCheckedMs).toBe(PODS_AGE_MAX_MS);
  });

  it("goes on speaking of it until a look finds nothing", () => {
    const broken: StatusState = { doing: "nothing", broken: ["rule"], checkedMs: 0 };
    expect(after([{ kind: "ticked", nowMs: CHECK_AGE_MAX_MS }], broken).effects).toEqual([
      { kind: "check", pods: true },
    ]);
    const again = after(
      [
        { kind: "ticked", nowMs: CHECK_AGE_MAX_MS },
        { kind: "checked", differences: ["rule"], nowMs: CHECK_AGE_MAX_MS },
      ],
      broken,
    );
    expect(verdict(again.state, CHECK_AGE_MAX_MS).ok).toBe(false);
    const mended = after(
      [
        { kind: "mended", nowMs: CHECK_AGE_MAX_MS + 1 },
        { kind: "checked", differences: [], nowMs: CHECK_AGE_MAX_MS + 2 },
      ],
      again.state,
    );
    expect(verdict(mended.state, CHECK_AGE_MAX_MS + 2)).toEqual(ok(undefined));
  });
});

describe("stepStatus(), whatever happens", () => {
  const event = fc.oneof(
    fc.constantFrom(STARVED, SERVES).map((outlook) => ({ kind: "outlook" as const, outlook })),
    fc.constant({ kind: "ticked" as const }),
    fc.boolean().map((pods) => ({ kind: "suspected" as const, pods })),
    fc.constantFrom([], ["rule"]).map((differences) => ({ kind: "checked" as const, differences })),
    fc.constant({ kind: "mended" as const }),
  );
  const history = fc.array(fc.tuple(event, fc.integer({ min: 0, max: 12_000 })), { maxLength: 60 });

  it("never has two things under way, and answers 50 only after the whole hold and 51 only after a repair", () => {
    fc.assert(
      fc.property(history, (events) => {
        let nowMs = 0;
        let state = STATUS_AT_START;
        let starvedSinceMs: number | undefined;
        let asked: string | undefined;
        let repairs = 0;
        for (const [happening, pauseMs] of events) {
          nowMs += pauseMs;
          // An edge answers only what it was asked.
          if (happening.kind === "checked" && asked !== "check") continue;
          if (happening.kind === "mended" && asked !== "mend") continue;
          if (happening.kind === "checked" || happening.kind === "mended") asked = undefined;
          if (happening.kind === "mended") repairs += 1;
          if (happening.kind === "outlook")
            starvedSinceMs = happening.outlook.kind === "serves" ? undefined : (starvedSinceMs ?? nowMs);
          const next = stepStatus(state, { ...happening, nowMs });
          ({ state } = next);
          for (const effect of next.effects) {
            expect(asked).toBeUndefined();
            asked = effect.kind;
          }
          const said = verdict(state, nowMs);
          const held = starvedSinceMs !== undefined && nowMs - starvedSinceMs >= STARVED_HOLD_MS;
          if (said.ok) expect(held).toBe(false);
          else if (said.fault.kind === "cannot-serve") expect(held).toBe(true);
          else expect(repairs).toBeGreaterThan(0);
        }
      }),
    );
  });
});
