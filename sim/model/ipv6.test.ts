import { describe, expect, it } from "vitest";
import { type Action } from "./action-names.ts";
import { attached, cloudOf, create, NODE_1, order, statusOf } from "./test-cloud.ts";
import { DEFAULT_TOPOLOGY_FILE, DOCUMENTED_POLICY, DUAL_STACK_TOPOLOGY_FILE } from "./topology-default.ts";
import { type TopologyFile } from "./topology.ts";
import { type VirtualCloud } from "./virtual-cloud.ts";

const PODS = /^fd00:10:0:2:[0-9a-f:]+$/;

function dualCloud(file: Partial<TopologyFile> = {}): VirtualCloud {
  return cloudOf({ ...DUAL_STACK_TOPOLOGY_FILE, ...file });
}

function ipv6Of(cloud: VirtualCloud, eni: string): readonly string[] {
  return cloud.model.state(cloud.nowMs()).enis.find(({ id }) => id === eni)?.ipv6Addresses ?? [];
}

/** Counts of the vSwitch of pods. */
function counts(cloud: VirtualCloud): unknown {
  return cloud.model.state(cloud.nowMs()).vSwitches.find(({ id }) => id === "vsw-pods-h2")?.ipv6;
}

function withInstanceType(limits: { eniIpv6AddressQuantity: number }): Partial<TopologyFile> {
  return {
    instanceTypes: { "ecs.g7.xlarge": { eniQuantity: 4, eniPrivateIpAddressQuantity: 15, ...limits } },
  };
}

