import { describe, expect, it } from "vitest";
import { garbageCollector } from "./garbage.ts";

describe("garbageCollector()", () => {
  it("frees what nobody holds", async () => {
    let dropped: object | undefined = { large: new Uint8Array(1024) };
    const weak = new WeakRef(dropped);
    dropped = undefined;
    // A WeakRef holds its object to the end of the job that made it.
    await new Promise((resolve) => setImmediate(resolve));
    await garbageCollector()({ type: "major", execution: "async" });
    expect([dropped, weak.deref()]).toEqual([undefined, undefined]);
  });

  it("leaves the flag as it was, and is one for the thread", () => {
    expect(globalThis.gc).toBeUndefined();
    expect(garbageCollector()).toBe(garbageCollector());
  });
});
