/** Who waits, and who is told at once that there is nothing to wait for. */
import { describe, expect, it } from "vitest";
import { failureOf } from "./fake-cloud.ts";
import { attachmentOf } from "./fake-node.ts";
import { A, B, eniOf, IDLE, poolOf, used, vSwitchOf } from "./fake-pool.ts";
import { type AddressState, type Eni, type EniState, type Pool, type Step } from "./model.ts";
import { step } from "./step.ts";

const LIMITS = { enisMax: 1, addressesPerEni: 2 };

function cooling(untilMs: number): AddressState {
  return { kind: "cooling", untilMs };
}

/** A pool on an instance of one ENI with two addresses. */
function smallPool(addresses: Readonly<Record<string, AddressState>>, more: Partial<Eni> = {}): Pool {
  return { ...poolOf([eniOf(0, addresses, more)], { idleMax: 0 }), limits: LIMITS };
}

function add(pool: Pool, name: string, deadlineMs: number): Step {
  return step(pool, { kind: "add-requested", attachment: attachmentOf(name), deadlineMs, nowMs: 100 });
}

/** The names of those that wait after these pods have asked, each with its deadline. */
function waiting(pool: Pool, pods: Readonly<Record<string, number>>): string[] {
  let current = pool;
  for (const [name, deadlineMs] of Object.entries(pods)) current = add(current, name, deadlineMs).pool;
  return current.waiting.map(({ attachment }) => attachment.containerId);
}

describe("a pod waits", () => {
  const full = { "10.0.0.1": used("x"), "10.0.0.2": used("y") };

  it("for an address that cools down in time, one pod for each", () => {
    const pool = smallPool({ "10.0.0.1": cooling(5_000), "10.0.0.2": cooling(9_000) });
    expect(waiting(pool, { a: 10_000, b: 10_000, c: 10_000 })).toEqual(["a", "b"]);
    expect(waiting(pool, { a: 10_000, b: 9_000 })).toEqual(["a"]);
    expect(waiting(pool, { a: 5_000 })).toEqual([]);
  });

  it("for an address that is being given back: there will be room", () => {
    const addresses = { "10.0.0.1": used("x"), "10.0.0.2": { kind: "unassigning" } as const };
    const pool = smallPool(addresses, { unassigning: { unsure: false, call: { tries: 0 } } });
    expect(waiting(pool, { a: 10_000, b: 10_000 })).toEqual(["a"]);
    // Nothing is asked of an ENI while it gives back (Operation.Conflict), though it has room.
    const roomy = { ...pool, limits: { enisMax: 1, addressesPerEni: 15 } };
    const asked = step(add(roomy, "a", 10_000).pool, { kind: "ticked", nowMs: 1_000 });
    expect(asked.effects).toEqual([]);
  });

  it("for an ENI that is leaving: another one can come", () => {
    for (const kind of ["detaching", "deleting"] as const) {
      const state: EniState = { kind, sinceMs: 0, unsure: false };
      expect(
        waiting(smallPool({ "10.0.0.1": IDLE }, { state }), { a: 10_000, b: 10_000, c: 10_000 }),
      ).toEqual(["a", "b"]);
    }
  });

  it("for an ENI that is on its way, with all it can have", () => {
    const linking: EniState = { kind: "linking", sinceMs: 0, rounds: 0, inUse: false, unsure: false };
    expect(waiting(smallPool({ "10.0.0.1": IDLE }, { state: linking }), { a: 1e4, b: 1e4, c: 1e4 })).toEqual([
      "a",
      "b",
    ]);
    const attaching: EniState = { kind: "attaching", rounds: 0, call: { tries: 2, retryAtMs: 4_000 } };
    expect(waiting(smallPool({ "10.0.0.1": IDLE }, { state: attaching }), { a: 1e4 })).toEqual(["a"]);
  });

  it("for a call that is repeated soon, not for one that is repeated in a minute", () => {
    const request = { token: "t", vSwitch: A, securityGroups: [], secondaryCount: 1, tags: {} };
    const creating = (retryAtMs: number): Eni => {
      const { facts: _, ...eni } = eniOf(0, { "10.0.0.1": IDLE });
      const state: EniState = { kind: "creating", request, unsure: true, call: { tries: 3, retryAtMs } };
      return { ...eni, addresses: new Map(), state };
    };
    const poolWith = (retryAtMs: number): Pool => ({ ...poolOf([creating(retryAtMs)]), limits: LIMITS });
    expect(waiting(poolWith(5_000), { a: 60_000 })).toEqual(["a"]);
    expect(waiting(poolWith(60_000), { a: 60_000 })).toEqual([]);
  });

  it("for the first view of the cloud", () => {
    expect(waiting({ ...smallPool(full), cloudSeen: false }, { a: 10_000 })).toEqual(["a"]);
  });

  it("for a vSwitch whose block is over and that is being looked at", () => {
    const pool = smallPool({ "10.0.0.1": used("x") });
    const block = { sinceMs: 0, untilMs: 90, fault: { kind: "internal", reason: "full" } as const };
    const vSwitches = pool.vSwitches.map(({ view }) => ({ view: { ...view, availableAddresses: 0 }, block }));
    expect(waiting({ ...pool, enis: new Map(), vSwitches }, { a: 10_000 })).toEqual(["a"]);
  });

  it("for nothing else: it is told at once that the instance is full", () => {
    const refused = add(smallPool(full), "a", 10_000);
    expect(refused.effects).toEqual([
      {
        kind: "refuse",
        attachment: attachmentOf("a"),
        fault: {
          kind: "no-address",
          reason: "this instance has all its 1 secondary ENIs, of 2 addresses at most, and none is free",
        },
      },
    ]);
  });

  it("hears what keeps an ENI with room from getting more", () => {
    const fault = {
      kind: "cloud-unreachable",
      action: "AssignPrivateIpAddresses",
      target: "eni-0",
      reason: "why",
    } as const;
    const held = smallPool({ "10.0.0.1": used("x") }, { assignAfterMs: 60_000 });
    expect(add({ ...held, lastFault: fault }, "a", 10_000).effects).toMatchObject([
      { fault: { cause: "AssignPrivateIpAddresses for eni-0: no answer from the cloud: why" } },
    ]);
    const vSwitches = held.vSwitches.map((vSwitch) => ({
      ...vSwitch,
      block: { sinceMs: 0, untilMs: 1e6, fault },
    }));
    const blocked = smallPool({ "10.0.0.1": used("x") });
    expect(add({ ...blocked, vSwitches }, "a", 10_000).effects).toMatchObject([
      { fault: { cause: "AssignPrivateIpAddresses for eni-0: no answer from the cloud: why" } },
    ]);
  });
});

