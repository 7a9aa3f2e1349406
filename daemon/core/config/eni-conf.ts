/**
 * `eni_conf`: text to a checked, complete, frozen configuration in the agent's own words.
 *
 * @module
 */
import { type z } from "zod";
import { type IpCidr } from "../../../proto/cidr6.ts";
import { type SecurityGroupId, type VSwitchId } from "../../../proto/ids.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type IpStack } from "../ip-stack.ts";
import { checkText, type CrossCheck, type Finding, nearest } from "./check.ts";
import { ENI_KEYS, SECURITY_GROUPS_MAX } from "./eni-keys.ts";
import { freeze } from "./freeze.ts";
import { type TypeLimits } from "./type-limits.ts";
import { type Parsed } from "./problem.ts";
import { type Secret } from "./secret.ts";
import { TERWAY_KEYS } from "./terway-keys.ts";

/** What the agent is told about the cloud and the pool, every default applied. Deeply frozen. */
export type EniConf = {
  readonly version: string;
  /** Zone -> vSwitches in the configured order. Ask with `vSwitchesOf`. */
  readonly vSwitches: Readonly<Record<string, readonly VSwitchId[]>>;
  readonly vSwitchPolicy: "ordered" | "random" | "most";
  readonly vSwitchRetryMs: number;
  /** At most five, none twice; empty: those of the node's primary ENI. */
  readonly securityGroups: readonly SecurityGroupId[];
  readonly serviceCidrs: readonly IpCidr[];
  /** Idle addresses: `poolBounds` turns these and the ENI counts into what the pool keeps. */
  readonly minPoolSize: number;
  readonly maxPoolSize: number;
  /** 0: not set. */
  readonly minEni: number;
  /** 0: what the instance type allows. */
  readonly maxEni: number;
  /** Above 0, up to 1. */
  readonly eniCapRatio: number;
  readonly eniCapShift: number;
  readonly eniPolicy: "most_ips" | "least_ips";
  readonly eniTags: Readonly<Record<string, string>>;
  /** Empty: only ENIs that the agent made. */
  readonly eniTagFilter: Readonly<Record<string, string>>;
  readonly resourceGroup?: string;
  readonly cooldownMs: number;
  /** An ENI of ours that nobody can claim is deleted after this. */
  readonly orphanAfterMs: number;
  readonly poolSyncPeriodMs: number;
  readonly idleReclaim: IdleReclaim;
  /** By instance type, primary ENI and primary addresses included. */
  readonly instanceTypeLimits: Readonly<Record<string, TypeLimits>>;
  readonly addTimeoutMs: number;
  readonly cloudTimeoutMs: number;
  /** Calls a minute; what is absent is the budget's own. */
  readonly rateLimits: Readonly<Partial<Record<ApiAction, number>>>;
  readonly region?: string;
  /** URLs without a path; absent: the ones inside the VPC of the region. */
  readonly ecsEndpoint?: string;
  readonly vpcEndpoint?: string;
  readonly inlineCredentials?: { readonly accessKeyId: Secret; readonly accessKeySecret: Secret };
  readonly ipStack: IpStack;
};

export type IdleReclaim = {
  /** Absent: never. */
  readonly afterMs?: number;
  readonly intervalMs: number;
  readonly batchSize: number;
  /** 0 to 1, share of the interval. */
  readonly jitterFactor: number;
};

type EniValues = z.output<typeof ENI_KEYS.schema>;

/** The actions of the RAM policy and, for IPv6, two more: the only ones that the agent calls. */
const ACTIONS = [
  "CreateNetworkInterface",
  "DescribeNetworkInterfaces",
  "AttachNetworkInterface",
  "DetachNetworkInterface",
  "DeleteNetworkInterface",
  "DescribeInstanceAttribute",
  "AssignPrivateIpAddresses",
  "UnassignPrivateIpAddresses",
  "DescribeInstances",
  "ModifyNetworkInterfaceAttribute",
  "DescribeVSwitches",
  "AssignIpv6Addresses",
  "UnassignIpv6Addresses",
] as const;
export type ApiAction = (typeof ACTIONS)[number];

/** Everything that is wrong, at once. Never throws on any text. */
export function parseEniConf(text: string): Parsed<EniConf> {
  const table = {
    ...ENI_KEYS,
    other: {
      file: TERWAY_KEYS.file,
      keys: [...Object.keys(TERWAY_KEYS.schema.shape), ...Object.keys(TERWAY_KEYS.unsupported)],
    },
  };
  const checked = checkText(text, table, CROSS_CHECKS);
  if (!checked.ok) return checked;
  return { ok: true, config: freeze(eniConfOf(checked.value)), warnings: checked.warnings };
}

