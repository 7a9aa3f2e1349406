import { describe, expect, it } from "vitest";
import { openReport } from "./report.ts";

describe("openReport()", () => {
  it("keeps what did not hold", () => {
    const written: string[] = [];
    const report = openReport((text) => written.push(text), false, new AbortController().signal);
    report.check(true, "one");
    report.check(false, "two");
    expect([written, report.failures()]).toEqual([["  ok    one\n", "  FAIL  two\n"], ["two"]]);
  });

  it("goes no further once it is stopped", () => {
    const stop = new AbortController();
    const report = openReport(() => undefined, false, stop.signal);
    report.section("before");
    stop.abort(new Error("stopped"));
    for (const say of [report.section, report.progress, report.line])
      expect(() => say("after")).toThrow("stopped");
    expect(() => report.check(true, "after")).toThrow("stopped");
  });
});
