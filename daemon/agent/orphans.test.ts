import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eniId, type InstanceId, instanceId } from "../../proto/ids.ts";
import { failed, ok } from "../../proto/result.ts";
import { type CloudFailure, type EniView, type InstanceView } from "../core/cloud.ts";
import { tagsOfInstance } from "../core/eni-tags.ts";
import { openLog } from "./log.ts";
import { keepOrphansAway } from "./orphans.ts";
import { openLab, VIEW } from "./test-lab.ts";
import { SYSTEM_TIMERS } from "./timers.ts";

const US = instanceId("i-1");
const DEAD = instanceId("i-dead");
const HOUR_MS = 3_600_000;
const ORPHAN: EniView = orphanOf(DEAD);

function orphanOf(owner: InstanceId): EniView {
  const { instance: _, ...free } = VIEW;
  return { ...free, id: eniId("eni-left"), status: "Available", tags: tagsOfInstance(owner) };
}

let views: readonly EniView[];
let known: Set<InstanceId>;
let calls: string[];
let stop: Disposable;

beforeEach(() => {
  vi.useFakeTimers();
  [views, known, calls] = [[], new Set([US]), []];
  const { loop } = openLab();
  stop = keepOrphansAway({
    cloud: {
      describeEnis() {
        calls.push("list");
        return Promise.resolve(ok(views));
      },
      describeInstance(instance) {
        calls.push(`ask ${instance}`);
        return Promise.resolve(known.has(instance) ? ok(viewOf(instance)) : failed(GONE));
      },
      deleteEni(eni) {
        calls.push(`delete ${eni}`);
        return Promise.resolve(ok(undefined));
      },
    },
    instance: US,
    pool: loop.pool,
    quarantineMs: 600_000,
    timers: SYSTEM_TIMERS,
    seed: 1,
    log: openLog("silent"),
    onBug: (error) => calls.push(String(error)),
  });
});

afterEach(() => {
  stop[Symbol.dispose]();
  vi.useRealTimers();
});

const GONE: CloudFailure = {
  class: "gone",
  effect: "none",
  fault: { kind: "internal", reason: "no such instance" },
};

function viewOf(id: InstanceId): InstanceView {
  return { id, type: "t", zone: "z", vpc: "v", vSwitch: VIEW.vSwitch, securityGroups: [] };
}

describe("keepOrphansAway()", () => {
  it("makes one call an hour in peace", async () => {
    await vi.advanceTimersByTimeAsync(100 * HOUR_MS);
    expect(new Set(calls)).toEqual(new Set(["list"]));
    expect(calls.length).toBeGreaterThanOrEqual(66);
    expect(calls.length).toBeLessThanOrEqual(101);
  });

  it("deletes the ENI of a dead instance after the quarantine", async () => {
    views = [ORPHAN];
    await vi.advanceTimersByTimeAsync(600_000);
    expect(calls).toEqual(["list", "ask i-1", "ask i-dead"]);
    await vi.advanceTimersByTimeAsync(900_000);
    expect(calls.slice(3)).toEqual(["list", "ask i-1", "ask i-dead", "delete eni-left"]);
  });

  it("believes no cloud that does not even know this instance", async () => {
    views = [ORPHAN];
    known.clear();
    await vi.advanceTimersByTimeAsync(4 * HOUR_MS);
    expect(calls.filter((call) => call.startsWith("delete"))).toEqual([]);
  });

  it("asks nobody about its own", async () => {
    views = [orphanOf(US)];
    await vi.advanceTimersByTimeAsync(1_500_000);
    expect(calls).toEqual(["list", "list", "delete eni-left"]);
  });

  it("does nothing after disposal", async () => {
    stop[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(calls).toEqual([]);
  });
});
