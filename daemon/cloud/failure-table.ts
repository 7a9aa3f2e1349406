/**
 * What each error code of ECS and VPC means for the agent, as data: how to go on, and what a person can do about it.
 *
 * Codes are what counts, never the HTTP status: the same code comes with different ones (`InvalidEniId.NotFound` is 404
 * in Detach and 403 in Delete). The first row that matches wins. Sources: the error tables of the API reference of each
 * action, and the codes that other clients are known to meet (`OperationConflict` beside `Operation.Conflict`).
 *
 * @module
 */
import { type CloudFailure, type FailureClass } from "../core/cloud.ts";

/**
 * The actions that the agent calls; all but those for IPv6 are in the RAM policy that the documentation tells users to
 * grant.
 */
export type Action =
  | "CreateNetworkInterface"
  | "AttachNetworkInterface"
  | "DescribeNetworkInterfaces"
  | "AssignPrivateIpAddresses"
  | "UnassignPrivateIpAddresses"
  | "AssignIpv6Addresses"
  | "UnassignIpv6Addresses"
  | "DetachNetworkInterface"
  | "DeleteNetworkInterface"
  | "ModifyNetworkInterfaceAttribute"
  | "DescribeInstanceAttribute"
  | "DescribeVSwitches";

export type FailureRule = {
  readonly code: RegExp;
  /** Only in these actions; in all where absent. */
  readonly actions?: readonly Action[];
  readonly class: FailureClass;
  /** "none" where absent: the cloud answered that it did not do it. */
  readonly effect?: CloudFailure["effect"];
  /** `{action}`, `{target}`, `{permission}` and `{source}` (of the access key) are filled in. */
  readonly remedy: string;
};

const SECRET = "Secret alibaba-addon-secret, credential in eni_conf, environment or RAM role";

const NO_SUCH_INSTANCE =
  "the account of the access key ({source}) has no such instance in this region: use a key of the account that owns the node";

