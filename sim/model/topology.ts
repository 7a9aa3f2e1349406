/**
 * The topology of a simulated VPC: the file format, its types and defaults. Reading and checking a file is
 * `topology-file.ts`.
 *
 * @module
 */
import * as z from "zod";
import { type Cidr, parseCidr } from "../../proto/cidr.ts";
import { type Ipv4, parseIpv4 } from "../../proto/addr.ts";
import { type Ipv6, parseIpv6 } from "../../proto/addr6.ts";
import { type Cidr6, isCidr6, parseIpCidr } from "../../proto/cidr6.ts";
import { instanceId, securityGroupId, vSwitchId } from "../../proto/ids.ts";
import { ACTIONS, type Action } from "./action-names.ts";
import { BUNDLED_INSTANCE_TYPES } from "./instance-types.ts";
import { latenciesWith, latencyChangesSchema } from "./latencies.ts";
import { ramPolicySchema } from "./ram-policy.ts";

const cidr = z.string().transform((text, context): Cidr => {
  const parsed = parseCidr(text);
  if (parsed !== undefined) return parsed;
  context.addIssue(`${JSON.stringify(text)} is not an IPv4 network in canonical form, such as "10.0.0.0/24"`);
  return z.NEVER;
});

const ipv4 = z.string().transform((text, context): Ipv4 => {
  const parsed = parseIpv4(text);
  if (parsed !== undefined) return parsed;
  context.addIssue(`${JSON.stringify(text)} is not an IPv4 address`);
  return z.NEVER;
});

const cidr6 = z.string().transform((text, context): Cidr6 => {
  const parsed = parseIpCidr(text);
  if (parsed.ok && isCidr6(parsed.value)) return parsed.value;
  const corrected =
    !parsed.ok && parsed.fault.kind === "host-bits" ? parsed.fault.corrected : "fd00:0:0:1::/64";
  context.addIssue(
    `${JSON.stringify(text)} is not an IPv6 network in canonical form, such as ${JSON.stringify(corrected)}`,
  );
  return z.NEVER;
});

const ipv6 = z.string().transform((text, context): Ipv6 => {
  const parsed = parseIpv6(text);
  if (parsed !== undefined) return parsed;
  context.addIssue(`${JSON.stringify(text)} is not an IPv6 address`);
  return z.NEVER;
});

/** A name that begins with the cloud's prefix of its kind, in characters that are safe in every place it is used. */
function named(prefix: string): z.ZodString {
  const pattern = new RegExp(`^${prefix}-[a-z0-9][a-z0-9-]{0,40}$`);
  return z.string().regex(pattern, { error: `must look like "${prefix}-abc123"` });
}

const simpleName = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, {
  error: "must be a name of lower-case letters, digits, '-' and '.'",
});

const tokens = z.enum(["optional", "required"]);

const vSwitch = z.strictObject({
  id: named("vsw").transform(vSwitchId),
  zone: z.string(),
  cidr,
  /** At most so many addresses can be used; absent: all that the CIDR has but the four that the cloud keeps. */
  availableAddresses: z.number().int().min(0).optional(),
  /** A /64; absent: IPv6 is not enabled for the vSwitch. */
  ipv6Cidr: cidr6.optional(),
  /** At most so many IPv6 addresses can be used; absent: no bound that anybody would reach. */
  availableIpv6Addresses: z.number().int().min(0).optional(),
});

const instance = z.strictObject({
  id: named("i").transform(instanceId),
  /** Unique; the name of the node. */
  name: simpleName,
  type: z.string(),
  zone: z.string(),
  /** Where the primary ENI is. */
  vSwitch: named("vsw").transform(vSwitchId),
  /** Address of the primary ENI; absent: the first free one. */
  address: ipv4.optional(),
  /** IPv6 address of the primary ENI; absent: it has none. */
  ipv6Address: ipv6.optional(),
  securityGroups: z.array(named("sg").transform(securityGroupId)).min(1),
  status: z.enum(["Running", "Stopped", "Starting", "Stopping"]).default("Running"),
  /** `required`: the metadata service refuses requests without a token. Absent: as `switches.metadataTokens`. */
  httpTokens: tokens.optional(),
});

const credential = z.strictObject({
  accessKeyId: z
    .string()
    .regex(/^[A-Za-z0-9._-]{4,128}$/, { error: "must be 4 to 128 of A-Z a-z 0-9 . _ -" }),
  accessKeySecret: z.string().min(1),
  /** Present for temporary credentials: calls must carry it. */
  securityToken: z.string().min(1).optional(),
  /** A key of `policies`. */
  policy: z.string(),
});