describe("IPv6 addresses", () => {
  it("come with a new ENI, by number or by name, and go with it", () => {
    const cloud = dualCloud();
    const counted = create(cloud, { Ipv6AddressCount: "3" });
    const eni = String(counted.body["NetworkInterfaceId"]);
    expect(ipv6Of(cloud, eni)).toEqual([
      expect.stringMatching(PODS),
      expect.stringMatching(PODS),
      expect.stringMatching(PODS),
    ]);
    expect(counted.body["Ipv6Sets"]).toEqual({
      Ipv6Set: ipv6Of(cloud, eni).map((address) => ({ Ipv6Address: address, Primary: false })),
    });
    const named = create(cloud, { "Ipv6Address.1": "FD00:10:0:2:0::7", "Ipv6Address.2": "fd00:10:0:2::8" });
    expect(named.body["Ipv6Sets"]).toEqual({
      Ipv6Set: [
        { Ipv6Address: "fd00:10:0:2::7", Primary: false },
        { Ipv6Address: "fd00:10:0:2::8", Primary: false },
      ],
    });
    expect(counts(cloud)).toEqual({ cidr: "fd00:10:0:2::/64", used: 5, held: 0 });
    cloud.call("DeleteNetworkInterface", { NetworkInterfaceId: eni });
    cloud.pass(2000);
    expect([statusOf(cloud, eni), counts(cloud)]).toEqual([
      undefined,
      expect.objectContaining({ used: 2, held: 3 }),
    ]);
    cloud.pass(5000);
    expect(counts(cloud)).toMatchObject({ used: 2, held: 0 });
    expect(cloud.model.state(cloud.nowMs()).broken).toEqual([]);
  });

  it("are assigned and unassigned, and packets follow", () => {
    const cloud = dualCloud();
    const eni = attached(cloud);
    const assigned = cloud.call("AssignIpv6Addresses", { NetworkInterfaceId: eni, Ipv6AddressCount: "4" });
    const added = ipv6Of(cloud, eni);
    expect(assigned.body).toMatchObject({
      NetworkInterfaceId: eni,
      Ipv6Sets: { Ipv6Address: added },
      Ipv6PrefixSets: { Ipv6Prefix: [] },
    });
    expect(added).toHaveLength(4);
    cloud.pass(400);
    const [first = "", second = ""] = added;
    const gone = { "Ipv6Address.1": first, "Ipv6Address.2": second };
    expect(cloud.call("UnassignIpv6Addresses", { NetworkInterfaceId: eni, ...gone }).code).toBe("");
    expect(ipv6Of(cloud, eni)).toEqual(added.slice(2));
    cloud.pass(400);
    const told = cloud.changes.flatMap((change) =>
      "address" in change ? [`${change.op} ${change.address}`] : [],
    );
    for (const address of added) expect(told).toContain(`allow ${address}`);
    expect(told.filter((line) => line.startsWith("revoke"))).toEqual([`revoke ${first}`, `revoke ${second}`]);
    expect(cloud.call("UnassignIpv6Addresses", { NetworkInterfaceId: eni, ...gone }).code).toBe(
      "InvalidIp.IpUnassigned",
    );
  });

  it("change one call at a time, whichever family", () => {
    const cloud = dualCloud();
    const eni = attached(cloud);
    const target = { NetworkInterfaceId: eni };
    const first = cloud.begin("AssignPrivateIpAddresses", { ...target, SecondaryPrivateIpAddressCount: "1" });
    const second = cloud.begin("AssignIpv6Addresses", { ...target, Ipv6AddressCount: "1" });
    cloud.pass(1000);
    expect([first()?.code, second()?.code]).toEqual(["", "Operation.Conflict"]);
  });

  it("are given once for one ClientToken", () => {
    const cloud = dualCloud();
    const wanted = { NetworkInterfaceId: attached(cloud), Ipv6AddressCount: "2", ClientToken: "t-1" };
    order(cloud, { kind: "lostReply", action: "AssignIpv6Addresses" });
    expect(cloud.call("AssignIpv6Addresses", wanted).code).toBe("reset");
    const again = cloud.call("AssignIpv6Addresses", wanted);
    expect(again.body["Ipv6Sets"]).toEqual({ Ipv6Address: ipv6Of(cloud, wanted.NetworkInterfaceId) });
    expect(cloud.call("AssignIpv6Addresses", { ...wanted, Ipv6AddressCount: "1" }).code).toBe(
      "IdempotentParameterMismatch",
    );
    expect(counts(cloud)).toMatchObject({ used: 2 });
  });

  it.each<[string, Action, Readonly<Record<string, string>>]>([
    ["InvalidOperation.Ipv6CountExceeded", "AssignIpv6Addresses", { Ipv6AddressCount: "10" }],
    ["InvalidParameter", "AssignIpv6Addresses", { Ipv6AddressCount: "0" }],
    ["InvalidParameter", "AssignIpv6Addresses", { Ipv6AddressCount: "11" }],
    ["InvalidParameter", "AssignIpv6Addresses", { Ipv6AddressCount: "1", "Ipv6Address.1": "fd00:10:0:2::9" }],
    ["MissingParameter", "AssignIpv6Addresses", {}],
    ["InvalidIp.Address", "AssignIpv6Addresses", { "Ipv6Address.1": "fd00:10:0:2::x" }],
    ["InvalidVSwitchId.IpInvalid", "AssignIpv6Addresses", { "Ipv6Address.1": "fd00:10:0:3::9" }],
    ["InvalidVSwitchId.IpInvalid", "AssignIpv6Addresses", { "Ipv6Address.1": "fd00:10:0:2::" }],
    [
      "InvalidVSwitchId.IpInvalid",
      "AssignIpv6Addresses",
      { "Ipv6Address.1": "fd00:10:0:2:ffff:ffff:ffff:fff7" },
    ],
    [
      "InvalidIp.IpRepeated",
      "AssignIpv6Addresses",
      { "Ipv6Address.1": "fd00:10:0:2::9", "Ipv6Address.2": "fd00:10:0:2:0::9" },
    ],
    ["InvalidIp.IpAssigned", "AssignIpv6Addresses", { "Ipv6Address.1": "fd00:10:0:2::5" }],
    [
      "InvalidEniId.NotFound",
      "AssignIpv6Addresses",
      { NetworkInterfaceId: "eni-none", Ipv6AddressCount: "1" },
    ],
    ["MissingParameter", "UnassignIpv6Addresses", {}],
    ["InvalidIp.Address", "UnassignIpv6Addresses", { "Ipv6Address.1": "10.0.0.1" }],
    ["InvalidIp.IpUnassigned", "UnassignIpv6Addresses", { "Ipv6Address.1": "fd00:10:0:2::9" }],
  ])("%s: %s %j of an ENI with 1 of 10", (code, action, parameters) => {
    const cloud = dualCloud(withInstanceType({ eniIpv6AddressQuantity: 10 }));
    const eni = attached(cloud);
    cloud.call("AssignIpv6Addresses", { NetworkInterfaceId: eni, "Ipv6Address.1": "fd00:10:0:2::5" });
    expect(cloud.call(action, { NetworkInterfaceId: eni, ...parameters }).code).toBe(code);
    expect(ipv6Of(cloud, eni)).toEqual(["fd00:10:0:2::5"]);
  });

  it("are ten at most while the ENI is not attached, and what the type allows when it is", () => {
    const cloud = dualCloud(withInstanceType({ eniIpv6AddressQuantity: 4 }));
    const eni = String(create(cloud, { Ipv6AddressCount: "10" }).body["NetworkInterfaceId"]);
    const assign = { NetworkInterfaceId: eni, Ipv6AddressCount: "1" };
    expect(cloud.call("AssignIpv6Addresses", assign).code).toBe("InvalidOperation.Ipv6CountExceeded");
    expect(cloud.call("AttachNetworkInterface", { ...NODE_1, NetworkInterfaceId: eni }).code).toBe(
      "InvalidOperation.Ipv6CountExceeded",
    );
  });

  it("are refused where the type, or the vSwitch, has no IPv6", () => {
    const none = dualCloud(withInstanceType({ eniIpv6AddressQuantity: 0 }));
    const assign = { NetworkInterfaceId: attached(none), Ipv6AddressCount: "1" };
    expect(none.call("AssignIpv6Addresses", assign).code).toBe("InvalidOperation.Ipv6NotSupport");
    const off = dualCloud({
      vSwitches: DEFAULT_TOPOLOGY_FILE.vSwitches,
      instances: DEFAULT_TOPOLOGY_FILE.instances,
    });
    const refused = off.call("AssignIpv6Addresses", {
      NetworkInterfaceId: attached(off),
      Ipv6AddressCount: "1",
    });
    expect(refused.code).toBe("InvalidVSwitch.Ipv6NotTurnOn");
    expect(create(off, { Ipv6AddressCount: "1" }).code).toBe("InvalidVSwitch.Ipv6NotTurnOn");
  });

  it("run out where the topology bounds them, never in part", () => {
    const vSwitches = DUAL_STACK_TOPOLOGY_FILE.vSwitches.map((vSwitch) => ({
      ...vSwitch,
      availableIpv6Addresses: 3,
    }));
    const cloud = dualCloud({ vSwitches });
    const eni = String(create(cloud, { Ipv6AddressCount: "2" }).body["NetworkInterfaceId"]);
    const assign = (count: string): string =>
      cloud.call("AssignIpv6Addresses", { NetworkInterfaceId: eni, Ipv6AddressCount: count }).code;
    expect([assign("2"), assign("1"), assign("1")]).toEqual([
      "InvalidVSwitchId.IpNotEnough",
      "",
      "InvalidVSwitchId.IpNotEnough",
    ]);
    expect(ipv6Of(cloud, eni)).toHaveLength(3);
  });

  it("need two permissions that the documented policy does not have", () => {
    const cloud = dualCloud({ policies: { terway: DOCUMENTED_POLICY } });
    const eni = String(create(cloud, { Ipv6AddressCount: "1" }).body["NetworkInterfaceId"]);
    const [address = ""] = ipv6Of(cloud, eni);
    const assign = { NetworkInterfaceId: eni, Ipv6AddressCount: "1" };
    const unassign = { NetworkInterfaceId: eni, "Ipv6Address.1": address };
    expect(cloud.call("AssignIpv6Addresses", assign).code).toBe("Forbidden.RAM");
    expect(cloud.call("UnassignIpv6Addresses", unassign).code).toBe("Forbidden.RAM");
    expect(ipv6Of(cloud, eni)).toEqual([address]);
  });
});

