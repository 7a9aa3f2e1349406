import { describe, expect, it } from "vitest";
import { vSwitchId, eniId } from "../../proto/ids.ts";
import { failed, ok } from "../../proto/result.ts";
import { answer, eniList, NODE, openCanned, VIEW, WIRE_ENI } from "./canned-server.ts";

function wireVSwitch(index: number): object {
  return {
    VSwitchId: `vsw-${index}`,
    VpcId: "vpc-1",
    ZoneId: "z-a",
    CidrBlock: "10.0.0.0/24",
    AvailableIpAddressCount: 7,
    Status: "Available",
  };
}

describe("openCloud()", () => {
  it("describes all pages", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(
      answer({ ...eniList(WIRE_ENI), NextToken: "p2" }),
      answer({
        ...eniList({ ...WIRE_ENI, NetworkInterfaceId: "eni-2", Type: "Trunk", ServiceManaged: true }),
        NextToken: "",
      }),
    );
    expect(await cloud.describeEnis({ by: "instance", instance: NODE })).toEqual(
      ok([VIEW, { ...VIEW, id: eniId("eni-2"), type: "Other", serviceManaged: true }]),
    );
    const first = { RegionId: "cn-test", InstanceId: "i-1", MaxResults: "500" };
    expect(seen.map(({ query }) => query)).toEqual([first, { ...first, NextToken: "p2" }]);
  });

  it("does not follow pages without end", async () => {
    await using canned = await openCanned({ rates: { burst: 100 } });
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({ ...eniList(), NextToken: "again" }));
    expect(await cloud.describeEnis({ by: "instance", instance: NODE })).toMatchObject({
      ok: false,
      fault: { fault: { reason: "the answer makes no sense: more than 20 pages" } },
    });
    expect(seen).toHaveLength(20);
  });

  it("describes by ids, a hundred at once, and by tags", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer(eniList()));
    const ids = Array.from({ length: 101 }, (_, index) => eniId(`eni-${index}`));
    expect(await cloud.describeEnis({ by: "ids", ids })).toEqual(ok([]));
    expect(await cloud.describeEnis({ by: "tags", tags: { a: "b" } })).toEqual(ok([]));
    expect(seen.map(({ query }) => [query["NetworkInterfaceId.100"], query["NetworkInterfaceId.1"]])).toEqual(
      [
        ["eni-99", "eni-0"],
        [undefined, "eni-100"],
        [undefined, undefined],
      ],
    );
    expect(seen[2]?.query).toEqual({
      RegionId: "cn-test",
      MaxResults: "500",
      "Tag.1.Key": "a",
      "Tag.1.Value": "b",
    });
    await expect(cloud.describeEnis({ by: "tags", tags: {} })).rejects.toThrow("without a tag");
  });

  it.each([
    ["NetworkInterfaceSets", {}],
    ["NetworkInterfaceSets", { NetworkInterfaceSets: [] }],
    ["NetworkInterfaceSets.NetworkInterfaceSet", { NetworkInterfaceSets: { NetworkInterfaceSet: {} } }],
    ["NetworkInterfaceSet", eniList([])],
    ["NetworkInterfaceId", eniList({ ...WIRE_ENI, NetworkInterfaceId: 7 })],
    ["MacAddress of eni-1", eniList({ ...WIRE_ENI, MacAddress: "x" })],
    ["Status of eni-1", eniList({ ...WIRE_ENI, Status: "Odd" })],
    ["VSwitchId of eni-1", eniList({ ...WIRE_ENI, VSwitchId: "" })],
    ["PrivateIpSets of eni-1", eniList({ ...WIRE_ENI, PrivateIpSets: "x" })],
    ["PrivateIpSet of eni-1", eniList({ ...WIRE_ENI, PrivateIpSets: { PrivateIpSet: [{}] } })],
    ["PrivateIpAddress of eni-1", eniList({ ...WIRE_ENI, PrivateIpAddress: "", PrivateIpSets: {} })],
    ["SecurityGroupIds of eni-1", eniList({ ...WIRE_ENI, SecurityGroupIds: 1 })],
    ["Tag of eni-1", eniList({ ...WIRE_ENI, Tags: { Tag: ["x"] } })],
  ])("names %s where it makes no sense", async (field, body) => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(answer(body));
    expect(await cloud.describeEnis({ by: "instance", instance: NODE })).toEqual(
      failed({
        class: "again",
        effect: "none",
        fault: {
          kind: "cloud-unreachable",
          action: "DescribeNetworkInterfaces",
          target: "i-1",
          reason: `the answer makes no sense: no usable ${field} (request R-1)`,
        },
      }),
    );
  });

  it("describes the vSwitches of a zone, all pages, and one by its id", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    const page = (count: number): object => ({
      TotalCount: 51,
      VSwitches: { VSwitch: Array.from({ length: count }, (_, index) => wireVSwitch(index)) },
    });
    answerWith(answer(page(50)), answer(page(1)));
    const all = await cloud.describeVSwitches({ by: "zone", vpc: "vpc-1", zone: "z-a" });
    expect(all.ok && [all.value.length, all.value[0]]).toEqual([
      51,
      { id: "vsw-0", vpc: "vpc-1", zone: "z-a", cidr: "10.0.0.0/24", availableAddresses: 7 },
    ]);
    await cloud.describeVSwitches({ by: "id", id: vSwitchId("vsw-7") });
    const common = { RegionId: "cn-test", PageSize: "50", PageNumber: "1" };
    expect(seen.map(({ query }) => query)).toEqual([
      { ...common, VpcId: "vpc-1", ZoneId: "z-a" },
      { ...common, VpcId: "vpc-1", ZoneId: "z-a", PageNumber: "2" },
      { ...common, VSwitchId: "vsw-7" },
    ]);
    expect(seen[0]?.headers["x-acs-version"]).toBe("2016-04-28");
    answerWith(answer({ VSwitches: { VSwitch: [{ ...wireVSwitch(1), CidrBlock: "10.0.0.1/24" }] } }));
    expect(await cloud.describeVSwitches({ by: "id", id: vSwitchId("vsw-1") })).toMatchObject({
      fault: { fault: { reason: "the answer makes no sense: no usable CidrBlock of vsw-1 (request R-1)" } },
    });
  });

  it("describes an instance", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(
      answer({
        InstanceId: "i-1",
        InstanceType: "ecs.g7.xlarge",
        ZoneId: "z-a",
        VpcAttributes: { VpcId: "vpc-1", VSwitchId: "vsw-1" },
        SecurityGroupIds: { SecurityGroupId: ["sg-1"] },
      }),
    );
    expect(await cloud.describeInstance(NODE)).toEqual(
      ok({
        id: NODE,
        type: "ecs.g7.xlarge",
        zone: "z-a",
        vpc: "vpc-1",
        vSwitch: "vsw-1",
        securityGroups: ["sg-1"],
      }),
    );
    answerWith(answer({ InstanceId: "i-1", InstanceType: "t", ZoneId: "z", VpcAttributes: [] }));
    expect(await cloud.describeInstance(NODE)).toMatchObject({
      fault: { fault: { reason: expect.stringContaining("VpcAttributes.VpcId") } },
    });
  });
});
