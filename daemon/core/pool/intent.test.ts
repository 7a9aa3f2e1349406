/** Each creation carries its ClientToken as a tag: an ENI that nobody remembers is told from one that is just being made. */
import { describe, expect, it } from "vitest";
import { type CreateEni } from "../cloud.ts";
import { INTENT_TAG } from "../eni-tags.ts";
import { failureOf } from "./fake-cloud.ts";
import { poolOf, stateIn } from "./fake-pool.ts";
import { type Pool } from "./model.ts";
import { step } from "./step.ts";

function requestIn(pool: Pool): CreateEni {
  const state = stateIn(pool);
  return state?.kind === "creating" ? state.request : expect.fail(`no creation: ${state?.kind}`);
}

describe("a creation", () => {
  it("has its token among its tags, also where it needs another token", () => {
    const begun = step(poolOf([], { idleMin: 2 }), { kind: "ticked", nowMs: 1_000 });
    const request = requestIn(begun.pool);
    expect(request.tags[INTENT_TAG]).toBe(request.token);
    const failure = failureOf({ kind: "create-eni", slot: 0, request, priority: "warm-up" }, "new-token");
    const again = step(begun.pool, { kind: "eni-create-failed", slot: 0, failure, nowMs: 1_100 });
    const second = requestIn(again.pool);
    expect(second.token).not.toBe(request.token);
    expect(second.tags).toEqual({ ...request.tags, [INTENT_TAG]: second.token });
  });
});
