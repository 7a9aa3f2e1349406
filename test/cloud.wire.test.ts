/**
 * The agent's cloud edge against the simulated VPC: what each of both takes for the protocol is the same, and each
 * refusal of the cloud is read as what it means.
 */
import { describe, expect, it } from "vitest";
import { type Cloud } from "../daemon/core/cloud.ts";
import { type EniId, eniId, securityGroupId } from "../proto/ids.ts";
import { DOCUMENTED_POLICY } from "../sim/model/topology-default.ts";
import { CREATE, KEY, NODE, openWire, PODS, value } from "./cloud-wire.ts";

describe("openCloud() and the simulated VPC", () => {
  it("goes through the life of an ENI with the eleven documented actions alone", async () => {
    await using wire = await openWire();
    const { cloud, simulator } = wire;
    expect(value(await cloud.describeInstance(NODE))).toEqual({
      id: NODE,
      type: "ecs.g7.xlarge",
      zone: "cn-hangzhou-h",
      vpc: "vpc-demo",
      vSwitch: "vsw-nodes-h",
      securityGroups: ["sg-nodes"],
    });
    const zone = { by: "zone", vpc: "vpc-demo", zone: "cn-hangzhou-h" } as const;
    const inZone = value(await cloud.describeVSwitches(zone)).map(({ id }) => id);
    expect(inZone.toSorted()).toEqual(["vsw-nodes-h", "vsw-pods-h1", "vsw-pods-h2"]);
    expect(value(await cloud.describeVSwitches({ by: "id", id: PODS }))).toMatchObject([{ id: PODS }]);

    const eni = value(await cloud.createEni(CREATE, "pod"));
    expect(eni).toMatchObject({ status: "Available", type: "Secondary", tags: CREATE.tags, vSwitch: PODS });
    expect(eni.addresses).toHaveLength(4);
    value(await cloud.attachEni(eni.id, NODE, "pod"));
    await statusIs(cloud, eni.id, "InUse");
    const more = value(
      await cloud.assignAddresses(
        { eni: eni.id, family: "ipv4" as const, count: 2, token: "token-2" },
        "pod",
      ),
    );
    await expect
      .poll(async () => (await view(cloud, eni.id))?.addresses.toSorted())
      .toEqual([...eni.addresses, ...more].toSorted());
    value(await cloud.unassignAddresses(eni.id, more));
    value(await cloud.setSecurityGroups(eni.id, [securityGroupId("sg-nodes")]));
    await expect.poll(async () => (await view(cloud, eni.id))?.securityGroups).toEqual(["sg-nodes"]);
    expect(value(await cloud.describeEnis({ by: "instance", instance: NODE }))).toHaveLength(2);
    expect(value(await cloud.describeEnis({ by: "tags", tags: CREATE.tags }))).toHaveLength(1);
    value(await cloud.detachEni(eni.id, NODE));
    await statusIs(cloud, eni.id, "Available");
    value(await cloud.deleteEni(eni.id));
    await statusIs(cloud, eni.id, undefined);
    value(await cloud.deleteEni(eni.id));

    const { enis, broken } = await simulator.state();
    expect([enis.filter(({ type }) => type === "Secondary"), broken]).toEqual([[], []]);
    const used = Object.keys(simulator.calls().totals).map((action) =>
      action === "DescribeVSwitches" ? `vpc:${action}` : `ecs:${action}`,
    );
    const allowed = DOCUMENTED_POLICY.Statement.flatMap(({ Action }) => Action);
    expect(used.filter((action) => !allowed.includes(action))).toEqual([]);
    expect(used).toHaveLength(10);
  });

  it("sends the parameters of CreateNetworkInterface as the API wants them", async () => {
    await using wire = await openWire();
    value(await wire.cloud.createEni({ ...CREATE, secondaryCount: 0 }, "pod"));
    expect(wire.simulator.calls().recent.map(({ action, parameters }) => [action, parameters])).toEqual([
      [
        "CreateNetworkInterface",
        {
          RegionId: "cn-hangzhou",
          ClientToken: "token-1",
          VSwitchId: PODS,
          "SecurityGroupIds.1": "sg-pods",
          "Tag.1.Key": "creator",
          "Tag.1.Value": "terway",
          "Tag.2.Key": "node",
          "Tag.2.Value": "node 1/ä",
          Description: "Pod addresses of a Kubernetes node, made by terway",
          DeleteOnRelease: "true",
          SourceDestCheck: "true",
        },
      ],
    ]);
    expect((await wire.simulator.state()).enis.find(({ type }) => type === "Secondary")).toMatchObject({
      sourceDestCheck: true,
    });
  });

  it("finds the ENI of a lost reply with the same token", async () => {
    await using wire = await openWire();
    wire.simulator.mustOrder({ kind: "lostReply", action: "CreateNetworkInterface" });
    expect(await wire.cloud.createEni(CREATE, "pod")).toMatchObject({
      fault: { class: "again", effect: "unknown" },
    });
    const again = value(await wire.cloud.createEni(CREATE, "pod"));
    const made = (await wire.simulator.state()).enis.filter(({ type }) => type === "Secondary");
    expect(made.map(({ id }) => id)).toEqual([again.id]);
  });

  it("finds the ENI behind an empty id with the same token", async () => {
    await using wire = await openWire();
    wire.simulator.mustOrder({ kind: "emptyNetworkInterfaceId" });
    expect(await wire.cloud.createEni(CREATE, "pod")).toMatchObject({
      fault: {
        class: "again",
        effect: "unknown",
        fault: { reason: expect.stringMatching(/NetworkInterfaceId/) },
      },
    });
    const again = value(await wire.cloud.createEni(CREATE, "pod"));
    const made = (await wire.simulator.state()).enis.filter(({ type }) => type === "Secondary");
    expect(made.map(({ id }) => id)).toEqual([again.id]);
  });

  it("finds the addresses of a lost reply with the same token", async () => {
    await using wire = await openWire();
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    const request = { eni: eni.id, family: "ipv4" as const, count: 5, token: "assign-1" };
    wire.simulator.mustOrder({ kind: "lostReply", action: "AssignPrivateIpAddresses" });
    expect(await wire.cloud.assignAddresses(request, "pod")).toMatchObject({
      fault: { class: "again", effect: "unknown" },
    });
    const added = value(await wire.cloud.assignAddresses(request, "pod"));
    const held = (await wire.simulator.state()).enis.find(({ id }) => id === eni.id)?.addresses;
    expect(held?.toSorted()).toEqual([...eni.addresses, ...added].toSorted());
    expect(added).toHaveLength(5);
  });

  it("does not know what became of an attachment without a reply, and sees it", async () => {
    await using wire = await openWire();
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    wire.simulator.mustOrder({ kind: "lostReply", action: "AttachNetworkInterface" });
    expect(await wire.cloud.attachEni(eni.id, NODE, "pod")).toMatchObject({
      fault: { class: "again", effect: "unknown" },
    });
    await statusIs(wire.cloud, eni.id, "InUse");
    expect(await view(wire.cloud, eni.id)).toMatchObject({ instance: NODE });
    expect(await wire.cloud.attachEni(eni.id, NODE, "pod")).toMatchObject({
      fault: { class: "state", effect: "none", fault: { code: "InvalidOperation.InvalidEniState" } },
    });
  });

  it.each([
    ["html502", /HTTP 502/],
    ["reset", /ECONNRESET/],
    ["hang", /no complete answer within 250 ms/],
  ] as const)("survives %s", async (kind, reason) => {
    await using wire = await openWire({ timeoutMs: 250 });
    wire.simulator.mustOrder({ kind });
    expect(await wire.cloud.createEni(CREATE, "pod")).toMatchObject({
      fault: {
        class: "again",
        effect: "unknown",
        fault: { kind: "cloud-unreachable", reason: expect.stringMatching(reason) },
      },
    });
    value(await wire.cloud.createEni(CREATE, "pod"));
    expect((await wire.simulator.state()).enis.filter(({ type }) => type === "Secondary")).toHaveLength(1);
  });

  it("slows down when it is throttled, and passes the cloud's wish on", async () => {
    await using wire = await openWire();
    wire.simulator.mustOrder({ kind: "error", code: "Throttling.User", retryAfterMs: 30 });
    expect(await wire.cloud.createEni(CREATE, "pod")).toMatchObject({
      fault: { class: "again", effect: "none", retryAfterMs: 30, fault: { code: "Throttling.User" } },
    });
    expect(wire.budget.stats().CreateNetworkInterface).toMatchObject({ throttled: 1, ratePerMinute: 30 });
  });

  it("reads two changes of one ENI at once as a conflict", async () => {
    // Half a second: the second call comes while the first one is at work, on a busy machine too.
    const latencies = { assign: { minMs: 50_000, maxMs: 50_000 } };
    await using wire = await openWire({ file: { latencies } });
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    const ends = await Promise.all(
      ["a", "b"].map((token) =>
        wire.cloud.assignAddresses({ eni: eni.id, family: "ipv4" as const, count: 1, token }, "pod"),
      ),
    );
    const refused = ends.filter((end) => !end.ok);
    expect(refused).toMatchObject([
      { fault: { class: "again", effect: "none", fault: { code: "Operation.Conflict" } } },
    ]);
    value(
      await wire.cloud.assignAddresses({ eni: eni.id, family: "ipv4" as const, count: 1, token: "c" }, "pod"),
    );
  });

  it("wants a new token where the old one was used for something else", async () => {
    await using wire = await openWire();
    value(await wire.cloud.createEni(CREATE, "pod"));
    expect(await wire.cloud.createEni({ ...CREATE, secondaryCount: 4 }, "pod")).toMatchObject({
      fault: { class: "new-token", effect: "none" },
    });
  });

  it.each([
    ["IpNotEnough", "InvalidVSwitchId.IpNotEnough"],
    ["QuotaExceeded", "QuotaExceeded.PrivateIpAddress"],
  ] as const)("knows a full vSwitch by %s, for a new ENI and for addresses", async (exhaustionCode, code) => {
    await using wire = await openWire({ file: { switches: { exhaustionCode } } });
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    wire.simulator.drain(PODS);
    const full = {
      fault: {
        class: "vswitch-full",
        effect: "none",
        fault: { code, remedy: expect.stringContaining("add another vSwitch of this zone") },
      },
    };
    expect(await wire.cloud.createEni({ ...CREATE, token: "token-2" }, "pod")).toMatchObject(full);
    const more = { eni: eni.id, family: "ipv4" as const, count: 1, token: "token-3" };
    expect(await wire.cloud.assignAddresses(more, "pod")).toMatchObject(full);
    wire.simulator.refill(PODS);
    value(await wire.cloud.assignAddresses({ ...more, token: "token-4" }, "pod"));
  });

  it("learns the limits of the instance type from the refusals", async () => {
    await using wire = await openWire();
    const { cloud } = wire;
    const enis = [];
    for (const token of ["1", "2", "3", "4"]) {
      enis.push(value(await cloud.createEni({ ...CREATE, token }, "warm-up")));
    }
    const [first, second, third, fourth] = enis.map(({ id }) => id);
    if (!first || !second || !third || !fourth) throw new Error("four ENIs were made");
    for (const id of [first, second, third]) value(await cloud.attachEni(id, NODE, "warm-up"));
    expect(await cloud.attachEni(fourth, NODE, "warm-up")).toMatchObject({
      fault: { class: "eni-quota", effect: "none", fault: { code: "EniPerInstanceLimitExceeded" } },
    });
    await statusIs(cloud, first, "InUse");
    expect(
      await cloud.assignAddresses({ eni: first, family: "ipv4" as const, count: 12, token: "5" }, "pod"),
    ).toMatchObject({
      fault: { class: "address-quota", fault: { code: "InvalidOperation.Ipv4CountExceeded" } },
    });
  });

  it("gives back what is left where one address is gone already", async () => {
    await using wire = await openWire();
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    const spare = eni.addresses.filter((address) => address !== eni.primary);
    value(await wire.cloud.unassignAddresses(eni.id, spare.slice(0, 1)));
    await expect.poll(async () => (await view(wire.cloud, eni.id))?.addresses.length).toBe(3);
    value(await wire.cloud.unassignAddresses(eni.id, spare));
    await expect.poll(async () => (await view(wire.cloud, eni.id))?.addresses).toEqual([eni.primary]);
    value(await wire.cloud.unassignAddresses(eni.id, spare));
  });

  it("is done at once with an ENI that somebody else has deleted", async () => {
    await using wire = await openWire();
    const eni = value(await wire.cloud.createEni(CREATE, "pod"));
    wire.simulator.mustOrder({ kind: "deleteEni", eni: eni.id });
    value(await wire.cloud.unassignAddresses(eni.id, eni.addresses));
    value(await wire.cloud.detachEni(eni.id, NODE));
    value(await wire.cloud.deleteEni(eni.id));
    expect(await wire.cloud.attachEni(eni.id, NODE, "pod")).toMatchObject({
      fault: { class: "gone", effect: "none" },
    });
  });

  it.each([
    [
      "a wrong secret",
      { ...KEY, accessKeySecret: "x" },
      "SignatureDoesNotMatch",
      "correct access-key-secret",
    ],
    ["an unknown key", { ...KEY, accessKeyId: "LTAInobody" }, "InvalidAccessKeyId.NotFound", "access-key-id"],
  ])("says where %s came from", async (_, key, code, remedy) => {
    await using wire = await openWire({ key });
    const result = await wire.cloud.createEni(CREATE, "pod");
    expect(result).toMatchObject({ fault: { class: "configuration", effect: "none", fault: { code } } });
    const fault = result.ok ? undefined : result.fault.fault;
    expect(fault?.kind === "cloud" && fault.remedy).toContain(remedy);
    expect(fault?.kind === "cloud" && fault.remedy).toContain("(Secret alibaba-addon-secret)");
  });

  it("names the permission that is missing", async () => {
    const withoutAttach = DOCUMENTED_POLICY.Statement.map((statement) => ({
      ...statement,
      Action: statement.Action.filter((action) => action !== "ecs:AttachNetworkInterface"),
    }));
    const terway = { ...DOCUMENTED_POLICY, Statement: withoutAttach };
    await using wire = await openWire({ file: { policies: { terway } } });
    expect(await wire.cloud.attachEni(eniId("eni-1"), NODE, "pod")).toMatchObject({
      fault: {
        class: "configuration",
        effect: "none",
        fault: {
          code: "Forbidden.RAM",
          remedy:
            "add ecs:AttachNetworkInterface to the RAM policy of the user or role that the access key (Secret alibaba-addon-secret) belongs to",
        },
      },
    });
  });

  it.each([20, -20])("says that the clock is wrong when the cloud's is %d minutes ahead", async (minutes) => {
    await using wire = await openWire();
    wire.simulator.mustOrder({ kind: "clockSkew", skewMs: minutes * 60_000 });
    expect(await wire.cloud.describeInstance(NODE)).toMatchObject({
      fault: {
        class: "configuration",
        fault: { code: "InvalidTimeStamp.Expired", remedy: expect.stringContaining("run chrony") },
      },
    });
  });

  it("leaves an ENI of another service as what it is", async () => {
    await using wire = await openWire();
    const { eni } = wire.simulator.mustOrder({ kind: "foreignEni", vSwitch: PODS, instance: NODE });
    if (eni === undefined) throw new Error("no ENI was made");
    await expect.poll(() => view(wire.cloud, eni)).toMatchObject({ serviceManaged: true, instance: NODE });
  });
});

async function view(cloud: Cloud, id: EniId) {
  return value(await cloud.describeEnis({ by: "ids", ids: [id] }))[0];
}

async function statusIs(cloud: Cloud, id: EniId, status: string | undefined): Promise<void> {
  await expect.poll(async () => (await view(cloud, id))?.status, { timeout: 5000 }).toBe(status);
}
