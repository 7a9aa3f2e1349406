import { describe, expect, it } from "vitest";
import { type CallReport } from "../sim/model/calls.ts";
import { callsBetween, describeCalls } from "./call-counts.ts";

function report(totals: Readonly<Record<string, number>>): CallReport {
  const entries = Object.entries(totals).map(
    ([action, calls]) => [action, { calls, refused: 0, throttled: 0, lost: 0 }] as const,
  );
  return { totals: Object.fromEntries(entries), seconds: [], recent: [] };
}

describe("callsBetween()", () => {
  it("counts what came, OpenAPI and metadata apart", () => {
    const before = report({ DescribeVSwitches: 1, Metadata: 5, MetadataToken: 1 });
    const after = report({
      DescribeVSwitches: 1,
      AssignPrivateIpAddresses: 2,
      Metadata: 7,
      MetadataToken: 2,
    });
    const calls = callsBetween(before, after);
    expect(calls).toEqual({ openApi: 2, metadata: 3, actions: { AssignPrivateIpAddresses: 2 } });
    expect(describeCalls(calls)).toBe("2 AssignPrivateIpAddresses");
  });

  it("is zero where nothing came", () => {
    const same = report({ DescribeVSwitches: 1, Metadata: 5 });
    expect(callsBetween(same, same)).toEqual({ openApi: 0, metadata: 0, actions: {} });
    expect(describeCalls(callsBetween(same, same))).toBe("none");
  });
});
