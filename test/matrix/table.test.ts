import { describe, expect, it } from "vitest";
import { CELL_NAMES, type CellName, formatMatrix, type Row, type Verdict } from "./table.ts";

function row(stack: Row["stack"], changes: Partial<Record<CellName, Verdict>>): Row {
  const passed = CELL_NAMES.map((cell): [CellName, Verdict] => [cell, { kind: "passed" }]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every cell is there
  const cells = { ...Object.fromEntries(passed), ...changes } as Record<CellName, Verdict>;
  return { datapath: "veth", stack, result: { kind: "tried", cells, tookMs: 1 } };
}

describe("formatMatrix()", () => {
  it("shows every row and cell, and each reason once", () => {
    const impossible: Verdict = { kind: "impossible", why: "no IPv6" };
    const text = formatMatrix([
      row("v4", { Service: { kind: "failed", why: "no answer from 172.21.0.1" } }),
      row("v6", { "same node": impossible }),
      row("dual", { "same node": impossible }),
      { datapath: "ipvlan", stack: "v4", result: { kind: "not-tried", why: "no ipvlan here" } },
    ]);
    expect(text.split("\n")).toEqual([
      "datapath        same node  other ENI  other node  other subnet  node to pod  pod to node  Service  local DNS  outside  spoofed  above MTU",
      "veth      v4    ok         ok         ok          ok            ok           ok           FAILED   ok         ok       ok       ok",
      "veth      v6    -          ok         ok          ok            ok           ok           ok       ok         ok       ok       ok",
      "veth      dual  -          ok         ok          ok            ok           ok           ok       ok         ok       ok       ok",
      "ipvlan    v4    not tried: no ipvlan here",
      "veth v4 Service failed: no answer from 172.21.0.1",
      "veth v6 same node, veth dual same node impossible: no IPv6",
      "",
    ]);
  });
});
