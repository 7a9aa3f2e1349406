import { describe, expect, it } from "vitest";
import { START_MS, cloudOf, create, attached, addressesOf, vSwitch } from "./test-cloud.ts";
import { type VirtualAnswer } from "./virtual-cloud.ts";

/** A run of which everything is drawn from the seed. */
function run(seed: number): unknown {
  const cloud = cloudOf({}, seed);
  attached(cloud);
  return [cloud.changes, cloud.model.state(cloud.nowMs())];
}

describe("createModel()", () => {
  it("has the primary ENI of each instance from the start, plugged in", () => {
    const cloud = cloudOf();
    const { enis, broken } = cloud.model.state(START_MS);
    expect(enis.map(({ type, status, owner, addresses }) => [type, status, owner, addresses])).toEqual([
      ["Primary", "InUse", "i-node-1", ["10.10.0.11"]],
      ["Primary", "InUse", "i-node-2", ["10.10.1.12"]],
    ]);
    expect(broken).toEqual([]);
    const [first] = enis;
    expect(cloud.changes.slice(0, 3)).toEqual([
      { op: "plug", eni: first?.id, instance: "i-node-1", mac: first?.mac },
      { op: "check-source", eni: first?.id, on: false },
      { op: "allow", eni: first?.id, address: "10.10.0.11" },
    ]);
    expect(cloud.model.instanceBySourceIp("10.10.1.12")).toBe("i-node-2");
  });

  it("does the same again with the same seed", () => {
    expect(run(5)).toEqual(run(5));
    expect(run(5)).not.toEqual(run(6));
  });
});

describe("addresses", () => {
  it("are assigned and unassigned one call at a time", () => {
    const cloud = cloudOf();
    const eni = attached(cloud);
    const wanted = { NetworkInterfaceId: eni, SecondaryPrivateIpAddressCount: "3" };
    const first = cloud.begin("AssignPrivateIpAddresses", wanted);
    const second = cloud.begin("AssignPrivateIpAddresses", wanted);
    cloud.pass(1000);
    expect([first()?.code, second()?.code]).toEqual(["", "Operation.Conflict"]);
    expect(cloud.call("AssignPrivateIpAddresses", wanted).code).toBe("");
    expect(addressesOf(cloud, eni)).toHaveLength(7);
    cloud.pass(400);
    const [primary, ...secondary] = addressesOf(cloud, eni);
    const gone = Object.fromEntries(
      secondary.slice(0, 2).map((address, index) => [`PrivateIpAddress.${index + 1}`, address]),
    );
    expect(cloud.call("UnassignPrivateIpAddresses", { NetworkInterfaceId: eni, ...gone }).code).toBe("");
    cloud.pass(400);
    expect(addressesOf(cloud, eni)).toEqual([primary, ...secondary.slice(2)]);
    const told = cloud.changes.flatMap((change) => (change.op === "revoke" ? [change.address] : []));
    expect(told.map(String).toSorted()).toEqual(secondary.slice(0, 2).toSorted());
    expect(
      cloud.call("UnassignPrivateIpAddresses", {
        NetworkInterfaceId: eni,
        "PrivateIpAddress.1": primary ?? "",
      }).code,
    ).toBe("InvalidIp.PrimaryIp");
  });

  it("run out with both codes, never in part, and come back", () => {
    const codes = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const cloud = cloudOf({}, seed);
      const all = { VSwitchId: "vsw-pods-h1" };
      expect(create(cloud, { ...all, SecondaryPrivateIpAddressCount: "9" }).code).toBe("");
      codes.add(create(cloud, { ...all, SecondaryPrivateIpAddressCount: "2" }).code);
      expect(vSwitch(cloud, "vsw-pods-h1")).toMatchObject({ used: 10, available: 2 });
      expect(create(cloud, { ...all, SecondaryPrivateIpAddressCount: "1" }).code).toBe("");
      expect(vSwitch(cloud, "vsw-pods-h1")).toMatchObject({ used: 12, available: 0 });
    }
    expect([...codes].toSorted()).toEqual(["InvalidVSwitchId.IpNotEnough", "QuotaExceeded.PrivateIpAddress"]);
  });

  it("of a drained vSwitch cannot be had, until it is refilled", () => {
    const cloud = cloudOf({ switches: { exhaustionCode: "QuotaExceeded" } });
    const id = cloud.model.topology.vSwitches[1]?.id;
    if (id === undefined) throw new Error("no vSwitch");
    expect(cloud.model.drain(id, 1)).toEqual({ ok: true, value: { available: 1 } });
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    expect(create(cloud).code).toBe("QuotaExceeded.PrivateIpAddress");
    cloud.call("DeleteNetworkInterface", { NetworkInterfaceId: eni });
    cloud.pass(10_000);
    expect(create(cloud).code).toBe("QuotaExceeded.PrivateIpAddress");
    cloud.model.drain(id, undefined);
    expect(create(cloud).code).toBe("");
  });
});

