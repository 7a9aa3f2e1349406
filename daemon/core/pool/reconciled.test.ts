/** What the looks at all sources change in the pool. */
import { describe, expect, it } from "vitest";
import { eniOf, IDLE, ip, poolOf, used } from "./fake-pool.ts";
import { type Eni, type PoolEvent } from "./model.ts";
import { HOLD_MS } from "./reconciled.ts";
import { step } from "./step.ts";

const NOTHING = { kind: "reconciled", hold: [], ask: [], survey: false } as const;
const reconciled = (more: Partial<Extract<PoolEvent, { readonly kind: "reconciled" }>>) =>
  ({ ...NOTHING, nowMs: 1_000, ...more }) as const;

describe("onReconciled()", () => {
  const eni = eniOf(0, { "10.0.0.1": IDLE, "10.0.0.2": used("a"), "10.0.0.3": IDLE });
  const pool = poolOf([eni]);
  const id = eni.facts?.id ?? expect.fail("id");

  it("holds an idle address back, on disk too, for longer than until the next look", () => {
    const held = step(pool, reconciled({ hold: [ip("10.0.0.1"), ip("10.0.0.2")] }));
    const untilMs = 1_000 + HOLD_MS;
    expect([...(held.pool.enis.get(0)?.addresses ?? [])]).toEqual([
      ["10.0.0.1", { kind: "cooling", untilMs }],
      ["10.0.0.2", used("a")],
      ["10.0.0.3", IDLE],
    ]);
    expect(held.effects).toEqual([{ kind: "persist-cooldown", address: "10.0.0.1", untilMs }]);
    const attachment = { network: "terway", containerId: "b", ifName: "eth0" };
    const added = step(held.pool, { kind: "add-requested", attachment, deadlineMs: 9_000, nowMs: 2_000 });
    expect(added.effects).toContainEqual(expect.objectContaining({ kind: "grant", address: "10.0.0.3" }));
  });

  it("lets an ENI leave that was about to: the kernel is asked again before it does", () => {
    const leaving: Eni = {
      ...eniOf(0, { "10.0.0.1": IDLE }),
      state: { kind: "deleting", sinceMs: 0, unsure: false },
    };
    const held = step(poolOf([leaving]), reconciled({ hold: [ip("10.0.0.1")] }));
    expect(held.pool.enis.get(0)).toEqual(leaving);
  });

  it("asks the API about an ENI, or for all", () => {
    const asked = step(pool, reconciled({ ask: [id] }));
    expect(asked.effects).toEqual([{ kind: "describe", scope: { by: "ids", ids: [id] } }]);
    const listed = step(pool, reconciled({ survey: true }));
    expect(listed.effects).toEqual([{ kind: "describe", scope: { by: "instance" } }]);
    expect(step(pool, reconciled({})).effects).toEqual([]);
  });
});
