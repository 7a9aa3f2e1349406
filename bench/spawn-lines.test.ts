import { describe, expect, it } from "vitest";
import { endedAfterMs, formatProgram, parseSpawned, tookMs } from "./spawn-lines.ts";

const PROGRAM = {
  netns: "/run/netns/a",
  stdinPath: "/tmp/conf",
  argv: ["/bin/echo", "a b"],
  env: { CNI_COMMAND: "ADD", CNI_IFNAME: "eth0" },
};

describe("formatProgram()", () => {
  it("separates fields by tabs, and the environment by --", () => {
    expect(formatProgram(PROGRAM)).toBe(
      "/run/netns/a\t/tmp/conf\t/bin/echo\ta b\t--\tCNI_COMMAND=ADD\tCNI_IFNAME=eth0",
    );
  });

  it("refuses what would read as something else", () => {
    for (const argv of [
      ["/bin/echo", "a\tb"],
      ["/bin/echo", "a\nb"],
      ["/bin/echo", "--"],
    ])
      expect(() => formatProgram({ ...PROGRAM, argv })).toThrow("cannot be a field");
  });
});

describe("parseSpawned()", () => {
  const text =
    '{"startedUs":1000,"endedUs":4000,"status":0,"peakKb":1500}\n{"startedUs":1500,"endedUs":2500,"status":0,"peakKb":900}\n';

  it("reads what the C program prints", () => {
    const spawned = parseSpawned(text);
    expect(spawned).toEqual([
      { startedUs: 1000, endedUs: 4000, status: 0, peakKb: 1500 },
      { startedUs: 1500, endedUs: 2500, status: 0, peakKb: 900 },
    ]);
    expect(tookMs(spawned)).toEqual([3, 1]);
    expect(endedAfterMs(spawned)).toEqual([1.5, 3]);
  });

  it("throws for anything else", () => {
    expect(() => parseSpawned("spawn: memory\n")).toThrow();
    expect(() => parseSpawned('{"startedUs":1}\n')).toThrow();
  });
});