const switches = z.strictObject({
  /** DetachNetworkInterface of an ENI that is Available: refused (InvalidEniState) or answered with success. */
  strictDetach: z.boolean().default(true),
  /** What an exhausted vSwitch answers. */
  exhaustionCode: z.enum(["random", "IpNotEnough", "QuotaExceeded"]).default("random"),
  /** For instances that do not say: does the metadata service want a token? */
  metadataTokens: tokens.default("optional"),
  /** Throttled answers carry `x-acs-retry-after` (milliseconds). */
  retryAfterHeader: z.boolean().default(false),
});

const limits = z.strictObject({
  /** ENIs of the account in the region, primary ones included (MaxEniCountExceeded). */
  enis: z.number().int().min(1).default(5000),
  /** An ENI without instance for longer than this breaks the invariant "no ENI without owner". */
  ownerlessMs: z.number().int().min(0).default(120_000),
  /** How long temporary credentials of the RAM role are valid. */
  roleSessionMs: z
    .number()
    .int()
    .min(60_000)
    .default(6 * 3_600_000),
});

const instanceTypes = z.record(
  z.string(),
  z.strictObject({
    eniQuantity: z.number().int().min(1).max(64),
    eniPrivateIpAddressQuantity: z.number().int().min(1).max(64),
    /** 0: the type has no IPv6. Absent: as many as of IPv4. */
    eniIpv6AddressQuantity: z.number().int().min(0).max(64).optional(),
  }),
);

/** Calls per action and minute. Source: the published rate table of the product's own client. */
const DEFAULT_QUOTAS: Readonly<Record<Action, number>> = {
  CreateNetworkInterface: 500,
  AttachNetworkInterface: 500,
  DescribeNetworkInterfaces: 800,
  AssignPrivateIpAddresses: 400,
  UnassignPrivateIpAddresses: 400,
  AssignIpv6Addresses: 400,
  UnassignIpv6Addresses: 400,
  DetachNetworkInterface: 400,
  DeleteNetworkInterface: 500,
  ModifyNetworkInterfaceAttribute: 500,
  DescribeInstanceAttribute: 500,
  DescribeInstances: 500,
  DescribeInstanceTypes: 400,
  DescribeVSwitches: 300,
};

/** The file. Rules between parts are in `topology-file.ts`. */
export const topologySchema = z.strictObject({
  region: simpleName,
  accountId: z
    .string()
    .regex(/^\d{4,20}$/, { error: "must be 4 to 20 digits, in quotes" })
    .default("1234567890123456"),
  zones: z.array(simpleName).min(1),
  vpc: z.strictObject({ id: named("vpc"), cidr }),
  /** Security groups beside those of the instances. */
  securityGroups: z.array(named("sg").transform(securityGroupId)).default([]),
  vSwitches: z.array(vSwitch).min(1),
  instanceTypes: instanceTypes.default({}).transform((own) => ({ ...BUNDLED_INSTANCE_TYPES, ...own })),
  instances: z.array(instance).min(1),
  policies: z.record(z.string(), ramPolicySchema),
  credentials: z.array(credential).min(1),
  /** The role of every instance; the metadata service gives out its credentials. */
  ramRole: z.strictObject({ name: z.string().regex(/^[\w.-]{1,64}$/), policy: z.string() }).optional(),
  latencies: latencyChangesSchema.default({}).transform((changes) => latenciesWith(changes)),
  quotas: z
    .strictObject(
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one optional number per action
      Object.fromEntries(ACTIONS.map((name) => [name, z.number().int().min(1).optional()])) as Record<
        Action,
        z.ZodOptional<z.ZodNumber>
      >,
    )
    .default({})
    .transform((own) => ({ ...DEFAULT_QUOTAS, ...own })),
  limits: limits.prefault({}),
  switches: switches.prefault({}),
});

type DeepReadonly<Value> = Value extends string | number | boolean | undefined
  ? Value
  : { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> };

/** A checked topology: every name refers to something, no networks overlap, all defaults are filled in. */
export type Topology = DeepReadonly<z.infer<typeof topologySchema>>;
export type VSwitchSpec = Topology["vSwitches"][number];
export type InstanceSpec = Topology["instances"][number];
/** The file as it is written, without defaults. */
export type TopologyFile = z.input<typeof topologySchema>;
