import { describe, expect, it } from "vitest";
import { type CallReport } from "../../sim/model/calls.ts";
import { aboveBudget, callsSince } from "./calls.ts";

const NONE = { refused: 0, throttled: 0, lost: 0 };

function logOf(action: string, perSecond: readonly number[]): Pick<CallReport, "seconds"> {
  return { seconds: perSecond.map((calls, second) => ({ second, action, calls, ...NONE })) };
}

function totalsOf(calls: Readonly<Record<string, number>>): CallReport {
  const totals = Object.entries(calls).map(([action, count]) => [action, { calls: count, ...NONE }] as const);
  return { totals: Object.fromEntries(totals), seconds: [], recent: [] };
}

describe("aboveBudget()", () => {
  it("lets a burst of ten pass, and then one call a second", () => {
    expect(aboveBudget(logOf("CreateNetworkInterface", [11, 1, 1, 1]), 0)).toEqual([]);
    expect(aboveBudget(logOf("CreateNetworkInterface", [1, 1, 1, 11]), 0)).toEqual([]);
  });

  it("finds the worst window of each action", () => {
    expect(aboveBudget(logOf("CreateNetworkInterface", [12, 1]), 0)).toEqual([
      "CreateNetworkInterface: 12 calls in 1 s",
    ]);
    expect(aboveBudget(logOf("DescribeVSwitches", [0, 9, 2, 2, 0, 0]), 0)).toEqual([]);
    expect(aboveBudget(logOf("DescribeVSwitches", [0, 11, 2, 2, 0, 0]), 0)).toEqual([
      "DescribeVSwitches: 15 calls in 3 s",
    ]);
    expect(
      aboveBudget(
        logOf(
          "AttachNetworkInterface",
          Array.from({ length: 30 }, () => 2),
        ),
        1,
      ),
    ).toEqual(["AttachNetworkInterface: 60 calls in 30 s"]);
  });

  it("does not count the metadata service", () => {
    expect(aboveBudget(logOf("Metadata", [100]), 0)).toEqual([]);
  });
});

describe("callsSince()", () => {
  it("tells what was called meanwhile", () => {
    expect(callsSince(totalsOf({ a: 2, b: 1 }), totalsOf({ a: 2, b: 4, c: 1 }))).toEqual({ b: 3, c: 1 });
  });
});