describe("ClientToken", () => {
  const token = { ClientToken: "t-1" };

  it("makes a call happen once, whatever the signature's parameters", () => {
    const cloud = cloudOf();
    const first = create(cloud, { ...token, SignatureNonce: "1", Timestamp: "x" });
    const again = create(cloud, { ...token, SignatureNonce: "2", Timestamp: "y" });
    expect(again.body).toEqual({ ...first.body, RequestId: again.body["RequestId"] });
    expect(again.body["RequestId"]).not.toBe(first.body["RequestId"]);
    expect(cloud.model.state(cloud.nowMs()).enis).toHaveLength(3);
    expect(create(cloud, { ...token, Description: "other" }).code).toBe("IdempotentParameterMismatch");
    cloud.pass(25 * 3_600_000);
    expect(create(cloud, { ...token, Description: "other" }).code).toBe("");
  });

  it("refuses a repetition while the first call is under way", () => {
    const cloud = cloudOf();
    const wanted = { VSwitchId: "vsw-pods-h2", SecurityGroupId: "sg-pods", ...token };
    const first = cloud.begin("CreateNetworkInterface", wanted);
    expect(cloud.call("CreateNetworkInterface", wanted).code).toBe("OperationConflict");
    cloud.pass(1000);
    expect(first()?.code).toBe("");
  });

  it("is forgotten where the call fails at its end, because others were faster", () => {
    const cloud = cloudOf();
    const all = { VSwitchId: "vsw-pods-h1", SecondaryPrivateIpAddressCount: "11" };
    const slow = cloud.model.addFault({ kind: "delay", delayMs: 2000, skip: 0, times: 1 });
    const late = cloud.begin("CreateNetworkInterface", { ...all, SecurityGroupId: "sg-pods", ...token });
    expect([slow, create(cloud, all).code]).toEqual(["fault-1", ""]);
    cloud.pass(3000);
    expect(late()?.status).toBeGreaterThanOrEqual(400);
    expect(create(cloud, { ...token, Description: "other" }).code).toBe("");
  });

  it("is forgotten where the call fails", () => {
    const cloud = cloudOf();
    const id = cloud.model.topology.vSwitches[1]?.id;
    if (id === undefined) throw new Error("no vSwitch");
    cloud.model.drain(id, 0);
    expect(create(cloud, token).status).toBeGreaterThanOrEqual(400);
    cloud.model.drain(id, undefined);
    expect(create(cloud, token).code).toBe("");
  });
});

describe("throttling", () => {
  it("refuses what is above the quota, and the next minute does not", () => {
    const cloud = cloudOf({ quotas: { DescribeVSwitches: 2 }, switches: { retryAfterHeader: true } });
    const call = (): VirtualAnswer => cloud.call("DescribeVSwitches");
    expect([call().code, call().code]).toEqual(["", ""]);
    const throttled = call();
    expect(throttled.code).toBe("Throttling.User");
    expect(Number(throttled.headers["x-acs-retry-after"])).toBeGreaterThan(55_000);
    expect(cloud.model.calls().totals["DescribeVSwitches"]).toEqual({
      calls: 3,
      refused: 0,
      throttled: 1,
      lost: 0,
    });
    expect(cloud.model.state(cloud.nowMs()).broken.map(({ invariant }) => invariant)).toEqual([
      "rate-exceeded",
    ]);
    cloud.pass(60_000);
    expect(call().code).toBe("");
  });
});
