import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { parseIpv4 } from "../../proto/addr.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { failed, ok } from "../../proto/result.ts";
import { type MetadataEni } from "../core/metadata.ts";
import { openLog } from "./log.ts";
import { type Happening } from "./turn.ts";
import { keepReconciled } from "./reconcile.ts";
import { openLab, VIEW } from "./test-lab.ts";

const CIDR = parseCidr("10.0.0.0/24") ?? expect.fail("CIDR");
const STRAY = parseIpv4("10.0.0.10") ?? expect.fail("address");

describe("keepReconciled()", () => {
  it("looks after a second and then each minute, one look after the other, and ends when it is closed", async () => {
    const { loop } = openLab();
    const happened: Happening[] = [];
    const pauses: number[] = [];
    let wake: (() => void) | undefined;
    let [shows, looks]: [readonly MetadataEni[] | undefined, number] = [undefined, 0];
    const kept = keepReconciled({
      kernel: {
        podTraces: async () => ok([{ address: STRAY, hostName: "twx" }]),
        eniSlots: async () => ok([0]),
        forgetEni: () => expect.fail("slot 0 has an ENI"),
      },
      metadata: {
        async enis() {
          looks += 1;
          if (shows === undefined) return failed({ kind: "metadata", path: "", reason: "HTTP 500" });
          return ok(shows);
        },
      },
      primaryMac: VIEW.mac,
      loop: { pool: loop.pool, dispatch: (happening) => happened.push(happening) },
      timers: {
        elapsedMs: () => looks * 60_000,
        after(ms, run) {
          pauses.push(ms);
          wake = run;
          return { [Symbol.dispose]: () => (wake = undefined) };
        },
        atTurnEnd: (run) => setImmediate(run),
      },
      log: openLog("silent"),
      onBug: (error) => expect.fail(String(error)),
    });
    const next = async (): Promise<void> => {
      for (let turns = 0; turns < 5; turns += 1) await turn();
      const run = wake;
      wake = undefined;
      run?.();
      for (let turns = 0; turns < 5; turns += 1) await turn();
    };
    await next();
    const { id, mac, vSwitch, primary } = VIEW;
    shows = [{ id, mac, vSwitch, cidr: CIDR, primary, addresses: [primary], addresses6: [] }];
    await next();
    await next();
    expect(pauses).toEqual([1_000, 60_000, 60_000, 60_000]);
    const held = { kind: "reconciled", hold: [STRAY], ask: [], survey: false };
    // What the metadata service lacks is asked of the API when it lacks it twice.
    const asked = { kind: "reconciled", hold: [], ask: [id], survey: false };
    expect(happened).toEqual([held, held, held, asked]);
    kept[Symbol.dispose]();
    const before = looks;
    await next();
    expect(looks).toBe(before);
  });
});