describe("what is said of IPv6", () => {
  it("is in the Describe actions", () => {
    const cloud = dualCloud();
    const created = create(cloud, { Ipv6AddressCount: "2" });
    const eni = String(created.body["NetworkInterfaceId"]);
    const [, second = ""] = ipv6Of(cloud, eni);
    cloud.pass(300);
    for (const [filter, count] of [
      [second, 1],
      ["fd00:10:0:4::11", 1],
      ["fd00:10:0:2::1", 0],
    ] as const) {
      const described = cloud.call("DescribeNetworkInterfaces", { "Ipv6Address.1": filter });
      expect(described.body["TotalCount"]).toBe(count);
    }
    const described = cloud.call("DescribeNetworkInterfaces", { "NetworkInterfaceId.1": eni });
    expect(described.body).toMatchObject({
      NetworkInterfaceSets: { NetworkInterfaceSet: [{ Ipv6Sets: created.body["Ipv6Sets"] }] },
    });
    expect(cloud.call("DescribeVSwitches", { VSwitchId: "vsw-pods-h2" }).body).toMatchObject({
      VSwitches: { VSwitch: [{ Ipv6CidrBlock: "fd00:10:0:2::/64", EnabledIpv6: true }] },
    });
    expect(cloud.call("DescribeInstances", { InstanceIds: '["i-node-1"]' }).body).toMatchObject({
      Instances: {
        Instance: [
          {
            NetworkInterfaces: {
              NetworkInterface: [{ Ipv6Sets: { Ipv6Set: [{ Ipv6Address: "fd00:10:0:4::11" }] } }],
            },
          },
        ],
      },
    });
    const all = { Version: "1" as const, Statement: [{ Effect: "Allow" as const, Action: "*" }] };
    const types = dualCloud({
      policies: { terway: all },
      ...withInstanceType({ eniIpv6AddressQuantity: 7 }),
    });
    expect(types.call("DescribeInstanceTypes", { "InstanceTypes.1": "ecs.g7.xlarge" }).body).toMatchObject({
      InstanceTypes: { InstanceType: [{ EniPrivateIpAddressQuantity: 15, EniIpv6AddressQuantity: 7 }] },
    });
  });
});
