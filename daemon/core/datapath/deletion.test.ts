import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DELETION_BOUNDS, deletionDueMs } from "./deletion.ts";

const bounds = { gapMs: 50, latestMs: 500, linksMax: 64 };

describe("deletionDueMs()", () => {
  it("is never where there is nothing to delete", () => {
    expect(deletionDueMs({ count: 0, sinceMs: 0, busyMs: 0 }, bounds)).toBeUndefined();
  });

  it("is a gap after the last pod, but not later than the first link may wait, and at once for many", () => {
    expect(deletionDueMs({ count: 1, sinceMs: 1000, busyMs: 1000 }, bounds)).toBe(1050);
    expect(deletionDueMs({ count: 63, sinceMs: 1000, busyMs: 1449 }, bounds)).toBe(1499);
    expect(deletionDueMs({ count: 63, sinceMs: 1000, busyMs: 1480 }, bounds)).toBe(1500);
    expect(deletionDueMs({ count: 64, sinceMs: 1000, busyMs: 1480 }, bounds)).toBe(1000);
  });

  it("keeps no link waiting longer than the bounds, whatever comes and goes", () => {
    const times = fc.array(fc.record({ afterMs: fc.nat({ max: 200 }), dooms: fc.boolean() }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(times, (happenings) => {
        let [nowMs, count, sinceMs] = [0, 0, 0];
        let busyMs = 0;
        for (const { afterMs, dooms } of happenings) {
          // What a timer does that fires when it is due and looks again.
          const due = deletionDueMs({ count, sinceMs, busyMs }, bounds);
          const quiet = nowMs + afterMs;
          if (due !== undefined && due <= quiet) {
            const firedMs = Math.max(due, nowMs);
            expect(firedMs - sinceMs).toBeLessThanOrEqual(bounds.latestMs);
            count = 0;
          }
          nowMs = quiet;
          busyMs = nowMs;
          if (!dooms) continue;
          if (count === 0) sinceMs = nowMs;
          count += 1;
          expect(count).toBeLessThanOrEqual(bounds.linksMax);
        }
      }),
    );
  });

  it("is within 100 ms on a node where nothing happens", () => {
    const due = deletionDueMs({ count: 1, sinceMs: 0, busyMs: 0 }, DELETION_BOUNDS);
    expect(due).toBeLessThanOrEqual(100);
  });
});