describe("a vSwitch", () => {
  const fault = { kind: "internal", reason: "why" } as const;

  it("that was refused after the question stays blocked, whatever the answer", () => {
    const pool = poolOf([]);
    const block = { sinceMs: 50, untilMs: 600_050, fault };
    const vSwitches = [{ view: vSwitchOf(pool, A, 0), block }, { view: vSwitchOf(pool, B, 9) }];
    const views = [vSwitchOf(pool, A, 100), vSwitchOf(pool, B, 100)];
    const answered = (vSwitchesAskedMs: number): Step =>
      step({ ...pool, vSwitches, vSwitchesAskedMs }, { kind: "vswitches-described", views, nowMs: 100 });
    expect(answered(40).pool.vSwitches).toEqual([
      { view: vSwitchOf(pool, A, 0), block },
      { view: vSwitchOf(pool, B, 100) },
    ]);
    expect(answered(60).pool.vSwitches[0]).toEqual({ view: vSwitchOf(pool, A, 100) });
  });

  it("that is blocked for another reason than being empty stays so until its time", () => {
    const pool = poolOf([]);
    const block = { sinceMs: 50, untilMs: 60_050, fault };
    const vSwitches = [{ view: vSwitchOf(pool, A, 10), block }];
    const views = [vSwitchOf(pool, A, 100)];
    const answered = step(
      { ...pool, vSwitches, vSwitchesAskedMs: 60 },
      { kind: "vswitches-described", views, nowMs: 100 },
    );
    expect(answered.pool.vSwitches).toEqual([{ view: vSwitchOf(pool, A, 100), block }]);
  });

  it("that was found exhausted is not opened by another call that took nothing", () => {
    const grown = after40(poolOf([], { idleMax: 0 }));
    const [first, second] = grown.effects.filter((effect) => effect.kind === "create-eni");
    if (first === undefined || second === undefined) expect.fail("two creations");
    const full = step(grown.pool, {
      kind: "eni-create-failed",
      slot: first.slot,
      failure: failureOf(first, "vswitch-full"),
      nowMs: 200,
    });
    const other = step(full.pool, {
      kind: "eni-create-failed",
      slot: second.slot,
      failure: failureOf(second, "configuration"),
      nowMs: 300,
    });
    expect(other.pool.vSwitches[0]).toMatchObject({
      view: { availableAddresses: 0 },
      block: { untilMs: 600_200 },
    });
  });
});

/** Forty pods ask at once; the growth that follows. */
function after40(pool: Pool): Step {
  let current = pool;
  for (let index = 0; index < 40; index += 1) current = add(current, `p${index}`, 1e6).pool;
  return step(current, { kind: "ticked", nowMs: 150 });
}
