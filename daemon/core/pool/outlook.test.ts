/** What STATUS says of the pool: whether a pod that came now could be served. */
import { describe, expect, it } from "vitest";
import { type Fault } from "../../../proto/fault.ts";
import { lostReply } from "./fake-cloud.ts";
import { A, B, eniOf, IDLE, poolOf, used, vSwitchOf } from "./fake-pool.ts";
import { type Eni, type EniState, type Pool } from "./model.ts";
import { outlook } from "./outlook.ts";

const SERVES = { kind: "serves" };
const CAUSE: Fault = { kind: "cloud-unreachable", action: "Create", target: "vsw-a", reason: "ECONNREFUSED" };
const FULL = { "10.0.0.1": used("x"), "10.0.0.2": used("y") };

/** An instance of one ENI with two addresses. */
function small(enis: readonly Eni[], more: Partial<Pool> = {}): Pool {
  return { ...poolOf(enis, { idleMax: 0 }, more), limits: { enisMax: 1, addressesPerEni: 2 } };
}

function creating(tries: number): EniState {
  const request = {
    family: "ipv4" as const,
    token: "t",
    vSwitch: A,
    securityGroups: [],
    secondaryCount: 1,
    tags: {},
  };
  return { kind: "creating", unsure: true, call: { tries, retryAtMs: 1_000 }, request };
}

describe("outlook()", () => {
  it("serves with an idle address, and with one that cools down", () => {
    expect(outlook(small([eniOf(0, { "10.0.0.1": IDLE })], { lastFault: CAUSE }), 0)).toEqual(SERVES);
    const cooling = { kind: "cooling", untilMs: 9_000 } as const;
    expect(outlook(small([eniOf(0, { "10.0.0.1": used("x"), "10.0.0.2": cooling })]), 0)).toEqual(SERVES);
  });

  it("serves where growth was not tried, and while it goes on without a failure", () => {
    expect(outlook(poolOf([]), 0)).toEqual(SERVES);
    expect(outlook(poolOf([eniOf(0, FULL)]), 0)).toEqual(SERVES);
    expect(outlook(small([eniOf(0, { "10.0.0.1": IDLE }, { state: creating(0) })]), 0)).toEqual(SERVES);
  });

  it("is starved where the instance is full", () => {
    const reason = "this instance has all its 1 secondary ENIs, of 2 addresses at most, and none is free";
    expect(outlook(small([eniOf(0, FULL)]), 0)).toEqual({
      kind: "starved",
      fault: { kind: "no-address", reason },
    });
  });

  it("is starved where every vSwitch is blocked, until the first block is over", () => {
    const block = { sinceMs: 0, untilMs: 5_000, fault: CAUSE };
    const blockedWith = (room: number): Pool => {
      const pool = poolOf([]);
      const vSwitches = [A, B].map((id) => ({ view: vSwitchOf(pool, id, room), block }));
      return { ...pool, vSwitches };
    };
    const pool = blockedWith(0);
    expect(outlook(pool, 100)).toMatchObject({
      kind: "starved",
      fault: { kind: "no-address", cause: expect.stringContaining("ECONNREFUSED"), retryAfterMs: 4_900 },
    });
    expect(outlook(blockedWith(3), 5_000)).toEqual(SERVES);
  });

  it("is starved while the call for more fails again and again, with the newest cause", () => {
    const failing = eniOf(1, { "10.0.0.3": IDLE }, { state: creating(2) });
    const pool = { ...poolOf([eniOf(0, FULL), failing]), lastFault: CAUSE };
    expect(outlook(pool, 0)).toEqual({ kind: "starved", fault: CAUSE });
    const assigning = {
      family: "ipv4" as const,
      token: "t",
      count: 1,
      unsure: false,
      call: { tries: 1, retryAtMs: 1_000 },
    };
    expect(outlook({ ...poolOf([eniOf(0, FULL, { assigning })]), lastFault: CAUSE }, 0)).toEqual({
      kind: "starved",
      fault: CAUSE,
    });
    // Another ENI is on its way.
    const fine = eniOf(2, { "10.0.0.4": IDLE }, { state: creating(0) });
    expect(outlook({ ...pool, enis: new Map([...pool.enis, [2, fine]]) }, 0)).toEqual(SERVES);
  });

  it("is starved where the cloud could not even be asked what there is", () => {
    const unseen = { ...poolOf([]), cloudSeen: false };
    expect(outlook(unseen, 0)).toEqual(SERVES);
    const failure = lostReply("DescribeNetworkInterfaces");
    const survey = { atMs: 9_000, tries: 1, fault: failure };
    expect(outlook({ ...unseen, survey }, 0)).toEqual({ kind: "starved", fault: failure.fault });
  });
});
