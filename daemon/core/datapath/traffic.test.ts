import { describe, expect, it } from "vitest";
import { describeTraffic, ifbName, ifbOf, limitedIndex, planSlaveLimits, planVethLimits } from "./traffic.ts";

const RATE = { bitsPerSecond: 10_000_000, burstBytes: 0 };
const SLOW = { bitsPerSecond: 8_000_000, burstBytes: 0 };
const HOST = {
  place: "node",
  device: { name: "tw0123456789abc", ifIndex: 20_000 },
  mtu: 1400,
  group: 21_504,
} as const;
const SLAVE = { place: "pod", device: { name: "eth0", ifIndex: 20_001 }, mtu: 1400, group: 0 } as const;

describe("planVethLimits()", () => {
  it("limits both directions where the pod cannot reach", () => {
    const plan = planVethLimits(HOST, { ingress: RATE, egress: SLOW });
    expect(plan.map(describeTraffic)).toEqual([
      "qdisc tbf dev tw0123456789abc root handle 5457: rate 10000000bit burst 12500b limit 43750b",
      "link ti0123456789abc index 85536 type ifb mtu 1400 group 21504",
      "qdisc tbf dev ti0123456789abc root handle 5457: rate 8000000bit burst 10000b limit 35000b",
      "qdisc clsact dev tw0123456789abc",
      "filter dev tw0123456789abc ingress pref 21591 protocol all u32 match u32 0 0 action mirred egress redirect dev ti0123456789abc",
    ]);
    expect(plan.map(({ place }) => place)).toEqual(plan.map(() => "node"));
  });

  it("has nothing for a direction without a limit", () => {
    expect(planVethLimits(HOST, {})).toEqual([]);
    expect(planVethLimits(HOST, { ingress: RATE }).map(({ kind }) => kind)).toEqual(["bucket"]);
    expect(planVethLimits(HOST, { egress: RATE }).map(({ kind }) => kind)).toEqual([
      "ifb",
      "bucket",
      "clsact",
      "filter",
    ]);
  });
});

describe("planSlaveLimits()", () => {
  it("has the directions the other way round: what the device sends is from the pod", () => {
    expect(planSlaveLimits(SLAVE, { egress: SLOW, ingress: RATE }).map(describeTraffic)).toEqual([
      "qdisc tbf dev eth0 root handle 5457: rate 8000000bit burst 10000b limit 35000b",
      "link ti-eth0 index 85537 type ifb mtu 1400 group 0",
      "qdisc tbf dev ti-eth0 root handle 5457: rate 10000000bit burst 12500b limit 43750b",
      "qdisc clsact dev eth0",
      "filter dev eth0 ingress pref 21591 protocol all u32 match u32 0 0 action mirred egress redirect dev ti-eth0",
    ]);
  });
});

describe("ifbOf()", () => {
  it("has a name that fits, and an index that leads back", () => {
    const ifb = ifbOf(HOST.device);
    expect(limitedIndex(ifb.ifIndex)).toBe(HOST.device.ifIndex);
    expect(limitedIndex(HOST.device.ifIndex)).toBeUndefined();
    expect(ifbName("a-name-of-15-by")).toHaveLength(15);
  });
});
