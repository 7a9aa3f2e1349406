/** What it means that a detachment is refused: at once, and after an earlier call that may have been accepted. */
import { describe, expect, it } from "vitest";
import { failureOf } from "./fake-cloud.ts";
import { eniOf, IDLE, looked, poolOf, stateIn, viewOf } from "./fake-pool.ts";
import { type Eni } from "./model.ts";
import { step } from "./step.ts";

function detaching(more = {}): Eni {
  const state = { kind: "detaching", sinceMs: 1_000, unsure: false, ...more } as const;
  return eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": IDLE }, { state });
}

function kinds(effects: readonly { readonly kind: string }[]): string[] {
  return effects.map(({ kind }) => kind).filter((kind) => kind !== "note" && kind !== "persist-eni");
}

describe("an ENI that the cloud refuses to detach", () => {
  it("comes back into service where the cloud refuses to detach it", () => {
    const eni = detaching({ call: { tries: 0 } });
    const { id } = viewOf(eni, "InUse");
    const failure = failureOf({ kind: "detach-eni", slot: 0, eni: id }, "configuration");
    const refused = step(poolOf([eni]), { kind: "detach-failed", slot: 0, eni: id, failure, nowMs: 2_000 });
    expect(stateIn(refused.pool)).toMatchObject({ kind: "linking", inUse: true, relinkAtMs: 62_000 });
    expect(refused.wakeAtMs).toBe(62_000);
  });

  it("goes on leaving where an earlier call may still take it away", () => {
    const eni = detaching();
    const { id } = viewOf(eni, "InUse");
    const failure = failureOf({ kind: "detach-eni", slot: 0, eni: id }, "configuration");
    const again = looked(poolOf([eni]), [viewOf(eni, "InUse")], 30_000, 30_100);
    expect(kinds(again.effects)).toEqual(["unlink-eni", "detach-eni"]);
    const refused = step(again.pool, { kind: "detach-failed", slot: 0, eni: id, failure, nowMs: 31_000 });
    expect(stateIn(refused.pool)).toMatchObject({ kind: "detaching", call: { tries: 1 } });
    const later = step(refused.pool, { kind: "ticked", nowMs: refused.wakeAtMs ?? 0 });
    expect(kinds(later.effects)).toEqual(["unlink-eni", "detach-eni"]);
    expect(
      stateIn(step(later.pool, { kind: "detach-failed", slot: 0, eni: id, failure, nowMs: 99_000 }).pool),
    ).toMatchObject({
      kind: "detaching",
      call: { tries: 2 },
    });
  });
});
