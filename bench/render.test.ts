import { describe, expect, it } from "vitest";
import { type Findings } from "./figures.ts";
import { renderFindings } from "./render.ts";

const FINDINGS: Findings = {
  startedAt: "2026-01-02T03:04:05.000Z",
  quick: true,
  machine: { cpu: "CPU", cores: 2, memoryGb: 8, system: "Debian 12", kernel: "6.18", node: "v26" },
  load: { before: 0.12, after: 1.98 },
  rows: [
    {
      kind: "comparison",
      row: "ADD",
      unit: "ms",
      contenders: [
        { name: "ours", samples: [10, 12, 11] },
        { name: "ptp", samples: [20, 22, 24], target: 0.3 },
      ],
      upstream: 5.5,
    },
    {
      kind: "comparison",
      row: "path",
      unit: "packets/s",
      paired: true,
      contenders: [
        { name: "ours", samples: [90, 180] },
        { name: "plain", samples: [100, 200], atLeast: 0.9 },
        { name: "other", samples: [90, 200], atLeast: 0.95 },
      ],
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
      "CPU, 2 cores, 8 GB, Debian 12, Linux 6.18, Node v26, load 0.1 before and 2.0 after, 2026-01-02T03:04:05.000Z",
      "Quick run: few samples, do not compare with others.",
      "",
      "IN TURN, IN THIS RUN  WHO                           UNIT       N  P50   P90  P99  MIN  OURS/THIS  TARGET   REACHED",
      "ADD                   ours                          ms         3    11   12   12   10       1.00",
      "                      ptp                           ms         3    22   24   24   20       0.50  <= 0.3   NO",
      "                      upstream, measured elsewhere  ms            5.50                      2.00",
      "path                  ours                          packets/s  2    90  180  180   90       1.00",
      "                      plain                         packets/s  2   100  200  200  100       0.90  >= 0.9   yes",
      "                      other                         packets/s  2    90  200  200   90       0.90  >= 0.95  NO",
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
