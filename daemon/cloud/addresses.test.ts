import { describe, expect, it } from "vitest";
import { ok } from "../../proto/result.ts";
import { vSwitchId } from "../../proto/ids.ts";
import { answer, ENI, eniList, ipv6, openCanned, refuse, VIEW, WIRE_ENI } from "./canned-server.ts";

const IPS = ["fd00:1::1", "fd00:1::2", "fd00:1::3"].map(ipv6);
const MORE = { eni: ENI, family: "ipv6", count: 3, token: "t" } as const;
const SETS = { Ipv6Set: [{ Ipv6Address: "FD00:1::1" }, { Ipv6Address: "fd00:1:0::2", Primary: false }] };

describe("openCloud()", () => {
  it("creates an ENI with IPv6 addresses, and sees those that an ENI has", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    const wire = { ...WIRE_ENI, Ipv6Sets: SETS, Ipv6PrefixSets: { Ipv6PrefixSet: [] } };
    const view = { ...VIEW, addresses6: IPS.slice(0, 2) };
    answerWith(answer(wire), answer(eniList(wire)));
    const request = { token: "t", vSwitch: vSwitchId("vsw-1"), securityGroups: [], tags: {} };
    expect(await cloud.createEni({ ...request, secondaryCount: 1, count6: 2 }, "pod")).toEqual(ok(view));
    expect(seen[0]?.query).toMatchObject({ SecondaryPrivateIpAddressCount: "1", Ipv6AddressCount: "2" });
    expect(await cloud.describeEnis({ by: "ids", ids: [ENI] })).toEqual(ok([view]));
  });

  it.each([
    ["Ipv6Sets", { Ipv6Sets: [] }],
    ["Ipv6Sets.Ipv6Set", { Ipv6Sets: { Ipv6Set: "x" } }],
    ["Ipv6Set", { Ipv6Sets: { Ipv6Set: [{ Ipv6Address: "10.0.0.1" }] } }],
  ])("names %s of an ENI where it makes no sense", async (field, sets) => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(answer(eniList({ ...WIRE_ENI, ...sets })));
    expect(await cloud.describeEnis({ by: "ids", ids: [ENI] })).toMatchObject({
      fault: { fault: { reason: expect.stringContaining(`no usable ${field} of eni-1`) } },
    });
  });

  it("assigns IPv6 addresses by count and gives the new ones", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({ Ipv6Sets: { Ipv6Address: ["fd00:1::1", "FD00:1::2", "fd00:1:0:0::3"] } }));
    expect(await cloud.assignAddresses(MORE, "pod")).toEqual(ok(IPS));
    expect(seen.map(({ action, query }) => [action, query])).toEqual([
      [
        "AssignIpv6Addresses",
        { RegionId: "cn-test", NetworkInterfaceId: "eni-1", Ipv6AddressCount: "3", ClientToken: "t" },
      ],
    ]);
  });

  it.each([
    ["nothing", {}],
    ["an empty list", { Ipv6Sets: { Ipv6Address: [] } }],
    ["a text for a list", { Ipv6Sets: { Ipv6Address: "fd00:1::1" } }],
    ["an IPv4 address", { Ipv6Sets: { Ipv6Address: ["fd00:1::1", "10.0.0.1"] } }],
    ["a list for an object", { Ipv6Sets: [] }],
  ])("has an assignment repeated that answers %s", async (_, body) => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(answer(body));
    expect(await cloud.assignAddresses(MORE, "pod")).toMatchObject({
      ok: false,
      fault: { class: "again", effect: "unknown" },
    });
  });

  it("names the permission that the documented policy does not have", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(refuse(403, "Forbidden.RAM"));
    expect(await cloud.assignAddresses(MORE, "pod")).toMatchObject(refused("AssignIpv6Addresses"));
    expect(await cloud.unassignAddresses(ENI, IPS)).toMatchObject(refused("UnassignIpv6Addresses"));
  });

  it("unassigns the IPv6 addresses that are left where one is not there any more", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    const left = eniList({ ...WIRE_ENI, Ipv6Sets: SETS });
    answerWith(refuse(403, "InvalidIp.IpUnassigned"), answer(left), answer({}));
    expect(await cloud.unassignAddresses(ENI, IPS)).toEqual(ok(undefined));
    expect(seen.map(({ action, query }) => [action, query["Ipv6Address.2"], query["Ipv6Address.3"]])).toEqual(
      [
        ["UnassignIpv6Addresses", "fd00:1::2", "fd00:1::3"],
        ["DescribeNetworkInterfaces", undefined, undefined],
        ["UnassignIpv6Addresses", "fd00:1::2", undefined],
      ],
    );
    answerWith(refuse(404, "InvalidEniId.NotFound"));
    expect(await cloud.unassignAddresses(ENI, IPS)).toEqual(ok(undefined));
  });

  it.each([
    ["fd00:1::/64", true, "fd00:1::/64"],
    ["fd00:1::/64", undefined, "fd00:1::/64"],
    ["fd00:1::/64", false, undefined],
    ["", false, undefined],
    [undefined, undefined, undefined],
  ])("takes the IPv6 block %s of a vSwitch, enabled: %s, for %s", async (block, enabled, cidr6) => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    const vSwitch = {
      VSwitchId: "vsw-1",
      VpcId: "vpc-1",
      ZoneId: "z-a",
      CidrBlock: "10.0.0.0/24",
      AvailableIpAddressCount: 7,
      Ipv6CidrBlock: block,
      EnabledIpv6: enabled,
    };
    answerWith(answer({ VSwitches: { VSwitch: [vSwitch] } }));
    const [view] = valueOf(await cloud.describeVSwitches({ by: "id", id: vSwitchId("vsw-1") }));
    expect([view?.id, view?.cidr6]).toEqual(["vsw-1", cidr6]);
    answerWith(answer({ VSwitches: { VSwitch: [{ ...vSwitch, Ipv6CidrBlock: "10.0.0.0/8" }] } }));
    expect(await cloud.describeVSwitches({ by: "id", id: vSwitchId("vsw-1") })).toMatchObject({
      fault: { fault: { reason: expect.stringContaining("no usable Ipv6CidrBlock of vsw-1") } },
    });
  });
});

/** The failure of a call that the policy does not allow. */
function refused(action: string): object {
  return {
    fault: {
      class: "configuration",
      fault: { remedy: expect.stringContaining(`add ecs:${action} to the RAM policy`) },
    },
  };
}

function valueOf<Value>(
  result: { readonly ok: true; readonly value: Value } | { readonly ok: false },
): Value {
  if (!result.ok) throw new Error(JSON.stringify(result));
  return result.value;
}
