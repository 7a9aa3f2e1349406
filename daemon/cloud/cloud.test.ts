import { describe, expect, it } from "vitest";
import { vSwitchId, securityGroupId } from "../../proto/ids.ts";
import { failed, ok } from "../../proto/result.ts";
import { type CreateEni } from "../core/cloud.ts";
import { answer, ENI, eniList, ipv4, NODE, openCanned, refuse, VIEW, WIRE_ENI } from "./canned-server.ts";

const IPS = ["10.0.0.11", "10.0.0.12", "10.0.0.13"].map(ipv4);

const CREATE: CreateEni = {
  token: "token-1",
  vSwitch: vSwitchId("vsw-1"),
  securityGroups: [securityGroupId("sg-1"), securityGroupId("sg-2")],
  secondaryCount: 9,
  tags: { creator: "x y", cluster: "c1" },
  resourceGroup: "rg-1",
};

describe("openCloud()", () => {
  it("creates an ENI with every parameter named", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({ ...WIRE_ENI, Status: "Available", Attachment: undefined }));
    const { instance: _, ...free } = VIEW;
    expect(await cloud.createEni(CREATE, "pod")).toEqual(ok({ ...free, status: "Available" }));
    expect(seen).toEqual([
      {
        action: "CreateNetworkInterface",
        port: expect.any(Number),
        headers: expect.objectContaining({
          "x-acs-version": "2014-05-26",
          "user-agent": expect.stringMatching(/ terway$/),
          authorization: expect.stringMatching(/^ACS3-HMAC-SHA256 Credential=LTAItest,/),
          connection: "close",
        }),
        query: {
          RegionId: "cn-test",
          ClientToken: "token-1",
          VSwitchId: "vsw-1",
          "SecurityGroupIds.1": "sg-1",
          "SecurityGroupIds.2": "sg-2",
          SecondaryPrivateIpAddressCount: "9",
          ResourceGroupId: "rg-1",
          "Tag.1.Key": "creator",
          "Tag.1.Value": "x y",
          "Tag.2.Key": "cluster",
          "Tag.2.Value": "c1",
          Description: "Pod addresses of a Kubernetes node, made by terway",
          DeleteOnRelease: "true",
          SourceDestCheck: "true",
        },
      },
    ]);
  });

  it("leaves a count of 0 and an absent resource group out", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({ ...WIRE_ENI, Status: undefined }));
    const { resourceGroup: _, ...request } = CREATE;
    const made = await cloud.createEni({ ...request, secondaryCount: 0 }, "warm-up");
    expect(made.ok && made.value.status).toBe("Available");
    expect(Object.keys(seen[0]?.query ?? {})).not.toContain("SecondaryPrivateIpAddressCount");
    expect(Object.keys(seen[0]?.query ?? {})).not.toContain("ResourceGroupId");
  });

  it("has the call repeated where the ENI has no id", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(answer({ ...WIRE_ENI, NetworkInterfaceId: "" }));
    expect(await cloud.createEni(CREATE, "pod")).toEqual(
      failed({
        class: "again",
        effect: "unknown",
        fault: {
          kind: "cloud-unreachable",
          action: "CreateNetworkInterface",
          target: "vsw-1",
          reason: "the answer makes no sense: no usable NetworkInterfaceId (request R-1)",
        },
      }),
    );
  });

  it("attaches, detaches, deletes and changes groups", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({}));
    expect(await cloud.attachEni(ENI, NODE, "pod")).toEqual(ok(undefined));
    expect(await cloud.detachEni(ENI, NODE)).toEqual(ok(undefined));
    expect(await cloud.deleteEni(ENI)).toEqual(ok(undefined));
    expect(await cloud.setSecurityGroups(ENI, [securityGroupId("sg-9")])).toEqual(ok(undefined));
    const common = { RegionId: "cn-test", NetworkInterfaceId: "eni-1" };
    expect(seen.map(({ action, query }) => [action, query])).toEqual([
      ["AttachNetworkInterface", { ...common, InstanceId: "i-1" }],
      ["DetachNetworkInterface", { ...common, InstanceId: "i-1" }],
      ["DeleteNetworkInterface", common],
      ["ModifyNetworkInterfaceAttribute", { ...common, "SecurityGroupId.1": "sg-9" }],
    ]);
  });

  it("takes what is gone for detached and deleted, but not for attached", async () => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(refuse(404, "InvalidEniId.NotFound"));
    expect(await cloud.detachEni(ENI, NODE)).toEqual(ok(undefined));
    expect(await cloud.deleteEni(ENI)).toEqual(ok(undefined));
    expect(await cloud.attachEni(ENI, NODE, "pod")).toMatchObject({ ok: false, fault: { class: "gone" } });
    answerWith(refuse(404, "InvalidEcsId.NotFound"));
    expect(await cloud.detachEni(ENI, NODE)).toEqual(ok(undefined));
  });

  it("assigns by count and gives the new addresses", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(answer({ AssignedPrivateIpAddressesSet: { PrivateIpSet: { PrivateIpAddress: IPS } } }));
    expect(await cloud.assignAddresses({ eni: ENI, family: "ipv4", count: 3, token: "t" }, "pod")).toEqual(
      ok(IPS),
    );
    expect(seen[0]?.query).toEqual({
      RegionId: "cn-test",
      NetworkInterfaceId: "eni-1",
      SecondaryPrivateIpAddressCount: "3",
      ClientToken: "t",
    });
  });

  it.each([
    ["nothing", {}],
    ["an empty list", { AssignedPrivateIpAddressesSet: { PrivateIpSet: { PrivateIpAddress: [] } } }],
    [
      "a text for a list",
      { AssignedPrivateIpAddressesSet: { PrivateIpSet: { PrivateIpAddress: "10.0.0.1" } } },
    ],
    ["no address", { AssignedPrivateIpAddressesSet: { PrivateIpSet: { PrivateIpAddress: ["x"] } } }],
    ["a list for an object", { AssignedPrivateIpAddressesSet: [] }],
  ])("has an assignment repeated that answers %s", async (_, body) => {
    await using canned = await openCanned();
    const { cloud, answerWith } = canned;
    answerWith(answer(body));
    expect(
      await cloud.assignAddresses({ eni: ENI, family: "ipv4", count: 3, token: "t" }, "pod"),
    ).toMatchObject({
      ok: false,
      fault: { class: "again", effect: "unknown" },
    });
  });

  it("asks nothing where there is nothing to unassign or to look for", async () => {
    await using canned = await openCanned();
    const { cloud, seen } = canned;
    expect(await cloud.unassignAddresses(ENI, [])).toEqual(ok(undefined));
    expect(await cloud.describeEnis({ by: "ids", ids: [] })).toEqual(ok([]));
    expect(seen).toEqual([]);
  });

  it("unassigns those that are left where one is not there any more", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(refuse(400, "InvalidIp.IpUnassigned"), answer(eniList(WIRE_ENI)), answer({}));
    expect(await cloud.unassignAddresses(ENI, IPS)).toEqual(ok(undefined));
    expect(
      seen.map(({ action, query }) => [action, query["PrivateIpAddress.1"], query["PrivateIpAddress.2"]]),
    ).toEqual([
      ["UnassignPrivateIpAddresses", "10.0.0.11", "10.0.0.12"],
      ["DescribeNetworkInterfaces", undefined, undefined],
      ["UnassignPrivateIpAddresses", "10.0.0.11", undefined],
    ]);
  });

  it("is done where none of them, or no ENI, is left", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    answerWith(refuse(400, "InvalidIp.IpUnassigned"), answer(eniList(WIRE_ENI)));
    expect(await cloud.unassignAddresses(ENI, [ipv4("10.0.0.12"), VIEW.primary])).toEqual(ok(undefined));
    expect(seen).toHaveLength(2);
    answerWith(refuse(404, "InvalidEniId.NotFound"));
    expect(await cloud.unassignAddresses(ENI, IPS)).toEqual(ok(undefined));
  });

  it("unassigns no more than twice", async () => {
    await using canned = await openCanned();
    const { cloud, seen, answerWith } = canned;
    const stale = refuse(400, "InvalidIp.IpUnassigned");
    answerWith(stale, answer(eniList(WIRE_ENI)), stale);
    expect(await cloud.unassignAddresses(ENI, IPS)).toMatchObject({ ok: false, fault: { class: "gone" } });
    expect(seen).toHaveLength(3);
  });
});
