/** The IPv6 half of the agent's cloud edge against the simulated VPC: same parameters, same refusals. */
import { describe, expect, it } from "vitest";
import { type AssignAddresses, type Cloud } from "../daemon/core/cloud.ts";
import { type EniId } from "../proto/ids.ts";
import { DOCUMENTED_POLICY, DUAL_STACK_TOPOLOGY_FILE } from "../sim/model/topology-default.ts";
import { CREATE, NODE, openWire, PODS, value } from "./cloud-wire.ts";

const PAIRS = { ...CREATE, count6: 4 };

describe("openCloud() and the simulated VPC with IPv6", () => {
  it("makes an ENI of pairs in one call, completes it, and gives pairs back", async () => {
    await using wire = await openWire({ file: DUAL_STACK_TOPOLOGY_FILE });
    const { cloud, simulator } = wire;
    expect(value(await cloud.describeVSwitches({ by: "id", id: PODS }))).toMatchObject([
      { id: PODS, cidr6: "fd00:10:0:2::/64" },
    ]);
    const eni = value(await cloud.createEni(PAIRS, "pod"));
    expect([eni.addresses.length, eni.addresses6.length]).toEqual([4, 4]);
    value(await cloud.attachEni(eni.id, NODE, "pod"));
    await expect.poll(async () => (await view(cloud, eni.id))?.status).toBe("InUse");
    const more = value(await cloud.assignAddresses(request(eni.id, 2), "pod"));
    await expect
      .poll(async () => (await view(cloud, eni.id))?.addresses6.toSorted())
      .toEqual([...eni.addresses6, ...more].toSorted());
    value(await cloud.unassignAddresses(eni.id, eni.addresses6));
    // One of the list is gone already.
    value(await cloud.unassignAddresses(eni.id, [...more, ...eni.addresses6.slice(0, 1)]));
    await expect.poll(async () => (await view(cloud, eni.id))?.addresses6).toEqual([]);
    expect((await simulator.state()).broken).toEqual([]);
  });

  it("finds the addresses of a lost reply with the same token", async () => {
    await using wire = await openWire({ file: DUAL_STACK_TOPOLOGY_FILE });
    const eni = value(await wire.cloud.createEni(PAIRS, "pod"));
    wire.simulator.mustOrder({ kind: "lostReply", action: "AssignIpv6Addresses" });
    expect(await wire.cloud.assignAddresses(request(eni.id, 3), "pod")).toMatchObject({
      fault: { class: "again", effect: "unknown" },
    });
    const added = value(await wire.cloud.assignAddresses(request(eni.id, 3), "pod"));
    await expect
      .poll(async () => (await view(wire.cloud, eni.id))?.addresses6.toSorted())
      .toEqual([...eni.addresses6, ...added].toSorted());
  });

  it("conflicts with a change of the other family", async () => {
    // Half a second: the second call comes while the first one is at work, on a busy machine too.
    const latencies = { assign: { minMs: 50_000, maxMs: 50_000 } };
    await using wire = await openWire({ file: { ...DUAL_STACK_TOPOLOGY_FILE, latencies } });
    const eni = value(await wire.cloud.createEni(PAIRS, "pod"));
    const ends = await Promise.all([
      wire.cloud.assignAddresses(request(eni.id, 1), "pod"),
      wire.cloud.assignAddresses({ ...request(eni.id, 1), family: "ipv4", token: "v4" }, "pod"),
    ]);
    expect(ends.filter((end) => !end.ok)).toMatchObject([
      { fault: { class: "again", effect: "none", fault: { code: "Operation.Conflict" } } },
    ]);
  });

  it("learns the quota of IPv6 from the refusals", async () => {
    const type = { eniQuantity: 4, eniPrivateIpAddressQuantity: 15, eniIpv6AddressQuantity: 5 };
    const file = { ...DUAL_STACK_TOPOLOGY_FILE, instanceTypes: { "ecs.g7.xlarge": type } };
    await using wire = await openWire({ file });
    const { cloud } = wire;
    const quota = { fault: { class: "address6-quota", effect: "none" } };
    const large = value(await cloud.createEni({ ...PAIRS, count6: 6, token: "large" }, "pod"));
    expect(await cloud.attachEni(large.id, NODE, "pod")).toMatchObject(quota);
    const eni = value(await cloud.createEni(PAIRS, "pod"));
    value(await cloud.attachEni(eni.id, NODE, "pod"));
    await expect.poll(async () => (await view(cloud, eni.id))?.status).toBe("InUse");
    expect(await cloud.assignAddresses(request(eni.id, 2), "pod")).toMatchObject(quota);
    expect(value(await cloud.assignAddresses({ ...request(eni.id, 1), token: "t-2" }, "pod"))).toHaveLength(
      1,
    );
  });

  it("says what to do where the vSwitch, the type or the key has no IPv6", async () => {
    await using plain = await openWire();
    expect(await plain.cloud.createEni(PAIRS, "pod")).toMatchObject({
      fault: { class: "configuration", fault: { remedy: expect.stringContaining("enable IPv6 for it") } },
    });
    const type = { eniQuantity: 4, eniPrivateIpAddressQuantity: 15, eniIpv6AddressQuantity: 0 };
    await using old = await openWire({
      file: { ...DUAL_STACK_TOPOLOGY_FILE, instanceTypes: { "ecs.g7.xlarge": type } },
    });
    const eni = value(await old.cloud.createEni(PAIRS, "pod"));
    expect(await old.cloud.attachEni(eni.id, NODE, "pod")).toMatchObject({
      fault: {
        class: "configuration",
        fault: { remedy: expect.stringContaining("instance type has no IPv6") },
      },
    });
    await using poor = await openWire({
      file: { ...DUAL_STACK_TOPOLOGY_FILE, policies: { terway: DOCUMENTED_POLICY } },
    });
    const made = value(await poor.cloud.createEni(PAIRS, "pod"));
    expect(await poor.cloud.assignAddresses(request(made.id, 1), "pod")).toMatchObject({
      fault: {
        class: "configuration",
        fault: { remedy: expect.stringContaining("add ecs:AssignIpv6Addresses to the RAM policy") },
      },
    });
  });
});

function request(eni: EniId, count: number): AssignAddresses {
  return { eni, family: "ipv6", count, token: `assign-${count}` };
}

async function view(cloud: Cloud, id: EniId) {
  return value(await cloud.describeEnis({ by: "ids", ids: [id] }))[0];
}
