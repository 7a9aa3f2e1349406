import { describe, expect, it } from "vitest";
import { START_MS, cloudOf, order, attached, metadata, macOf } from "./test-cloud.ts";
import { DUAL_STACK_TOPOLOGY_FILE } from "./topology-default.ts";

describe("metadata()", () => {
  it("has the items of the instance and of its ENIs", () => {
    const cloud = cloudOf();
    const mac = metadata(cloud, "mac").body;
    const items = [
      "instance-id",
      "instance/instance-type",
      "region-id",
      "zone-id",
      "vpc-id",
      "vswitch-id",
      "vpc-cidr-block",
    ];
    expect(items.map((item) => metadata(cloud, item).body)).toEqual([
      "i-node-1",
      "ecs.g7.xlarge",
      "cn-hangzhou",
      "cn-hangzhou-h",
      "vpc-demo",
      "vsw-nodes-h",
      "10.10.0.0/16",
    ]);
    expect(metadata(cloud, "network/interfaces/macs/").body).toBe(`${mac}/`);
    const below = [
      "primary-ip-address",
      "private-ipv4s",
      "gateway",
      "netmask",
      "vswitch-id",
      "vswitch-cidr-block",
    ];
    expect(below.map((item) => metadata(cloud, `network/interfaces/macs/${mac}/${item}`).body)).toEqual([
      "10.10.0.11",
      '["10.10.0.11"]',
      "10.10.0.253",
      "255.255.255.0",
      "vsw-nodes-h",
      "10.10.0.0/24",
    ]);
    for (const absent of [
      "nothing",
      "network/interfaces/macs/00:16:3e:00:00:00/gateway",
      `network/interfaces/macs/${mac}/ipv6s`,
      `network/interfaces/macs/${mac}/ipv6-gateway`,
      `network/interfaces/macs/${mac}/vswitch-ipv6-cidr-block`,
    ]) {
      expect(metadata(cloud, absent).status, absent).toBe(404);
    }
    expect(metadata(cloud, "network/").body).toBe("interfaces/");
  });

  it("has the items of IPv6 where the vSwitch has it, and addresses where the ENI has some", () => {
    const cloud = cloudOf(DUAL_STACK_TOPOLOGY_FILE);
    const eni = attached(cloud);
    const macs = [metadata(cloud, "mac").body, macOf(cloud, eni)];
    const read = (item: string): unknown =>
      macs.map((mac) => metadata(cloud, `network/interfaces/macs/${mac}/${item}`)).map(({ body }) => body);
    expect(read("ipv6-gateway")).toEqual([
      "fd00:10:0:4:ffff:ffff:ffff:fff7",
      "fd00:10:0:2:ffff:ffff:ffff:fff7",
    ]);
    expect(read("vswitch-ipv6-cidr-block")).toEqual(["fd00:10:0:4::/64", "fd00:10:0:2::/64"]);
    expect(read("ipv6s")).toEqual(["[fd00:10:0:4::11]", "no such item"]);
    for (const address of ["fd00:10:0:2::5", "fd00:10:0:2::6"]) {
      cloud.call("AssignIpv6Addresses", { NetworkInterfaceId: eni, "Ipv6Address.1": address });
    }
    cloud.pass(1500);
    expect(read("ipv6s")).toEqual(["[fd00:10:0:4::11]", "[fd00:10:0:2::5, fd00:10:0:2::6]"]);
  });

  it("gives credentials of the role that sign calls, and new ones when they expire", () => {
    const cloud = cloudOf();
    expect(metadata(cloud, "ram/security-credentials/").body).toBe("terway-node");
    const read = (): { AccessKeyId: string } =>
      JSON.parse(metadata(cloud, "ram/security-credentials/terway-node").body);
    const first = read();
    expect(cloud.model.credential(first.AccessKeyId)).toMatchObject({
      policy: "terway",
      expiresMs: START_MS + 6 * 3_600_000,
    });
    expect(read()).toEqual(first);
    order(cloud, { kind: "stsExpiry" });
    expect(cloud.model.credential(first.AccessKeyId)?.expiresMs).toBe(0);
    expect(read().AccessKeyId).not.toBe(first.AccessKeyId);
  });

  it("wants tokens where the instance is hardened", () => {
    const cloud = cloudOf({ switches: { metadataTokens: "required" } });
    const issue = (ttlSeconds: string): { status: number; body: string } =>
      metadata(cloud, "/latest/api/token", { method: "PUT", ttlSeconds });
    expect(metadata(cloud, "mac").status).toBe(403);
    expect(metadata(cloud, "mac", { token: "made up" }).status).toBe(401);
    expect([issue("0").status, issue("21601").status, issue("").status]).toEqual([400, 400, 400]);
    const token = issue("60").body;
    expect(metadata(cloud, "mac", { token }).status).toBe(200);
    cloud.pass(60_000);
    expect(metadata(cloud, "mac", { token }).status).toBe(401);
    const next = issue("60").body;
    order(cloud, { kind: "metadataTokenExpiry" });
    expect(metadata(cloud, "mac", { token: next }).status).toBe(401);
  });

  it("fails, lags and is stale as ordered", () => {
    const cloud = cloudOf();
    order(cloud, { kind: "metadataError", status: 429, times: 1, path: "mac" });
    expect([
      metadata(cloud, "vpc-id").status,
      metadata(cloud, "mac").status,
      metadata(cloud, "mac").status,
    ]).toEqual([200, 429, 200]);
    const lag = order(cloud, { kind: "metadataLag", delayMs: 20_000, instance: "i-node-1" }) ?? "";
    const first = attached(cloud);
    const shown = (): boolean =>
      metadata(cloud, "network/interfaces/macs/").body.includes(macOf(cloud, first));
    expect(shown()).toBe(false);
    cloud.pass(20_000);
    expect(shown()).toBe(true);
    cloud.model.removeFault(lag);
    order(cloud, { kind: "metadataStale" });
    const second = attached(cloud);
    const count = (): number => metadata(cloud, "network/interfaces/macs/").body.split("\n").length;
    expect([second === first, count()]).toEqual([false, 2]);
    cloud.model.clearFaults();
    expect(count()).toBe(3);
    expect(cloud.model.calls().totals["Metadata"]?.throttled).toBe(1);
  });
});
