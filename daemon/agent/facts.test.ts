/**
 * What is said of a vSwitch that cannot be used, for the case that no simulated VPC has: a vSwitch of another VPC.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { parseMac } from "../../proto/addr.ts";
import { parseCidr } from "../../proto/cidr.ts";
import { parseCidr6 } from "../../proto/cidr6.ts";
import { instanceId, securityGroupId, vSwitchId } from "../../proto/ids.ts";
import { ok } from "../../proto/result.ts";
import { type VSwitchView } from "../core/cloud.ts";
import { learnCloudFacts } from "./facts.ts";

function known<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("does not parse");
  return value;
}

const node = {
  instance: instanceId("i-1"),
  instanceType: "ecs.g7.xlarge",
  region: "cn-hangzhou",
  zone: "cn-hangzhou-h",
  vpc: "vpc-1",
  primaryMac: known(parseMac("00:16:3e:00:00:01")),
};

function vSwitch(id: string, vpc: string): VSwitchView {
  const cidr = known(parseCidr("10.0.0.0/24"));
  return { id: vSwitchId(id), vpc, zone: node.zone, cidr, availableAddresses: 252 };
}

const groups = [securityGroupId("sg-1")];

describe("learnCloudFacts()", () => {
  const all = [vSwitch("vsw-1", "vpc-1"), vSwitch("vsw-2", "vpc-2")];
  const cloud = {
    describeVSwitches: async (query: { readonly by: "zone" } | { readonly by: "id"; readonly id: string }) =>
      ok(all.filter((view) => (query.by === "id" ? view.id === query.id : view.vpc === node.vpc))),
    describeInstance: () => Promise.reject(new Error("is not to be asked: the groups are configured")),
  };

  it("refuses a vSwitch of another VPC, and names both", async () => {
    const configured = [vSwitchId("vsw-1"), vSwitchId("vsw-2")];
    expect(await learnCloudFacts(cloud, node, undefined, { configured, groups, ipStack: "ipv4" })).toEqual({
      ok: false,
      fault: {
        text: [
          "vSwitch vsw-2 is in VPC vpc-2, this node in vpc-1",
          '  correct "vswitches" of eni_conf: zone cn-hangzhou-h needs vSwitches of VPC vpc-1 in that zone',
        ].join("\n"),
      },
    });
  });

  it("knows the vSwitches where all are right", async () => {
    const configured = [vSwitchId("vsw-1")];
    const facts = { node, vSwitches: all.slice(0, 1), configured, securityGroups: groups };
    expect(await learnCloudFacts(cloud, node, undefined, { configured, groups, ipStack: "ipv4" })).toEqual(
      ok(facts),
    );
  });

  it("refuses a vSwitch without IPv6 where pods get it, and looks again where a former run saw none", async () => {
    const configured = [vSwitchId("vsw-1")];
    const wanted = { configured, groups, ipStack: "dual" } as const;
    expect(await learnCloudFacts(cloud, node, undefined, wanted)).toEqual({
      ok: false,
      fault: {
        text: [
          "ip_stack of eni_conf is dual, and these vSwitches have no IPv6 block: vsw-1",
          '  enable IPv6 for them in the VPC console, name vSwitches that have it in "vswitches", or set ip_stack to ipv4',
        ].join("\n"),
      },
    });
    const former = { node, vSwitches: all.slice(0, 1), configured, securityGroups: groups };
    const enabled = { ...known(all[0]), cidr6: known(parseCidr6("fd00::/64")) };
    const now = { ...cloud, describeVSwitches: async () => ok([enabled]) };
    expect(await learnCloudFacts(now, node, former, wanted)).toEqual(ok({ ...former, vSwitches: [enabled] }));
  });
});
