import { describe, expect, it } from "vitest";
import { type Action } from "./action-names.ts";
import {
  START_MS,
  NODE_1,
  cloudOf,
  create,
  attached,
  statusOf,
  addressesOf,
  vSwitch,
  metadata,
} from "./test-cloud.ts";
import { DEFAULT_TOPOLOGY_FILE } from "./topology-default.ts";

describe("the life of an ENI", () => {
  it("goes Available, Attaching, InUse, Detaching, Available, Deleting, gone", () => {
    const cloud = cloudOf();
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    const target = { ...NODE_1, NetworkInterfaceId: eni };
    expect(statusOf(cloud, eni)).toBe("Available");
    cloud.call("AttachNetworkInterface", target);
    expect(statusOf(cloud, eni)).toBe("Attaching");
    cloud.pass(3300);
    expect(statusOf(cloud, eni)).toBe("InUse");
    cloud.call("DetachNetworkInterface", target);
    expect(statusOf(cloud, eni)).toBe("Detaching");
    cloud.pass(3000);
    expect(statusOf(cloud, eni)).toBe("Available");
    const [address = ""] = addressesOf(cloud, eni);
    cloud.call("DeleteNetworkInterface", { NetworkInterfaceId: eni });
    expect(statusOf(cloud, eni)).toBe("Deleting");
    cloud.pass(2000);
    expect(statusOf(cloud, eni)).toBeUndefined();
    const ops = cloud.changes.filter((change) => change.eni === eni).map((change) => change.op);
    expect(ops).toEqual(["plug", "check-source", "allow", "unplug"]);
    expect(vSwitch(cloud, "vsw-pods-h2")).toMatchObject({ used: 0, held: 1 });
    expect(
      cloud.call("CreateNetworkInterface", {
        VSwitchId: "vsw-pods-h2",
        SecurityGroupId: "sg-pods",
        PrimaryIpAddress: address,
      }).code,
    ).toBe("InvalidIp.IpAssigned");
    cloud.pass(5000);
    expect(vSwitch(cloud, "vsw-pods-h2")).toMatchObject({ used: 0, held: 0 });
  });

  it("begins anew where Detach is repeated", () => {
    const cloud = cloudOf({
      latencies: { detach: { minMs: 0, maxMs: 0 }, detachDone: { minMs: 2000, maxMs: 2000 } },
    });
    const eni = attached(cloud);
    const target = { ...NODE_1, NetworkInterfaceId: eni };
    cloud.call("DetachNetworkInterface", target);
    cloud.pass(1000);
    cloud.call("DetachNetworkInterface", target);
    cloud.pass(1999);
    expect(statusOf(cloud, eni)).toBe("Detaching");
    cloud.pass(1);
    expect(statusOf(cloud, eni)).toBe("Available");
  });

  it("shows device, InUse and metadata in any order", () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const cloud = cloudOf({}, seed);
      const created = create(cloud).body;
      const eni = String(created["NetworkInterfaceId"]);
      cloud.call("AttachNetworkInterface", { ...NODE_1, NetworkInterfaceId: eni });
      const seen = new Set<string>();
      for (let step = 0; step < 400; step++) {
        cloud.pass(10);
        if (cloud.changes.some((change) => change.op === "plug" && change.eni === eni)) seen.add("link");
        if (statusOf(cloud, eni) === "InUse") seen.add("InUse");
        if (
          metadata(cloud, `network/interfaces/macs/${String(created["MacAddress"])}/primary-ip-address`)
            .status === 200
        ) {
          seen.add("metadata");
        }
      }
      orders.add([...seen].join(" "));
    }
    expect([...orders].toSorted()).toEqual([
      "InUse link metadata",
      "InUse metadata link",
      "link InUse metadata",
      "link metadata InUse",
      "metadata InUse link",
      "metadata link InUse",
    ]);
  });

  it.each<[string, Action, Readonly<Record<string, string>>]>([
    ["InvalidOperation.InvalidEniState", "AttachNetworkInterface", NODE_1],
    ["InvalidOperation.InvalidEniState", "DeleteNetworkInterface", {}],
    ["InvalidParameter.EniNotBelongEcs", "DetachNetworkInterface", { InstanceId: "i-node-2" }],
    ["InvalidEcsId.NotFound", "DetachNetworkInterface", { InstanceId: "i-none" }],
    ["MissingParameter", "DetachNetworkInterface", {}],
    ["InvalidIp.IpUnassigned", "UnassignPrivateIpAddresses", { "PrivateIpAddress.1": "10.10.32.99" }],
    [
      "InvalidOperation.Ipv4CountExceeded",
      "AssignPrivateIpAddresses",
      { SecondaryPrivateIpAddressCount: "15" },
    ],
    ["InvalidParameter", "AssignPrivateIpAddresses", { SecondaryPrivateIpAddressCount: "0" }],
    ["MissingParameter", "AssignPrivateIpAddresses", {}],
    ["InvalidVSwitchId.IpInvalid", "AssignPrivateIpAddresses", { "PrivateIpAddress.1": "10.10.1.9" }],
    [
      "InvalidIp.IpRepeated",
      "AssignPrivateIpAddresses",
      { "PrivateIpAddress.1": "10.10.33.9", "PrivateIpAddress.2": "10.10.33.9" },
    ],
    ["InvalidRegionId.NotFound", "AssignPrivateIpAddresses", { RegionId: "mars" }],
    ["MissingParameter", "AssignPrivateIpAddresses", { RegionId: "" }],
  ])("%s: %s %j of an ENI in use", (code, action, parameters) => {
    const cloud = cloudOf();
    const eni = attached(cloud);
    expect(cloud.call(action, { NetworkInterfaceId: eni, ...parameters }).code).toBe(code);
    expect(cloud.model.calls().totals[action]?.refused).toBe(1);
  });

  it.each<[string, string, string | undefined]>([
    ["InvalidEniId.NotFound", "eni-none", "i-node-1"],
    ["InvalidInstanceId.NotFound", "", "i-none"],
    ["InvalidOperation.AvailabilityZoneMismatch", "", "i-node-2"],
  ])("%s: attach of %j to %j", (code, eni, instance = "") => {
    const cloud = cloudOf();
    const NetworkInterfaceId = eni || String(create(cloud).body["NetworkInterfaceId"]);
    expect(cloud.call("AttachNetworkInterface", { NetworkInterfaceId, InstanceId: instance }).code).toBe(
      code,
    );
  });

  it("cannot be had by an instance that has no room or does not run", () => {
    const cloud = cloudOf();
    for (let count = 1; count < 4; count++) attached(cloud);
    const eni = String(create(cloud).body["NetworkInterfaceId"]);
    const refused = cloud.call("AttachNetworkInterface", { ...NODE_1, NetworkInterfaceId: eni });
    expect(refused.code).toBe("EniPerInstanceLimitExceeded");
    const instances = DEFAULT_TOPOLOGY_FILE.instances.map((instance) => ({
      ...instance,
      status: "Starting" as const,
    }));
    const starting = cloudOf({ instances });
    const other = String(create(starting).body["NetworkInterfaceId"]);
    expect(starting.call("AttachNetworkInterface", { ...NODE_1, NetworkInterfaceId: other }).code).toBe(
      "InvalidOperation.InvalidEcsState",
    );
  });

  it("of a primary ENI is not the API's business", () => {
    const cloud = cloudOf();
    const eni = cloud.model.state(START_MS).instances[0]?.primaryEni ?? "";
    const target = { ...NODE_1, NetworkInterfaceId: eni };
    expect(cloud.call("DetachNetworkInterface", target).code).toBe(
      "InvalidOperation.DetachPrimaryEniNotAllowed",
    );
    expect(cloud.call("DeleteNetworkInterface", target).code).toBe("InvalidOperation.InvalidEniType");
  });

  it("answers Detach of an ENI that is Available as the switch says", () => {
    for (const [strictDetach, code] of [
      [true, "InvalidOperation.InvalidEniState"],
      [false, ""],
    ] as const) {
      const cloud = cloudOf({ switches: { strictDetach } });
      const target = { ...NODE_1, NetworkInterfaceId: String(create(cloud).body["NetworkInterfaceId"]) };
      expect(cloud.call("DetachNetworkInterface", target).code).toBe(code);
    }
  });
});