function eniConfOf(values: EniValues): EniConf {
  const { access_key: id, access_secret: secret } = values;
  return {
    version: values.version,
    vSwitches: values.vswitches,
    vSwitchPolicy: values.vswitch_selection_policy,
    vSwitchRetryMs: values.vswitch_retry_after,
    securityGroups: groupsOf(values),
    serviceCidrs: [...(values.service_cidr?.v4 ?? []), ...(values.service_cidr?.v6 ?? [])],
    minPoolSize: values.min_pool_size,
    maxPoolSize: values.max_pool_size,
    minEni: values.min_eni,
    maxEni: values.max_eni,
    eniCapRatio: values.eni_cap_ratio === 0 ? 1 : values.eni_cap_ratio,
    eniCapShift: values.eni_cap_shift,
    eniPolicy: values.eni_selection_policy,
    eniTags: values.eni_tags,
    eniTagFilter: values.eni_tag_filter,
    ...(values.resource_group_id === undefined ? {} : { resourceGroup: values.resource_group_id }),
    cooldownMs: values.address_cooldown,
    orphanAfterMs: values.orphan_eni_after,
    poolSyncPeriodMs: values.ip_pool_sync_period,
    idleReclaim: {
      ...(values.idle_ip_reclaim_after === undefined ? {} : { afterMs: values.idle_ip_reclaim_after }),
      intervalMs: values.idle_ip_reclaim_interval,
      batchSize: values.idle_ip_reclaim_batch_size,
      jitterFactor: values.idle_ip_reclaim_jitter_factor,
    },
    instanceTypeLimits: values.instance_type_limits,
    addTimeoutMs: values.add_timeout,
    cloudTimeoutMs: values.cloud_timeout,
    rateLimits: knownRates(values.rate_limit),
    ...(values.region_id === undefined ? {} : { region: values.region_id }),
    ...(values.ecs_endpoint === undefined ? {} : { ecsEndpoint: values.ecs_endpoint }),
    ...(values.vpc_endpoint === undefined ? {} : { vpcEndpoint: values.vpc_endpoint }),
    ...(id === undefined || secret === undefined
      ? {}
      : { inlineCredentials: { accessKeyId: id, accessKeySecret: secret } }),
    ipStack: values.ip_stack,
  };
}

function knownRates(given: EniValues["rate_limit"]): EniConf["rateLimits"] {
  const rates: Partial<Record<ApiAction, number>> = {};
  for (const action of ACTIONS) {
    const perMinute = given[action];
    if (perMinute !== undefined) rates[action] = perMinute;
  }
  return rates;
}

function groupsOf(values: Partial<EniValues>): readonly SecurityGroupId[] {
  const single = values.security_group === undefined ? [] : [values.security_group];
  return [...new Set([...single, ...(values.security_groups ?? [])])];
}

/** Why a node of a zone has no vSwitch, and what to do. */
export type NoVSwitch = {
  readonly kind: "no-vswitch";
  readonly zone: string;
  readonly reason: string;
  readonly remedy: string;
};

/** The vSwitches for a node of `zone`, in the configured order; at least one. */
export function vSwitchesOf(
  config: Pick<EniConf, "vSwitches">,
  zone: string,
): Result<readonly [VSwitchId, ...VSwitchId[]], NoVSwitch> {
  const [first, ...others] = Object.hasOwn(config.vSwitches, zone) ? (config.vSwitches[zone] ?? []) : [];
  if (first !== undefined) return ok([first, ...others]);
  return failed({
    kind: "no-vswitch",
    zone,
    reason: `vswitches of eni_conf has no vSwitch for ${zone}, the zone of this node; it has ${Object.keys(config.vSwitches).join(", ")}`,
    remedy: `add "${zone}": ["vsw-…"] to vswitches of the ConfigMap eni-config`,
  });
}

