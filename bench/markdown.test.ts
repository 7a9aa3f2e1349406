import { describe, expect, it } from "vitest";
import { type Findings } from "./figures.ts";
import { withFigures } from "./markdown.ts";

const FINDINGS: Findings = {
  startedAt: "2026-01-02T03:04:05.000Z",
  quick: false,
  machine: { cpu: "CPU", cores: 2, memoryGb: 8, system: "Debian 12", kernel: "6.18", node: "v26" },
  load: { before: 0, after: 1 },
  rows: [
    {
      kind: "comparison",
      row: "ADD",
      unit: "ms",
      contenders: [
        { name: "ours", samples: [5] },
        { name: "a|b", samples: [20], target: 0.3 },
      ],
    },
    { kind: "absent", row: "sandboxes", why: "no containerd" },
  ],
};

describe("withFigures()", () => {
  it("puts tables between the marks and leaves the rest", () => {
    const document = "# Title\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nrest\n";
    const written = withFigures(document, [FINDINGS]);
    expect(written.split("\n")).toEqual([
      "# Title",
      "",
      "<!-- figures: begin -->",
      "",
      "CPU, 2 cores, 8 GB, Debian 12, Linux 6.18, Node v26, load 0.0 before and 1.0 after, 2026-01-02T03:04:05.000Z",
      "",
      "| in turn, in this run | who | unit | n | p50 | p90 | p99 | min | ours/this | target | reached |",
      "|---|---|---|---|---|---|---|---|---|---|---|",
      "| ADD | ours | ms | 1 | 5 | 5 | 5 | 5 | 1.00 |  |  |",
      String.raw`|  | a\|b | ms | 1 | 20 | 20 | 20 | 20 | 0.25 | ≤ 0.3 | yes |`,
      "",
      "- sandboxes: not measured on this machine: no containerd",
      "",
      "<!-- figures: end -->",
      "rest",
      "",
    ]);
    expect(withFigures(written, [FINDINGS])).toBe(written);
  });

  it("throws for a document without marks", () => {
    expect(() => withFigures("# Title\n", [FINDINGS])).toThrow("lacks");
  });
});
