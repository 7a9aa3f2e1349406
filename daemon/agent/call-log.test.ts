import { describe, expect, it } from "vitest";
import { type CallRecord } from "../cloud/invoke.ts";
import { type CloudFailure } from "../core/cloud.ts";
import { openCallLog } from "./call-log.ts";

const CALL = {
  action: "CreateNetworkInterface",
  target: "vsw-1",
  priority: "pod",
  waitedMs: 0.4,
  tookMs: 100,
} as const satisfies CallRecord;

const UNREACHABLE: CloudFailure = {
  class: "again",
  effect: "none",
  fault: { kind: "cloud-unreachable", action: CALL.action, target: CALL.target, reason: "no connection" },
};

function refused(code: string): CloudFailure {
  const { action, target } = CALL;
  const rest = { message: "", requestId: "", remedy: "" };
  return { class: "again", effect: "none", fault: { kind: "cloud", action, target, code, ...rest } };
}

/** The messages of info that a sequence of calls leaves; a second passes before each. */
function saidOf(failures: readonly (CloudFailure | undefined)[]): unknown[] {
  const said: unknown[] = [];
  const log = {
    info: (facts: object, text: string) => void said.push([text, facts]),
    debug: () => undefined,
  };
  let nowMs = 0;
  const record = openCallLog(log, () => nowMs);
  for (const failure of failures) {
    nowMs += 1000;
    record({ ...CALL, ...(failure !== undefined && { failure }) });
  }
  return said;
}

const AGAIN = "the cloud answers again";

describe("openCallLog()", () => {
  it("says once that the cloud answers again, after how many calls and how long", () => {
    const said = saidOf([undefined, UNREACHABLE, refused("Throttling.User"), undefined, undefined]);
    expect(said.map((line) => (Array.isArray(line) ? line[0] : line))).toEqual([
      "cloud call failed",
      "cloud call failed",
      AGAIN,
    ]);
    expect(said.at(-1)).toEqual([AGAIN, { action: CALL.action, failures: 2, forMs: 2100 }]);
  });

  it("tells what failed, and why", () => {
    expect(saidOf([UNREACHABLE])).toEqual([["cloud call failed", { ...CALL, waitedMs: 0, ...UNREACHABLE }]]);
  });

  it("takes a refusal of the call itself for an answer", () => {
    const said = saidOf([refused("InvalidVSwitchId.IpNotEnough"), undefined]);
    expect(said).not.toContainEqual([AGAIN, expect.anything()]);
  });
});
