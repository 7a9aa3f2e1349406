import { describe, expect, it } from "vitest";
import { parseRollup } from "./memory.ts";

describe("parseRollup()", () => {
  it("reads Rss and Pss, not their parts", () => {
    const text = [
      "00400000-7ffd0000 ---p 00000000 00:00 0                          [rollup]",
      "Rss:              125000 kB",
      "Pss:               62500 kB",
      "Pss_Dirty:         10000 kB",
      "",
    ].join("\n");
    expect(parseRollup(text)).toEqual({ rssMb: 128, pssMb: 64 });
  });

  it("refuses another file", () => {
    expect(() => parseRollup("VmRSS: 1 kB\n")).toThrow("smaps_rollup has no line Rss");
  });
});
