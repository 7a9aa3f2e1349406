/**
 * Clients that are not ours, as they come from their packages, against the simulator: what they sign is accepted as
 * meant, and what it answers they can read.
 *
 * @module
 */
import RpcClient from "@alicloud/pop-core";
import { createRequire } from "node:module";
import type * as EcsModule from "@alicloud/ecs20140526";
import { $OpenApiUtil } from "@alicloud/openapi-core";
import type * as VpcModule from "@alicloud/vpc20160428";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TopologyFile } from "../model/topology.ts";
import { DUAL_STACK_TOPOLOGY_FILE } from "../model/topology-default.ts";
import { parseTopology } from "../model/topology-file.ts";
import { openSimulator, type Simulator } from "./server.ts";

// Loaded as what they are, CommonJS, so that the class is `default` in every runner.
const load = createRequire(import.meta.url);
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the package is
const ecs = load("@alicloud/ecs20140526") as typeof EcsModule.default;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the package is
const vpc = load("@alicloud/vpc20160428") as typeof VpcModule.default;

const NASTY = "a b+c*d~e/f'(中文)!\"&=%20?#@:,;\u{1F600}";
const KEY = { accessKeyId: "LTAI5tSimulatedVpcKey", accessKeySecret: "simulated-vpc-secret" };
const STS = { accessKeyId: "STS.Fixed", accessKeySecret: "sts/secret+=", securityToken: "CAIS+/token==" };
const FILE: TopologyFile = {
  ...DUAL_STACK_TOPOLOGY_FILE,
  policies: {
    ...DUAL_STACK_TOPOLOGY_FILE.policies,
    all: { Version: "1", Statement: [{ Effect: "Allow", Action: "*" }] },
  },
  credentials: [...DUAL_STACK_TOPOLOGY_FILE.credentials, { ...STS, policy: "all" }],
};

let simulator: Simulator;

beforeAll(async () => {
  const topology = parseTopology(JSON.stringify(FILE));
  if (!topology.ok) throw new Error(JSON.stringify(topology.fault));
  simulator = await openSimulator({
    topology: topology.value,
    seed: 1,
    timeScale: 100,
    api: { host: "127.0.0.1", port: 0 },
  });
});

afterAll(() => simulator[Symbol.asyncDispose]());

type Signing = { readonly signatureAlgorithm?: string; readonly securityToken?: string } & typeof KEY;

function sdkConfig(signing: Signing): $OpenApiUtil.Config {
  return new $OpenApiUtil.Config({
    ...signing,
    endpoint: simulator.apiEndpoint,
    protocol: "HTTP",
    regionId: "cn-hangzhou",
    readTimeout: 5000,
    connectTimeout: 5000,
  });
}

