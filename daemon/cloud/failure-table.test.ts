import { describe, expect, it } from "vitest";
import { type FailureClass } from "../core/cloud.ts";
import { type Action, FAILURE_RULES, fillRemedy, permissionOf, ruleFor } from "./failure-table.ts";

type Row = readonly [code: string, action: Action, class_: FailureClass, remedy: RegExp];

const CREATE = "CreateNetworkInterface";
const ASSIGN = "AssignPrivateIpAddresses";
const ASSIGN6 = "AssignIpv6Addresses";
const ATTACH = "AttachNetworkInterface";
const DETACH = "DetachNetworkInterface";

/** Every code that the references name, and at least one for each row of the table. */
const ROWS: readonly Row[] = [
  ["Throttling", CREATE, "again", /request rate for \{action\}/],
  ["Throttling.User", ASSIGN, "again", /request rate/],
  ["Throttling.Api", ASSIGN, "again", /request rate/],
  ["Throttling.DeepPageSkip", "DescribeVSwitches", "again", /request rate/],
  ["Request.Throttling", ASSIGN, "again", /request rate/],
  ["ServiceUnavailable", CREATE, "again", /fault of its own/],
  ["InternalError", CREATE, "again", /fault of its own/],
  ["UnknownError", CREATE, "again", /fault of its own/],
  ["Operation.Conflict", ASSIGN, "again", /another operation on \{target\}/],
  ["OperationConflict", ASSIGN, "again", /another operation/],
  ["IdempotentProcessing", CREATE, "again", /first attempt/],
  ["IdempotentParameterMismatch", CREATE, "new-token", /new ClientToken/],
  ["IdempotentFailed", ASSIGN, "new-token", /new ClientToken/],
  ["SignatureNonceUsed", CREATE, "again", /signs the call anew/],
  ["IncorrectVSwitchStatus", CREATE, "again", /being changed/],
  ["InvalidVSwitchId.IpNotEnough", CREATE, "vswitch-full", /add another vSwitch of this zone to vswitches/],
  ["InvalidVSwitchId.IpNotEnough", ASSIGN, "vswitch-full", /add another vSwitch/],
  ["QuotaExceeded.PrivateIpAddress", ASSIGN, "vswitch-full", /add another vSwitch/],
  ["EniPerInstanceLimitExceeded", ATTACH, "eni-quota", /as many ENIs as its type/],
  ["InvalidOperation.EniPerInstanceLimitExceeded", ATTACH, "eni-quota", /as many ENIs/],
  ["InvalidOperation.Ipv4CountExceeded", ASSIGN, "address-quota", /as many addresses/],
  ["InvalidOperation.Ipv6CountExceeded", ASSIGN6, "address6-quota", /as many IPv6 addresses/],
  ["MaxEniIpv6IpsCountExceeded", ASSIGN6, "address6-quota", /as many IPv6 addresses/],
  ["InvalidVSwitch.Ipv6NotTurnOn", ASSIGN6, "configuration", /enable IPv6 for it.*ip_stack/],
  ["InvalidVSwitch.Ipv6NotTurnOn", CREATE, "configuration", /vSwitch of \{target\} has no IPv6/],
  ["InvalidOperation.Ipv6NotSupport", CREATE, "configuration", /instance type has no IPv6/],
  ["MaxEniCountExceeded", CREATE, "account-quota", /Quota Center/],
  ["InvalidOperation.EniCountExceeded", CREATE, "account-quota", /Quota Center/],
  ["SecurityGroupInstanceLimitExceed", CREATE, "account-quota", /security group/],
  ["JoinedGroupLimitExceed", "ModifyNetworkInterfaceAttribute", "account-quota", /security group/],
  ["QuotaExceeded.Eni", CREATE, "account-quota", /Quota Center/],
  ["InvalidEniId.NotFound", DETACH, "gone", /does not exist/],
  ["InvalidEniId.NotFound", ATTACH, "gone", /too new to be seen/],
  ["InvalidEcsId.NotFound", DETACH, "gone", /instance is gone/],
  ["InvalidInstanceId.NotFound", DETACH, "gone", /instance is gone/],
  ["InvalidInstanceId.NotFound", "DescribeInstanceAttribute", "gone", /\{source\}.*owns the node/],
  ["InvalidInstanceId.NotFound", "AttachNetworkInterface", "configuration", /\{source\}.*owns the node/],
  ["InvalidIp.IpUnassigned", "UnassignPrivateIpAddresses", "gone", /not on \{target\} any more/],
  ["InvalidOperation.InvalidEniState", ATTACH, "state", /in transition/],
  ["InvalidOperation.InvalidEcsState", ATTACH, "state", /in transition/],
  ["IncorrectInstanceStatus", ATTACH, "state", /in transition/],
  ["InvalidParameter.EniNotBelongEcs", DETACH, "state", /in transition/],
  ["Forbidden.RAM", CREATE, "configuration", /add \{permission\} to the RAM policy/],
  ["NoPermission", CREATE, "configuration", /add \{permission\}/],
  ["SignatureDoesNotMatch", CREATE, "configuration", /correct access-key-secret \(\{source\}\)/],
  ["IncompleteSignature", CREATE, "configuration", /access-key-secret/],
  ["InvalidAccessKeyId.NotFound", CREATE, "configuration", /access-key-id \(\{source\}\)/],
  ["InvalidAccessKeyId.Inactive", CREATE, "configuration", /enable access-key-id/],
  ["InvalidSecurityToken.Expired", CREATE, "configuration", /temporary credentials/],
  ["InvalidCredentials", CREATE, "configuration", /no access key/],
  ["InvalidTimeStamp.Expired", CREATE, "configuration", /run chrony/],
  ["IllegalTimestamp", CREATE, "configuration", /run chrony/],
  ["InvalidVSwitchId.NotFound", CREATE, "configuration", /correct vswitches/],
  ["InvalidVswitchID.NotFound", "DescribeVSwitches", "configuration", /correct vswitches/],
  ["InvalidOperation.VpcMismatch", ATTACH, "configuration", /of one VPC/],
  ["InvalidOperation.AvailabilityZoneMismatch", ATTACH, "configuration", /of one zone/],
  ["InvalidSecurityGroupId.NotFound", CREATE, "configuration", /correct security_group/],
  ["InvalidOperation.MultiGroupType", "ModifyNetworkInterfaceAttribute", "configuration", /one type/],
  ["InvalidResourceGroup.NotFound", CREATE, "configuration", /resource group/],
  ["InvalidTagKey.Malformed", CREATE, "configuration", /eni_tags/],
  ["InvalidOperation.HotPlugNotSupport", ATTACH, "configuration", /another type for nodes/],
  ["InvalidOperation.EniServiceManaged", DETACH, "configuration", /not the agent's to change/],
  ["InvalidOperation.DetachPrimaryEniNotAllowed", DETACH, "configuration", /not the agent's to change/],
  ["Account.Arrearage", CREATE, "configuration", /bills/],
  ["InvalidAction.NotFound", CREATE, "configuration", /endpoints of ECS and VPC/],
  ["InvalidRegionId.NotFound", CREATE, "configuration", /check region/],
  ["Forbidden.AccountIdentity", CREATE, "configuration", /account forbids it/],
  ["MissingParameter", CREATE, "configuration", /correct what the message names/],
  ["InvalidParameter", CREATE, "configuration", /correct what the message names/],
];

describe("ruleFor()", () => {
  it.each(ROWS)("reads %s of %s as %s", (code, action, expected, remedy) => {
    const rule = ruleFor(code, action);
    expect(rule?.class).toBe(expected);
    expect(rule?.remedy).toMatch(remedy);
  });

  it("has no row that no code reaches", () => {
    const reached = new Set(ROWS.map(([code, action]) => ruleFor(code, action)));
    expect(FAILURE_RULES.filter((rule) => !reached.has(rule)).map((rule) => rule.code.source)).toEqual([]);
  });

  it("knows no row for a code that nobody has seen", () => {
    expect(ruleFor("SomethingNew", CREATE)).toBeUndefined();
  });

  it("takes an effect for possible only where the cloud may have gone on", () => {
    const unknown = ROWS.filter(([code, action]) => ruleFor(code, action)?.effect === "unknown");
    expect(unknown.map(([code]) => code)).toEqual(["ServiceUnavailable", "InternalError", "UnknownError"]);
  });
});

describe("fillRemedy()", () => {
  it("fills every blank that the table has", () => {
    for (const { remedy } of FAILURE_RULES) {
      expect(fillRemedy(remedy, { action: CREATE, target: "vsw-1" })).not.toMatch(/[{}]/);
    }
  });

  it("names what is given", () => {
    const blanks = { action: CREATE, target: "vsw-1", permission: "ecs:X", source: "Secret s" } as const;
    expect(fillRemedy("{action} {target} {permission} {source}", blanks)).toBe(
      "CreateNetworkInterface vsw-1 ecs:X Secret s",
    );
  });
});

describe("permissionOf()", () => {
  it("has the product in front", () => {
    expect([permissionOf(CREATE), permissionOf("DescribeVSwitches")]).toEqual([
      "ecs:CreateNetworkInterface",
      "vpc:DescribeVSwitches",
    ]);
  });
});
