import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type IpAddress, parseIp } from "../../proto/addr6.ts";
import { type LeaseRow } from "../store/schema.ts";
import { type Drift, openDrift } from "./drift.ts";
import { SYSTEM_TIMERS } from "./timers.ts";

let drift: Drift;
let done: string[];

function leaseOf(last: number): LeaseRow {
  return {
    network: "n",
    containerId: `c${last}`,
    ifName: "eth0",
    address: `10.0.0.${last}`,
    address6: "",
    stack: "ipv4",
    slot: 0,
    state: "done",
    hostName: `tw${last}`,
    netns: "/n",
    pod: "",
    hostMac: "",
    podMac: "",
  };
}

const LEASES = [1, 2, 3].map(leaseOf);

function ip(text: string): IpAddress {
  return parseIp(text) ?? expect.fail(text);
}

beforeEach(() => {
  vi.useFakeTimers();
  done = [];
  drift = openDrift({
    pods: {
      async mendSuspects(isSuspect) {
        done.push(...LEASES.filter(isSuspect).map(({ hostName }) => `mend ${hostName}`));
      },
    },
    status: { suspect: (pods) => done.push(pods ? "look at all" : "look at the node") },
    timers: SYSTEM_TIMERS,
    onBug: (error) => done.push(String(error)),
  });
});

afterEach(() => {
  drift[Symbol.dispose]();
  vi.useRealTimers();
});

describe("openDrift()", () => {
  it("looks at the pods that were changed, once for all that was heard of them", async () => {
    drift.suspect({ kind: "pod", address: ip("10.0.0.2") });
    drift.suspect({ kind: "pod", address: ip("10.0.0.2") });
    drift.suspect({ kind: "pod", address: ip("10.0.0.99") });
    await vi.advanceTimersByTimeAsync(200);
    expect(done).toEqual(["mend tw2"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(done).toEqual(["mend tw2"]);
  });

  it("minds a device that is up and has its name no more than any other", async () => {
    for (const [last, hostName, isUp] of [
      [1, "tw1", true],
      [2, "other0", true],
      [3, "tw3", false],
    ] as const)
      drift.suspect({ kind: "pod", address: ip(`10.0.0.${last}`), link: { hostName, isUp } });
    await vi.advanceTimersByTimeAsync(200);
    expect(done).toEqual(["mend tw2", "mend tw3"]);
  });

  it("looks at what hangs on a device although the device is well", async () => {
    drift.suspect({ kind: "pod", address: ip("10.0.0.1") });
    drift.suspect({ kind: "pod", address: ip("10.0.0.1"), link: { hostName: "tw1", isUp: true } });
    await vi.advanceTimersByTimeAsync(200);
    expect(done).toEqual(["mend tw1"]);
  });

  it("looks at all once where anything may have changed", async () => {
    drift.suspect({ kind: "node" });
    drift.suspect({ kind: "all" });
    drift.suspect({ kind: "node" });
    drift.suspect({ kind: "pod", address: ip("10.0.0.1") });
    await vi.advanceTimersByTimeAsync(200);
    expect(done).toEqual(["look at all"]);
  });

  it("looks once a second in a flood, and at all where too many pods are concerned", async () => {
    for (let tenth = 0; tenth < 50; tenth++) {
      drift.suspect({ kind: "node" });
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(done.length).toBeGreaterThanOrEqual(4);
    expect(done.length).toBeLessThanOrEqual(6);
    done = [];
    for (let nth = 0; nth <= 1000; nth++)
      drift.suspect({ kind: "pod", address: ip(`10.1.${nth >> 8}.${nth & 255}`) });
    await vi.advanceTimersByTimeAsync(2000);
    expect(done).toEqual(["look at all"]);
  });

  it("does nothing after disposal", async () => {
    drift.suspect({ kind: "all" });
    drift[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(5000);
    expect(done).toEqual([]);
  });
});