describe.each<[string, Signing]>([
  ["ACS3", KEY],
  ["ACS3 with temporary credentials", STS],
  ["HMAC-SHA1", { ...KEY, signatureAlgorithm: "v2" }],
  ["HMAC-SHA1 with temporary credentials", { ...STS, signatureAlgorithm: "v2" }],
])("the vendor's SDK, %s", (_, signing) => {
  it("goes through the life of an ENI with nasty characters", async () => {
    const client = new ecs.default(sdkConfig(signing));
    const common = { regionId: "cn-hangzhou" };
    const created = await client.createNetworkInterface(
      new ecs.CreateNetworkInterfaceRequest({
        ...common,
        vSwitchId: "vsw-pods-h2",
        securityGroupIds: ["sg-pods", "sg-nodes"],
        description: NASTY,
        secondaryPrivateIpAddressCount: 3,
        ipv6AddressCount: 2,
        sourceDestCheck: false,
        deleteOnRelease: true,
        clientToken: `token-${Math.random()}`,
        tag: [new ecs.CreateNetworkInterfaceRequestTag({ key: NASTY, value: "" })],
      }),
    );
    expect(created.body).toMatchObject({
      status: "Available",
      description: NASTY,
      vSwitchId: "vsw-pods-h2",
      zoneId: "cn-hangzhou-h",
      sourceDestCheck: false,
      securityGroupIds: { securityGroupId: ["sg-pods", "sg-nodes"] },
      tags: { tag: [{ tagKey: NASTY, tagValue: "" }] },
    });
    expect(created.body?.privateIpSets?.privateIpSet?.map((set) => set.primary)).toEqual([
      true,
      false,
      false,
      false,
    ]);
    const ipv6 = created.body?.ipv6Sets?.ipv6Set?.map((set) => set.ipv6Address) ?? [];
    expect(ipv6).toEqual([
      expect.stringMatching(/^fd00:10:0:2:[0-9a-f:]+$/),
      expect.stringMatching(/^fd00:10:0:2:[0-9a-f:]+$/),
    ]);
    const eni = { ...common, networkInterfaceId: created.body?.networkInterfaceId ?? "" };
    const attachment = { ...eni, instanceId: "i-node-1" };
    await client.attachNetworkInterface(new ecs.AttachNetworkInterfaceRequest(attachment));
    await statusOf(client, eni.networkInterfaceId, "InUse");
    const assigned = await client.assignPrivateIpAddresses(
      new ecs.AssignPrivateIpAddressesRequest({
        ...eni,
        secondaryPrivateIpAddressCount: 2,
        clientToken: `t-${Math.random()}`,
      }),
    );
    const addresses = assigned.body?.assignedPrivateIpAddressesSet?.privateIpSet?.privateIpAddress ?? [];
    expect(addresses).toHaveLength(2);
    await client.unassignPrivateIpAddresses(
      new ecs.UnassignPrivateIpAddressesRequest({ ...eni, privateIpAddress: addresses }),
    );
    const assigned6 = await client.assignIpv6Addresses(
      new ecs.AssignIpv6AddressesRequest({ ...eni, ipv6AddressCount: 3, clientToken: `t-${Math.random()}` }),
    );
    expect(assigned6.body?.networkInterfaceId).toBe(eni.networkInterfaceId);
    const addresses6 = assigned6.body?.ipv6Sets?.ipv6Address ?? [];
    expect(addresses6).toHaveLength(3);
    await client.unassignIpv6Addresses(
      new ecs.UnassignIpv6AddressesRequest({ ...eni, ipv6Address: addresses6 }),
    );
    await client.modifyNetworkInterfaceAttribute(
      new ecs.ModifyNetworkInterfaceAttributeRequest({
        ...eni,
        securityGroupId: ["sg-pods"],
        description: `new ${NASTY}`,
      }),
    );
    await client.detachNetworkInterface(new ecs.DetachNetworkInterfaceRequest(attachment));
    const available = await statusOf(client, eni.networkInterfaceId, "Available");
    expect(available).toMatchObject({
      description: `new ${NASTY}`,
      securityGroupIds: { securityGroupId: ["sg-pods"] },
      type: "Secondary",
    });
    await client.deleteNetworkInterface(new ecs.DeleteNetworkInterfaceRequest(eni));
    await statusOf(client, eni.networkInterfaceId, undefined);
  });

  it("reads instances and vSwitches", async () => {
    const client = new ecs.default(sdkConfig(signing));
    const attribute = await client.describeInstanceAttribute(
      new ecs.DescribeInstanceAttributeRequest({ instanceId: "i-node-1" }),
    );
    expect(attribute.body).toMatchObject({
      instanceType: "ecs.g7.xlarge",
      zoneId: "cn-hangzhou-h",
      vpcAttributes: { vSwitchId: "vsw-nodes-h", privateIpAddress: { ipAddress: ["10.10.0.11"] } },
    });
    const instances = await client.describeInstances(
      new ecs.DescribeInstancesRequest({ regionId: "cn-hangzhou", instanceIds: '["i-node-2"]' }),
    );
    expect(instances.body?.instances?.instance).toMatchObject([
      {
        instanceId: "i-node-2",
        metadataOptions: { httpTokens: "optional" },
        networkInterfaces: { networkInterface: [{ type: "Primary", primaryIpAddress: "10.10.1.12" }] },
      },
    ]);
    const vSwitches = await new vpc.default(sdkConfig(signing)).describeVSwitches(
      new vpc.DescribeVSwitchesRequest({ regionId: "cn-hangzhou", vSwitchId: "vsw-pods-h1" }),
    );
    expect(vSwitches.body).toMatchObject({
      totalCount: 1,
      vSwitches: {
        vSwitch: [
          {
            vSwitchId: "vsw-pods-h1",
            zoneId: "cn-hangzhou-h",
            cidrBlock: "10.10.16.0/28",
            availableIpAddressCount: 12,
            ipv6CidrBlock: "fd00:10:0:1::/64",
            enabledIpv6: true,
          },
        ],
      },
    });
  });
});

type EniDocument = EcsModule.DescribeNetworkInterfacesResponseBodyNetworkInterfaceSetsNetworkInterfaceSet;

/** Asks until the ENI has the status, or is gone where none is wanted. */
async function statusOf(
  client: InstanceType<typeof ecs.default>,
  eni: string,
  wanted: string | undefined,
): Promise<EniDocument | undefined> {
  const request = new ecs.DescribeNetworkInterfacesRequest({
    regionId: "cn-hangzhou",
    networkInterfaceId: [eni],
  });
  let shown: EniDocument | undefined;
  await expect
    .poll(async () => {
      const described = await client.describeNetworkInterfaces(request);
      shown = described.body?.networkInterfaceSets?.networkInterfaceSet?.[0];
      return shown?.status;
    })
    .toBe(wanted);
  return shown;
}

describe.each(["GET", "POST"])("the older RPC client, %s", (method) => {
  it("is understood with nasty characters", async () => {
    const client = new RpcClient({
      ...KEY,
      endpoint: `http://${simulator.apiEndpoint}`,
      apiVersion: "2014-05-26",
    });
    const created = await client.request<{ NetworkInterfaceId: string; Description: string }>(
      "CreateNetworkInterface",
      {
        RegionId: "cn-hangzhou",
        VSwitchId: "vsw-pods-i1",
        SecurityGroupId: "sg-pods",
        Description: NASTY,
        ClientToken: `pop-${Math.random()}`,
      },
      { method },
    );
    expect(created.Description).toBe(NASTY);
    await client.request(
      "DeleteNetworkInterface",
      { RegionId: "cn-hangzhou", NetworkInterfaceId: created.NetworkInterfaceId },
      { method },
    );
  });
});

describe("DescribeInstanceTypes", () => {
  it("is answered where the policy allows it, and denied with the eleven actions", async () => {
    const request = new ecs.DescribeInstanceTypesRequest({ instanceTypes: ["ecs.g7.xlarge"] });
    const allowed = await new ecs.default(sdkConfig(STS)).describeInstanceTypes(request);
    expect(allowed.body?.instanceTypes?.instanceType).toMatchObject([
      { instanceTypeId: "ecs.g7.xlarge", eniQuantity: 4, eniPrivateIpAddressQuantity: 15 },
    ]);
    await expect(new ecs.default(sdkConfig(KEY)).describeInstanceTypes(request)).rejects.toMatchObject({
      code: "Forbidden.RAM",
      statusCode: 403,
      accessDeniedDetail: { AuthAction: "ecs:DescribeInstanceTypes", NoPermissionType: "ImplicitDeny" },
    });
  });
});
