import { describe, expect, it } from "vitest";
import { failed, ok } from "../../proto/result.ts";
import { openMtu } from "./mtu.ts";
import { openPodsLab, podCall } from "./pods-lab.ts";
import { openLab } from "./test-lab.ts";

describe("openMtu()", () => {
  const kernel = { mtuOf: async (ifIndex: number) => ok(1000 + ifIndex) };

  it("asks the device where nothing is configured, and nobody where something is", async () => {
    const pool = openLab().loop.pool();
    const [automatic, configured] = [openMtu(undefined, kernel), openMtu(8500, kernel)];
    expect(await automatic.ofDevice(7)).toEqual(ok(1007));
    expect(await automatic.ofSlot(0, pool)).toEqual(ok(1007));
    expect(await automatic.ofSlot(3, pool)).toEqual(
      failed({ kind: "not-ready", reason: "the ENI of slot 3 does not serve yet" }),
    );
    expect(await configured.ofDevice(7)).toEqual(ok(8500));
    expect(await configured.ofSlot(3, pool)).toEqual(ok(8500));
  });

  it("is what the result of ADD says", async () => {
    const { pods } = openPodsLab([], "ipv4", 1400);
    expect(await pods.add(podCall("a"))).toMatchObject({
      value: { result: { interfaces: [{ mtu: 1400 }, { mtu: 1400 }] } },
    });
  });
});
