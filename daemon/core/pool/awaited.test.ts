import { describe, expect, it } from "vitest";
import { awaited } from "./awaited.ts";
import { attachmentOf } from "./fake-node.ts";
import { A, eniOf, IDLE, poolOf, used } from "./fake-pool.ts";
import { type Eni } from "./model.ts";
import { step } from "./step.ts";

const CALL = { tries: 0 };
const UNANSWERED =
  "is not answered yet: the cloud is slow, or after throttling the call waits for its turn (rate_limit)";

function eniIn(more: Partial<Eni>): Eni {
  return eniOf(0, { "10.0.0.1": IDLE }, more);
}

describe("awaited()", () => {
  it("names the call or the device that pods wait for", () => {
    const assigning = { token: "t", count: 1, unsure: false, call: CALL };
    const linking = { kind: "linking", sinceMs: 0, rounds: 0, inUse: true, unsure: false } as const;
    const request = { token: "t", vSwitch: A, securityGroups: [], secondaryCount: 0, tags: {} };
    const cases: readonly (readonly [Partial<Eni>, string | undefined])[] = [
      [
        { state: { kind: "creating", request, unsure: false, call: CALL } },
        `CreateNetworkInterface for vsw-a ${UNANSWERED}`,
      ],
      [
        { state: { kind: "attaching", rounds: 0, call: CALL } },
        `AttachNetworkInterface for eni-0 ${UNANSWERED}`,
      ],
      [{ state: linking }, "the device of eni-0 has not come, or its gateway has not answered"],
      [{ assigning: { family: "ipv4", ...assigning } }, `AssignPrivateIpAddresses for eni-0 ${UNANSWERED}`],
      [{ assigning: { family: "ipv6", ...assigning } }, `AssignIpv6Addresses for eni-0 ${UNANSWERED}`],
      [{}, undefined],
      [{ state: { kind: "detaching", sinceMs: 0, unsure: false } }, undefined],
    ];
    for (const [more, text] of cases) expect(awaited(poolOf([eniIn(more)]))).toBe(text);
    expect(awaited(poolOf([]))).toBe(undefined);
  });

  it("is the cause of a refusal where nothing has failed", () => {
    const pool = poolOf([eniOf(0, { "10.0.0.1": used("a") })], { idleMin: 0 });
    const attachment = attachmentOf("b");
    const asked = step(pool, { kind: "add-requested", attachment, deadlineMs: 1000, nowMs: 1 });
    const gathered = step(asked.pool, { kind: "ticked", nowMs: 500 });
    expect(gathered.effects.map(({ kind }) => kind)).toContain("assign");
    const late = step(gathered.pool, { kind: "ticked", nowMs: 1000 });
    expect(late.effects).toContainEqual({
      kind: "refuse",
      attachment,
      fault: {
        kind: "deadline",
        what: "getting an address for the pod",
        waitedMs: 999,
        cause: `AssignPrivateIpAddresses for eni-0 ${UNANSWERED}`,
      },
    });
  });
});
