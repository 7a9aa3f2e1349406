import { describe, expect, it } from "vitest";
import { type Findings } from "./figures.ts";
import { renderFindings } from "./render.ts";

const FINDINGS: Findings = {
  startedAt: "2026-01-02T03:04:05.000Z",
  quick: true,
  machine: { cpu: "CPU", cores: 2, kernel: "6.18", node: "v26" },
  rows: [
    {
      kind: "comparison",
      row: "ADD",
      contenders: [
        { name: "ours", samples: [10, 12, 11] },
        { name: "ptp", samples: [20, 22, 24] },
      ],
      upstream: 5.5,
    },
    {
      kind: "figure",
      row: "first",
      what: "own time",
      unit: "ms",
      samples: [60.4],
      upstream: 750,
      target: 50,
    },
    {
      kind: "figure",
      row: "first",
      what: "OpenAPI calls",
      unit: "calls",
      samples: [0],
      upstream: 0,
      target: 0,
      note: "none",
    },
  ],
};

describe("renderFindings()", () => {
  it("shows medians, ratios to ours, targets that were missed, and notes", () => {
    expect(renderFindings(FINDINGS).split("\n")).toEqual([
      "CPU, 2 cores, Linux 6.18, Node v26, 2026-01-02T03:04:05.000Z",
      "Quick run: few samples, do not compare with others.",
      "",
      "IN TURN, IN THIS RUN (ms)  WHO                           N  P50  P90  MIN  OURS/THIS",
      "ADD                        ours                          3   11   12   10       1.00",
      "                           ptp                           3   22   24   20       0.50",
      "                           upstream, measured elsewhere     5.5                 2.00",
      "",
      "OURS                  UNIT   N  P50   P90  UPSTREAM*  OURS/UPSTREAM  TARGET  REACHED",
      "first  own time       ms     1  60.4             750           0.08  <= 50   NO",
      "       OpenAPI calls  calls  1     0               0                 <= 0    yes",
      "",
      "* upstream, measured elsewhere: Terway (Go) 89aadf8, legacy mode, on another simulated cloud with the same delays",
      "  first, OpenAPI calls: none",
      "",
    ]);
  });
});
