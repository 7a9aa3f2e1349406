import { describe, expect, it } from "vitest";
import { parseOrder } from "./orders.ts";
import { NODE_1, cloudOf, order, create, attached, statusOf, vSwitch } from "./test-cloud.ts";

describe("faults", () => {
  it("error: refused so many times, for the calls that match", () => {
    const cloud = cloudOf();
    order(cloud, {
      kind: "error",
      action: "CreateNetworkInterface",
      code: "InternalError",
      times: 2,
      skip: 1,
      retryAfterMs: 7,
    });
    expect([
      create(cloud).code,
      create(cloud).code,
      create(cloud).headers["x-acs-retry-after"],
      create(cloud).code,
    ]).toEqual(["", "InternalError", "7", ""]);
    expect(cloud.model.faults()).toEqual([]);
    expect(vSwitch(cloud, "vsw-pods-h2")?.used).toBe(2);
  });

  it("html502, reset and hang have no effect; delay, holdReply and lostReply have", () => {
    const cloud = cloudOf({ latencies: { create: { minMs: 0, maxMs: 0 } } });
    order(cloud, { kind: "html502" });
    expect(create(cloud)).toMatchObject({ status: 502, code: "html502" });
    order(cloud, { kind: "reset" });
    expect(create(cloud).code).toBe("reset");
    order(cloud, { kind: "hang" });
    expect(() => create(cloud)).toThrow("no answer");
    expect(vSwitch(cloud, "vsw-pods-h2")?.used).toBe(0);
    order(cloud, { kind: "delay", delayMs: 9000 });
    const delayed = cloud.begin("CreateNetworkInterface", {
      VSwitchId: "vsw-pods-h2",
      SecurityGroupId: "sg-pods",
    });
    cloud.pass(8999);
    expect([delayed(), vSwitch(cloud, "vsw-pods-h2")?.used]).toEqual([undefined, 0]);
    cloud.pass(1);
    expect([delayed()?.code, vSwitch(cloud, "vsw-pods-h2")?.used]).toEqual(["", 1]);
    order(cloud, { kind: "holdReply", delayMs: 9000 });
    const held = cloud.begin("CreateNetworkInterface", {
      VSwitchId: "vsw-pods-h2",
      SecurityGroupId: "sg-pods",
    });
    cloud.pass(8999);
    expect([held(), vSwitch(cloud, "vsw-pods-h2")?.used]).toEqual([undefined, 2]);
    cloud.pass(1);
    expect(held()?.code).toBe("");
    order(cloud, { kind: "lostReply" });
    const token = { ClientToken: "t" };
    expect([
      create(cloud, token).code,
      create(cloud, token).code,
      vSwitch(cloud, "vsw-pods-h2")?.used,
    ]).toEqual(["reset", "", 3]);
    order(cloud, { kind: "emptyNetworkInterfaceId" });
    expect(create(cloud).body["NetworkInterfaceId"]).toBe("");
  });

  it("attachFails and linkNeverAppears come after the answer", () => {
    const cloud = cloudOf();
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    const target = { ...NODE_1, NetworkInterfaceId: eni };
    order(cloud, { kind: "attachFails", instance: "i-node-1" });
    expect(cloud.call("AttachNetworkInterface", target).code).toBe("");
    cloud.pass(10_000);
    expect(statusOf(cloud, eni)).toBe("Available");
    order(cloud, { kind: "linkNeverAppears" });
    expect(cloud.call("AttachNetworkInterface", target).code).toBe("");
    cloud.pass(10_000);
    expect(statusOf(cloud, eni)).toBe("InUse");
    expect(cloud.changes.some((change) => change.eni === eni)).toBe(false);
  });

  it("stuckDetach and stuckDelete last until the call is repeated", () => {
    const cloud = cloudOf();
    const eni = attached(cloud);
    const target = { ...NODE_1, NetworkInterfaceId: eni };
    for (const [kind, action, status] of [
      ["stuckDetach", "DetachNetworkInterface", "Detaching"],
      ["stuckDelete", "DeleteNetworkInterface", "Deleting"],
    ] as const) {
      order(cloud, { kind });
      expect(cloud.call(action, target).code).toBe("");
      cloud.pass(600_000);
      expect(statusOf(cloud, eni)).toBe(status);
      expect(cloud.call(action, target).code).toBe("");
      cloud.pass(10_000);
      expect(statusOf(cloud, eni)).not.toBe(status);
    }
  });

  it("deleteEni and foreignEni are somebody else's doing", () => {
    const cloud = cloudOf();
    const eni = attached(cloud);
    order(cloud, { kind: "deleteEni", eni });
    cloud.pass(0);
    expect(cloud.changes.at(-1)).toEqual({ op: "unplug", eni });
    expect(statusOf(cloud, eni)).toBeUndefined();
    expect(order(cloud, { kind: "deleteEni", eni })).toBe(`there is no ENI ${eni}`);
    const foreign = order(cloud, { kind: "foreignEni", vSwitch: "vsw-pods-h2", instance: "i-node-1" }) ?? "";
    const target = { ...NODE_1, NetworkInterfaceId: foreign };
    expect(cloud.call("DetachNetworkInterface", target).code).toBe("InvalidOperation.EniServiceManaged");
    cloud.pass(500_000);
    expect(cloud.model.state(cloud.nowMs()).broken).toEqual([]);
  });

  it("an ENI that nobody has for long is reported", () => {
    const cloud = cloudOf();
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    cloud.pass(121_000);
    expect(cloud.model.state(cloud.nowMs()).broken).toEqual([
      {
        invariant: "eni-without-owner",
        detail: `${eni} (vsw-pods-h2) is Available without instance for 121 s`,
      },
    ]);
  });

  it("are read with all that is wrong about them", () => {
    expect(parseOrder({ kind: "lostreply" })).toMatchObject({
      ok: false,
      fault: expect.stringContaining('did you mean "lostReply"?'),
    });
    expect(parseOrder({ kind: "delay", delayMs: -1, time: 2 })).toMatchObject({
      ok: false,
      fault: expect.stringMatching(/delayMs: .*; Unrecognized key: "time"/),
    });
    expect(parseOrder(7)).toMatchObject({ ok: false, fault: expect.stringContaining("known: error, ") });
  });
});
