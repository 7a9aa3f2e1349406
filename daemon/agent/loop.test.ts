import { describe, expect, it, vi } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { type StoreChange } from "../store/schema.ts";
import { type Happening } from "./loop.ts";
import { attachment, openLab as lab, VIEW } from "./test-lab.ts";

const leaseOf = (): StoreChange => ({ kind: "put-cooldown", address: "lease", untilMs: 0 });

describe("startLoop()", () => {
  it("has the lease on disk before the one who asked hears of the address", async () => {
    const { loop, order } = lab();
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
    const { loop, failWrites } = lab();
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
    const { loop, failWrites } = lab();
    const happening: Happening = { kind: "released", attachment: attachment("a") };
    await loop.acquire({ attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf });
    failWrites(true);
    expect(loop.dispatch(happening).ok).toBe(false);
    failWrites(false);
    await vi.advanceTimersByTimeAsync(1500);
    expect(loop.pool().enis.get(0)?.addresses.get(VIEW.primary)?.kind).toBe("idle");
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("tells the one who waits for an address why it cannot be had, where that cannot be written", async () => {
    vi.useFakeTimers();
    const { loop, failWrites } = lab();
    const deadlineMs = performance.now() + 60_000;
    for (const id of ["a", "b"]) await loop.acquire({ attachment: attachment(id), deadlineMs, leaseOf });
    const waiting = loop.acquire({ attachment: attachment("c"), deadlineMs, leaseOf });
    failWrites(true);
    expect(loop.dispatch({ kind: "released", attachment: attachment("a") }).ok).toBe(false);
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
    const { loop, failWrites } = lab();
    await loop.acquire({ attachment: attachment("a"), deadlineMs: performance.now() + 1000, leaseOf });
    failWrites(true);
    const happening: Happening = { kind: "released", attachment: attachment("a") };
    expect(loop.dispatch(happening, [{ kind: "delete-lease", ...attachment("a") }]).ok).toBe(false);
    failWrites(false);
    await vi.advanceTimersByTimeAsync(5000);
    expect(loop.pool().enis.get(0)?.addresses.get(VIEW.primary)?.kind).toBe("used");
    loop[Symbol.dispose]();
    vi.useRealTimers();
  });

  it("ends the wait of a pod that was deleted, and of all when it stops", async () => {
    const { loop } = lab();
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
    expect(loop.dispatch({ kind: "ticked" })).toMatchObject({ ok: false, fault: { kind: "not-ready" } });
  });
});
