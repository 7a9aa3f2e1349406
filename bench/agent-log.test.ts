import { describe, expect, it } from "vitest";
import { phasesOf, totalMs } from "./agent-log.ts";

describe("phasesOf()", () => {
  it("takes the times of pods and passes over everything else", () => {
    const log = [
      "(node:1) Warning: something",
      '{"level":30,"msg":"pod attached","waitedMs":0.4,"kernelMs":3.1}',
      '{"level":30,"msg":"serving","waitedMs":9}',
      '{"level":30,"msg":"pod detached","tookMs":21.5}',
      '{"level":30,"msg":"pod attached","waitedMs":0.2,"kernelMs":2.9,"timing":{"wait":0.1,"store":0.2,"netlink":2.8,"total":3.1}}',
      '{"cut off',
    ].join("\n");
    expect(phasesOf(log)).toEqual({
      waitedMs: [0.4, 0.2],
      kernelMs: [3.1, 2.9],
      detachMs: [21.5],
      timing: [{ wait: 0.1, store: 0.2, netlink: 2.8, total: 3.1 }],
    });
  });
});

describe("totalMs()", () => {
  it("adds the phases of each ADD", () => {
    expect(totalMs({ waitedMs: [1, 2], kernelMs: [10, 20] })).toEqual([11, 22]);
  });
});