export const FAILURE_RULES: readonly FailureRule[] = [
  {
    code: /Throttling/,
    class: "again",
    remedy:
      "the account's request rate for {action} is used up by all its clients together; the agent slows down and tries again. If it lasts, slow other clients or ask for a higher quota",
  },
  {
    code: /^(?:ServiceUnavailable|InternalError|InternalFailure|UnknownError)/,
    class: "again",
    effect: "unknown",
    remedy:
      "the cloud has a fault of its own; the agent tries again. If it lasts, give the request id to the support",
  },
  {
    code: /^Operation\.?Conflict$/,
    class: "again",
    remedy: "another operation on {target} is under way; the agent tries again",
  },
  {
    code: /^(?:IdempotentProcessing|LastTokenProcessing)$/,
    class: "again",
    remedy: "the first attempt of this call is still under way; the agent asks again",
  },
  {
    code: /^Idempotent/,
    class: "new-token",
    remedy: "the agent repeats the call with a new ClientToken",
  },
  {
    code: /^SignatureNonceUsed$/,
    class: "again",
    remedy:
      "the agent signs the call anew. If it lasts, something between this node and the API repeats requests",
  },
  {
    code: /^IncorrectVSwitchStatus$/,
    class: "again",
    remedy: "the vSwitch is being changed; the agent tries again",
  },
  {
    code: /(?:\.IpNotEnough|^QuotaExceeded\.PrivateIpAddress)$/,
    class: "vswitch-full",
    remedy:
      "the vSwitch of {target} has no free address: add another vSwitch of this zone to vswitches in eni-config, or free addresses in it",
  },
  {
    code: /(?:^|\.)EniPerInstanceLimitExceeded$/,
    class: "eni-quota",
    remedy:
      "the instance has as many ENIs as its type allows: detach ENIs that are not needed, use a larger type or place fewer pods on this node",
  },
  {
    code: /(?:^|\.)Ipv4CountExceeded$/,
    class: "address-quota",
    remedy: "{target} has as many addresses as the instance type allows: the agent takes another ENI",
  },
  {
    code: /(?:^|\.)(?:Ipv6CountExceeded|MaxEniIpv6IpsCountExceeded)$/,
    class: "address6-quota",
    remedy: "{target} has as many IPv6 addresses as the instance type allows: the agent takes another ENI",
  },
  {
    code: /(?:^|\.)(?:MaxEniCountExceeded|EniCountExceeded)$/,
    class: "account-quota",
    remedy:
      "the account or security group has no room for another ENI: delete ENIs that nobody uses, or raise the quota in the Quota Center",
  },
  {
    code: /(?:^|\.)(?:SecurityGroupInstanceLimitExceed(?:ed)?|JoinedGroupLimitExceed(?:ed)?)$/,
    class: "account-quota",
    remedy:
      "the security group cannot take another member, or the ENI another group: use an advanced security group or fewer groups in eni-config",
  },
  {
    code: /^(?:QuotaExceeded|LimitExceeded)/,
    class: "account-quota",
    remedy: "a quota of the account is used up: raise it in the Quota Center",
  },
  {
    code: /^InvalidEniId\.NotFound$/,
    class: "gone",
    remedy: "{target} does not exist, or is too new to be seen; the agent looks again",
  },
  {
    code: /^(?:InvalidEcsId|InvalidInstanceId)\.NotFound$/,
    actions: ["DetachNetworkInterface"],
    class: "gone",
    remedy: "the instance is gone, and with it the attachment; nothing to do",
  },
  {
    code: /^(?:InvalidEcsId|InvalidInstanceId)\.NotFound$/,
    actions: ["DescribeInstanceAttribute"],
    class: "gone",
    remedy: NO_SUCH_INSTANCE,
  },
  {
    code: /^(?:InvalidEcsId|InvalidInstanceId)\.NotFound$/,
    class: "configuration",
    remedy: NO_SUCH_INSTANCE,
  },
  {
    code: /^InvalidIp\.IpUnassigned$/,
    class: "gone",
    remedy: "some of the addresses are not on {target} any more; the agent looks again",
  },
  {
    code: /(?:^|\.)(?:InvalidEniState|InvalidEcsState|IncorrectInstanceStatus|EniNotBelongEcs)$/,
    class: "state",
    remedy: "{target} or its instance is in transition; the agent looks again and goes on from there",
  },
  {
    code: /^(?:Forbidden\.(?:RAM|SubUser|NoPermission|Unauthorized)|NoPermission|Unauthorized)/,
    class: "configuration",
    remedy:
      "add {permission} to the RAM policy of the user or role that the access key ({source}) belongs to",
  },
  {
    code: /^(?:SignatureDoesNotMatch|IncompleteSignature)/,
    class: "configuration",
    remedy:
      "the access key secret does not belong to the access key id: correct access-key-secret ({source})",
  },
  {
    code: /^InvalidAccessKeyId/,
    class: "configuration",
    remedy: "the access key id does not exist or is disabled: correct or enable access-key-id ({source})",
  },
  {
    code: /^(?:InvalidSecurityToken|MissingSecurityToken)/,
    class: "configuration",
    remedy:
      "the temporary credentials ({source}) have expired or are incomplete: check the RAM role of the instance and the clock of this node",
  },
  {
    code: /^(?:InvalidCredentials|MissingAccessKeyId)$/,
    class: "configuration",
    remedy: "no access key: fill in access-key-id and access-key-secret ({source})",
  },
  {
    code: /^(?:InvalidTimeStamp|IllegalTimestamp)/,
    class: "configuration",
    remedy:
      "the clock of this node is wrong by more than 15 minutes: run chrony (chronyc makestep) or another NTP client",
  },
  {
    code: /(?:^|\.)Ipv6NotTurnOn$/,
    class: "configuration",
    remedy:
      "the vSwitch of {target} has no IPv6: enable IPv6 for it in the VPC console, name another vSwitch in eni-config, or set ip_stack to ipv4",
  },
  {
    code: /(?:^|\.)Ipv6NotSupport$/,
    class: "configuration",
    remedy: "this instance type has no IPv6: use another type for nodes, or set ip_stack to ipv4",
  },
  {
    code: /^InvalidVSwitchId\b|^InvalidVswitchID\b/,
    class: "configuration",
    remedy: "correct vswitches in eni-config: {target} does not exist in this region or cannot be used here",
  },
  {
    code: /VpcMismatch|ZoneMismatch|DifferentVpc|InvalidVSwitchId\.NotInSameVpc/i,
    class: "configuration",
    remedy:
      "vSwitch, security group and instance must be of one VPC, vSwitch and instance of one zone: correct vswitches and security_group in eni-config",
  },
  {
    code: /^InvalidSecurityGroup|(?:^|\.)MultiGroupType$/,
    class: "configuration",
    remedy: "correct security_group in eni-config: groups must exist, be of this VPC and be of one type",
  },
  {
    code: /^InvalidResourceGroup/,
    class: "configuration",
    remedy: "correct the resource group in eni-config",
  },
  {
    code: /^(?:InvalidTag|Duplicate\.?TagKey|NumberExceed\.Tags)/,
    class: "configuration",
    remedy: "correct eni_tags in eni-config: at most 20 tags, keys without the prefixes aliyun and acs:",
  },
  {
    code: /HotPlugNotSupport/,
    class: "configuration",
    remedy: "this instance type cannot take an ENI while it runs: use another type for nodes",
  },
  {
    code: /EniServiceManaged|DetachPrimaryEniNotAllowed|DeletePrimaryEni/,
    class: "configuration",
    remedy:
      "{target} is not the agent's to change (primary, or of another service): report it with the agent's log",
  },
  {
    code: /Arrearage|InOverDue|NotEnoughBalance|AccountFrozen|NotEnoughAccountBalance/i,
    class: "configuration",
    remedy: "the account is in arrears or frozen: settle its bills",
  },
  {
    code: /^(?:InvalidAction|InvalidVersion|UnsupportedHTTPMethod|InvalidRegionId|InvalidProduct|InvalidApi)/,
    class: "configuration",
    remedy:
      "the endpoint does not know {action} or the region: check region and the endpoints of ECS and VPC",
  },
  {
    code: /^Forbidden/,
    class: "configuration",
    remedy: "the account forbids it: read the message, and check the rights of the access key ({source})",
  },
  {
    code: /^(?:Invalid|Missing|Malformed|Unsupported|OperationDenied)|NotFound$|Mismatch$/,
    class: "configuration",
    remedy:
      "correct what the message names in eni-config; if it is none of your settings, report it with the agent's log",
  },
];

/** The row that applies, or `undefined` for a code that no row knows. */
export function ruleFor(code: string, action: Action): FailureRule | undefined {
  return FAILURE_RULES.find((rule) => rule.code.test(code) && (rule.actions?.includes(action) ?? true));
}

/** Fills the blanks of a row's remedy. */
export function fillRemedy(
  remedy: string,
  blanks: {
    readonly action: Action;
    readonly target: string;
    readonly permission?: string;
    readonly source?: string;
  },
): string {
  const values: Readonly<Record<string, string>> = {
    action: blanks.action,
    target: blanks.target,
    permission: blanks.permission ?? permissionOf(blanks.action),
    source: blanks.source ?? SECRET,
  };
  return remedy.replace(/\{(\w+)\}/g, (blank, name: string) => values[name] ?? blank);
}

/** The name of an action in a RAM policy: `"ecs:CreateNetworkInterface"`. */
export function permissionOf(action: Action): string {
  return `${productOf(action)}:${action}`;
}

/** Which API has the action. */
export function productOf(action: Action): "ecs" | "vpc" {
  return action === "DescribeVSwitches" ? "vpc" : "ecs";
}