const CROSS_CHECKS: readonly CrossCheck<EniValues>[] = [
  {
    keys: ["version"],
    severity: "warning",
    find: ({ version }) =>
      version === "1" || version === undefined
        ? []
        : [
            {
              path: ["version"],
              predicate: `is ${JSON.stringify(version)}; only "1" exists, and the file is read as that`,
            },
          ],
  },
  { keys: ["min_pool_size", "max_pool_size"], severity: "problem", find: poolFindings },
  {
    keys: ["min_eni", "max_eni"],
    severity: "problem",
    find: ({ min_eni: min = 0, max_eni: max = 0 }) =>
      max > 0 && min > max
        ? [
            {
              path: ["min_eni"],
              predicate: `is ${min}, above max_eni, which is ${max}`,
              suggestion: "lower min_eni or raise max_eni",
            },
          ]
        : [],
  },
  { keys: ["vswitches"], severity: "problem", find: repeatedVSwitches },
  { keys: ["security_group", "security_groups"], severity: "warning", find: bothGroups },
  {
    keys: ["security_group", "security_groups"],
    severity: "problem",
    find: (values) => {
      const count = groupsOf(values).length;
      if (count <= SECURITY_GROUPS_MAX) return [];
      const predicate = `and security_group together name ${count} security groups; an ENI has at most ${SECURITY_GROUPS_MAX}`;
      return [{ path: ["security_groups"], predicate, suggestion: "remove one" }];
    },
  },
  { keys: ["access_key", "access_secret"], severity: "problem", find: halfCredentials },
  {
    keys: ["service_cidr", "ip_stack"],
    severity: "warning",
    find: ({ service_cidr: cidrs, ip_stack: stack = "ipv4" }) =>
      (stack === "ipv4" ? (cidrs?.v6 ?? []) : []).map((cidr) => ({
        path: ["service_cidr"],
        predicate: `holds ${cidr}, which is not used: ip_stack is ipv4`,
        suggestion: "set ip_stack to dual, or remove it",
      })),
  },
  { keys: ["rate_limit"], severity: "warning", find: unknownActions },
  ...(["ecs_endpoint", "vpc_endpoint"] as const).map((name): CrossCheck<EniValues> => ({
    keys: [name],
    severity: "warning",
    find: (values) =>
      values[name]?.startsWith("http:") === true
        ? [
            {
              path: [name],
              predicate: "is http: what the agent asks and hears is not encrypted",
              suggestion: "use https outside of tests",
            },
          ]
        : [],
  })),
];

function poolFindings(values: Partial<EniValues>, given: ReadonlySet<string>): readonly Finding[] {
  const { min_pool_size: min = 0, max_pool_size: max = 0 } = values;
  if (min <= max) return [];
  const which = given.has("max_pool_size") ? `which is ${max}` : `which is not given and so ${max}`;
  const suggestion = `lower min_pool_size to ${max} or raise max_pool_size to ${min}`;
  return [{ path: ["min_pool_size"], predicate: `is ${min}, above max_pool_size, ${which}`, suggestion }];
}

function repeatedVSwitches({ vswitches = {} }: Partial<EniValues>): readonly Finding[] {
  const seen = new Map<string, string>();
  const findings: Finding[] = [];
  for (const [zone, ids] of Object.entries(vswitches)) {
    ids.forEach((id, at) => {
      const before = seen.get(id);
      seen.set(id, before ?? zone);
      if (before === undefined) return;
      const where = before === zone ? "in the same zone" : `in ${before}; a vSwitch lies in one zone only`;
      findings.push({
        path: ["vswitches", zone, at],
        predicate: `repeats ${id}, named already ${where}`,
        suggestion: "keep one of the two",
      });
    });
  }
  return findings;
}

function bothGroups({
  security_group: single,
  security_groups: many = [],
}: Partial<EniValues>): readonly Finding[] {
  if (single === undefined || many.length === 0 || many.includes(single)) return [];
  const predicate = "is given beside security_groups; new ENIs get all of them";
  return [{ path: ["security_group"], predicate, suggestion: "move it into security_groups" }];
}

function halfCredentials(_values: Partial<EniValues>, given: ReadonlySet<string>): readonly Finding[] {
  const [id, secret] = [given.has("access_key"), given.has("access_secret")];
  if (id === secret) return [];
  const [there, missing] = id ? ["access_key", "access_secret"] : ["access_secret", "access_key"];
  return [
    {
      path: [there],
      predicate: `is given without ${missing}`,
      suggestion: `give ${missing} too, or neither and mount the Secret alibaba-addon-secret`,
    },
  ];
}

function unknownActions({ rate_limit: limits = {} }: Partial<EniValues>): readonly Finding[] {
  return Object.keys(limits)
    .filter((action) => !ACTIONS.some((known) => known === action))
    .map((action) => ({
      path: ["rate_limit", action],
      predicate: "is for an action that the agent never calls",
      suggestion: nearest(action, ACTIONS),
    }));
}
