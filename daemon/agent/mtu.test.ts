import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { openMtu } from "./mtu.ts";
import { BROKEN, openPodsLab, podCall } from "./pods-lab.ts";
import { openLab } from "./test-lab.ts";

function elapsedMs(): number {
  return 0;
}

describe("openMtu()", () => {
  const kernel = { mtuOf: async (ifIndex: number) => ok(1000 + ifIndex) };

  it("asks the device where nothing is configured, and nobody where something is", async () => {
    const pool = openLab().loop.pool();
    const [automatic, configured] = [
      openMtu({ wanted: undefined, kernel, elapsedMs }),
      openMtu({ wanted: 8500, kernel, elapsedMs }),
    ];
    expect(await automatic.ofDevice(7)).toEqual(ok(1007));
    expect(await automatic.ofSlot(0, pool)).toEqual(ok(1007));
    expect(await automatic.ofSlot(3, pool)).toEqual(
      failed({ kind: "not-ready", reason: "the ENI of slot 3 does not serve yet" }),
    );
    expect(await configured.ofDevice(7)).toEqual(ok(8500));
    expect(await configured.ofSlot(3, pool)).toEqual(ok(8500));
  });

  it("asks again when five seconds have passed, and when the last answer was none", async () => {
    const pool = openLab().loop.pool();
    const [answers, asked] = [[ok(1500), ok(1400), failed(BROKEN), ok(1300)], [] as number[]];
    let nowMs = 10;
    const { ofSlot } = openMtu({
      wanted: undefined,
      kernel: {
        async mtuOf() {
          asked.push(nowMs);
          return answers.shift() ?? failed(BROKEN);
        },
      },
      elapsedMs: () => nowMs,
    });
    const given: unknown[] = [];
    for (nowMs of [10, 5009, 5010, 10_010, 10_011]) given.push(await ofSlot(0, pool));
    expect(asked).toEqual([10, 5010, 10_010, 10_011]);
    expect(given).toEqual([ok(1500), ok(1500), ok(1400), failed(BROKEN), ok(1300)]);
  });

  it("is what the result of ADD says", async () => {
    const { pods } = openPodsLab([], "ipv4", 1400);
    expect(await pods.add(podCall("a"))).toMatchObject({
      value: { result: { interfaces: [{ mtu: 1400 }, { mtu: 1400 }] } },
    });
  });
});
