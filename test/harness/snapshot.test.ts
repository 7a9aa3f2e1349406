import { describe, expect, it } from "vitest";
import { machineChanges, type Snapshot } from "./snapshot.ts";

function snapshot(netns: string, run: string): Snapshot {
  return { "ip netns": netns, "/var/run": run, "ip rule": "0: all" };
}

describe("machineChanges()", () => {
  it("tells what came and went, of namespaces only its own", () => {
    const before = snapshot("other-1\n", "lock");
    const after = { ...snapshot("other-2\ntw1-pod\n", "lock\nmine"), "ip rule": "" };
    expect(machineChanges(before, after, "tw1-")).toEqual([
      "ip netns: + tw1-pod | - ",
      "/var/run: + mine",
      "ip rule: +  | - 0: all",
    ]);
  });

  it("minds the directory of namespaces where it was alone, and only there", () => {
    expect(machineChanges(snapshot("", "lock"), snapshot("", "lock\nnetns"), "tw1-")).toEqual([
      "/var/run: + netns",
    ]);
    expect(machineChanges(snapshot("", "lock"), snapshot("other-1\n", "lock\nnetns"), "tw1-")).toEqual([]);
  });
});
