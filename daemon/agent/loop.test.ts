import { describe, expect, it, vi } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Happening } from "./turn.ts";
import { attachment, openLab, VIEW } from "./test-lab.ts";

const leaseOf = (): StoreChange => ({ kind: "put-cooldown", address: "lease", untilMs: 0 });

const REQUEST = { attachment: attachment("a"), deadlineMs: performance.now() + 60_000, leaseOf };

/** Turns end when the test says so. */
function turnLab() {
  const ends: (() => void)[] = [];
  const endTurn = (): void => {
    for (const end of ends.splice(0)) end();
  };
  const { loop, order } = openLab("ipv4", (run) => void ends.push(run));
  return { loop, order, endTurn };
}

describe("startLoop()", () => {
  it("has the lease on disk before the one who asked hears of the address", async () => {
    const { loop, order } = openLab();
    const request = { attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf };
    const grant = await loop.acquire(request);
    order.push("reply");
    expect(grant).toEqual({
      ok: true,
      value: { address: "10.0.0.10", slot: 0, storeMs: expect.any(Number) },
    });
    expect(order).toEqual(["write put-cooldown", "reply"]);
    loop[Symbol.dispose]();
  });

  it("refuses and changes nothing where the state cannot be written", async () => {
    const { loop, failWrites } = openLab();
    failWrites(true);
    const before = loop.pool();
    const request = { attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf };
    expect(await loop.acquire(request)).toMatchObject({ ok: false, fault: { kind: "store" } });
    expect(loop.pool()).toBe(before);
    failWrites(false);
    expect(await loop.acquire(request)).toMatchObject({ ok: true });
    loop[Symbol.dispose]();
  });

  it("repeats an event of the cloud that could not be written, until it can", async () => {
    vi.useFakeTimers();
    const { loop, failWrites } = openLab();
    const happening: Happening = { kind: "released", attachment: attachment("a") };
    await loop.acquire({ attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf });
    failWrites(true);
    loop.dispatch(happening);
    failWrites(false);
    await vi.advanceTimersByTimeAsync(1500);
    expect(loop.pool().enis.get(0)?.addresses.get(VIEW.primary)?.kind).toBe("idle");
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("tells the one who waits for an address why it cannot be had, where that cannot be written", async () => {
    vi.useFakeTimers();
    const { loop, failWrites } = openLab();
    const deadlineMs = performance.now() + 60_000;
    for (const id of ["a", "b"]) await loop.acquire({ attachment: attachment(id), deadlineMs, leaseOf });
    const waiting = loop.acquire({ attachment: attachment("c"), deadlineMs, leaseOf });
    failWrites(true);
    loop.dispatch({ kind: "released", attachment: attachment("a") });
    expect(await waiting).toMatchObject({ ok: false, fault: { kind: "store" } });
    failWrites(false);
    await vi.advanceTimersByTimeAsync(1500);
    // Granted to nobody: it goes back.
    expect(loop.pool().enis.get(0)?.addresses.get(VIEW.primary)?.kind).toBe("idle");
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("leaves an event with changes of its own to the one who sent it, where it could not be written", async () => {
    vi.useFakeTimers();
    const { loop, failWrites } = openLab();
    await loop.acquire({ attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf });
    failWrites(true);
    const happening: Happening = { kind: "released", attachment: attachment("a") };
    const written = await loop.commit([{ kind: "delete-lease", ...attachment("a") }], happening);
    expect(written).toMatchObject({ ok: false, fault: { kind: "store" } });
    failWrites(false);
    await vi.advanceTimersByTimeAsync(5000);
    expect(loop.pool().enis.get(0)?.addresses.get(VIEW.primary)?.kind).toBe("used");
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("writes all events of a turn at once", async () => {
    const { loop, order, endTurn } = turnLab();
    const grants = ["a", "b"].map((id) => loop.acquire({ ...REQUEST, attachment: attachment(id) }));
    const written = loop.commit([{ kind: "put-cooldown", address: "own", untilMs: 0 }]);
    expect(order).toEqual([]);
    endTurn();
    expect(order).toEqual(["write put-cooldown put-cooldown put-cooldown"]);
    expect(await written).toEqual({ ok: true, value: undefined });
    expect((await Promise.all(grants)).map(({ ok }) => ok)).toEqual([true, true]);
    loop[Symbol.dispose]();
  });

  it("keeps facts that could not be written in their order, before what comes later", async () => {
    vi.useFakeTimers();
    const { loop, failWrites } = openLab();
    const deadlineMs = performance.now() + 60_000;
    const request = { attachment: attachment("a"), deadlineMs, leaseOf };
    await loop.acquire(request);
    failWrites(true);
    loop.dispatch({ kind: "released", attachment: attachment("a") });
    failWrites(false);
    // Where the release came after it, a running pod would lose its address.
    expect(await loop.acquire(request)).toMatchObject({ ok: true });
    await vi.advanceTimersByTimeAsync(5000);
    const states = [...(loop.pool().enis.get(0)?.addresses.values() ?? [])];
    expect(states.filter(({ kind }) => kind === "used")).toHaveLength(1);
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("gives nothing to who goes away within the turn, and its own to who asks next", async () => {
    const { loop, order, endTurn } = turnLab();
    const gone = loop.acquire(REQUEST);
    loop.cancel(REQUEST.attachment, { kind: "not-ready", reason: "it was deleted" });
    const next = loop.acquire({ ...REQUEST, leaseOf: () => ({ kind: "put-eni", slot: 9, record: "next" }) });
    endTurn();
    expect(await gone).toMatchObject({ ok: false, fault: { reason: "it was deleted" } });
    expect(await next).toMatchObject({ ok: true });
    expect(order).toEqual(["write put-eni"]);
    loop[Symbol.dispose]();
  });

  it("gives back what was granted to who went away in the same turn, before the next one of that name", async () => {
    const { loop, order, endTurn } = turnLab();
    for (const id of ["a", "b"]) void loop.acquire({ ...REQUEST, attachment: attachment(id) });
    const gone = loop.acquire({ ...REQUEST, attachment: attachment("c") });
    endTurn();
    order.length = 0;
    // It would be granted to "c", which goes away and asks again before the turn ends.
    loop.dispatch({ kind: "released", attachment: attachment("a") });
    loop.cancel(attachment("c"), { kind: "not-ready", reason: "it was deleted" });
    const again = loop.acquire({ ...REQUEST, attachment: attachment("c") });
    endTurn();
    expect([await gone, await again].map(({ ok }) => ok)).toEqual([false, true]);
    expect(order.filter((line) => line.startsWith("write"))).toEqual(["write put-cooldown"]);
    const states = [...(loop.pool().enis.get(0)?.addresses.values() ?? [])];
    expect(states.map(({ kind }) => kind)).toEqual(["used", "used"]);
    loop[Symbol.dispose]();
  });

  it("ends the wait of a pod that was deleted, and of all when it stops", async () => {
    const { loop } = openLab();
    const deadlineMs = performance.now() + 60_000;
    for (const id of ["a", "b"]) await loop.acquire({ attachment: attachment(id), deadlineMs, leaseOf });
    const [deleted, stopped] = ["c", "d"].map((id) =>
      loop.acquire({ attachment: attachment(id), deadlineMs, leaseOf }),
    );
    expect(loop.pool().waiting).toHaveLength(2);
    const fault: Fault = { kind: "not-ready", reason: "it was deleted" };
    loop.cancel(attachment("nobody"), fault);
    loop.cancel(attachment("c"), fault);
    expect(await deleted).toEqual({ ok: false, fault });
    expect(loop.pool().waiting).toHaveLength(1);
    loop[Symbol.dispose]();
    expect(await stopped).toMatchObject({
      ok: false,
      fault: { kind: "not-ready", reason: "it is stopping" },
    });
    expect(await loop.commit([])).toMatchObject({ ok: false, fault: { kind: "not-ready" } });
  });
});
