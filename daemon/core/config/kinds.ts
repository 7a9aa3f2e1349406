/**
 * The kinds of value that a key can have. Each makes a schema, and the words for it, from the same bounds, so that
 * checks, messages and reference cannot disagree.
 *
 * A failed check carries as its message what is wanted ("a whole number from 0 to 5"). Where that is not enough, it
 * carries a predicate about the value ("repeats …") and says so in `params`: see `says`.
 *
 * @module
 */
import * as z from "zod";
import { type Cidr } from "../../../proto/cidr.ts";
import { type Cidr6, type CidrFault, isCidr6, parseIpCidr } from "../../../proto/cidr6.ts";
import { type SecurityGroupId, securityGroupId, type VSwitchId, vSwitchId } from "../../../proto/ids.ts";
import { parseDuration } from "./duration.ts";
import { parseEndpoint } from "./endpoint.ts";
import { Secret } from "./secret.ts";

/** What a person is told of a kind. */
export type Kind = {
  /** For the reference: "whole number". */
  readonly type: string;
  /** For the reference: "0 to 5". */
  readonly range?: string;
  /** For messages: "a whole number from 0 to 5". */
  readonly wanted: string;
  /** Written as a JSON string, so that "" means "not given", as in an unfilled ConfigMap. */
  readonly text?: true;
  /** Never printed. */
  readonly secret?: true;
};

const kinds = z.registry<Kind>();

/** Gives a schema that is made elsewhere its kind. */
export function ofKind<Schema extends z.ZodType>(schema: Schema, kind: Kind): Schema {
  kinds.add(schema, kind);
  return schema;
}

/** The kind of a schema made here, or given to `ofKind`, also under `.default()`, `.prefault()` and `.optional()`. */
export function kindOf(schema: unknown): Kind {
  let inner = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap();
  }
  const kind = inner instanceof z.ZodType ? kinds.get(inner) : undefined;
  if (kind === undefined) throw new Error("a key without a kind");
  return kind;
}

/** What a transform can complain to. */
export type Context = {
  addIssue(issue: { code: "custom"; message: string; params?: Record<string, unknown> }): void;
};

/** The sentence of an issue goes on after the path: `${path} ${predicate}`. */
export function says(context: Context, predicate: string, suggestion?: string): void {
  context.addIssue({ code: "custom", message: predicate, params: { predicate: true, suggestion } });
}

/** The issue says what is wanted: `${path} is ${value}; ${wanted} is wanted`. */
export const wants = (context: Context, wanted: string): void =>
  context.addIssue({ code: "custom", message: wanted });

/** Any string. */
export function text(what: string) {
  return z
    .string({ error: `${what}, a string,` })
    .register(kinds, { type: "string", wanted: what, text: true });
}

/** Source: CNI SPEC.md 1.1.0, section 1: alphanumeric first, then also `_`, `.`, `-`. */
const NETWORK_NAME = /^[A-Za-z0-9][\w.-]*$/;

/** Name of a CNI network. */
export function networkName() {
  const wanted = "a name of letters, digits, _ . and -";
  return z
    .string({ error: wanted })
    .regex(NETWORK_NAME, { error: wanted })
    .register(kinds, { type: "string", range: "letters, digits, _ . -", wanted, text: true });
}

/** A string that is never printed. */
export function secretText() {
  const kind: Kind = { type: "string", wanted: "a string", text: true, secret: true };
  return z
    .string({ error: kind.wanted })
    .transform((value) => new Secret(value))
    .register(kinds, kind);
}

/** One of a few words. `later` are words of upstream that this version does not carry out. */
export function oneOf<const Word extends string>(words: readonly Word[], later: readonly string[] = []) {
  const range = words.map((word) => JSON.stringify(word)).join(", ");
  const wanted = words.length === 1 ? range : `one of ${range}`;
  return z
    .enum(words, {
      error: (issue) =>
        typeof issue.input === "string" && later.includes(issue.input.toLowerCase())
          ? `${wanted} (${JSON.stringify(issue.input)} is known but not supported by this version)`
          : wanted,
    })
    .register(kinds, { type: "string", range, wanted, text: true });
}

/** The same, where upper and lower case are the same; the value is lower case. */
export function oneOfAnyCase<const Word extends string>(
  words: readonly Word[],
  later: readonly string[] = [],
) {
  const exact = oneOf(words, later);
  return z
    .preprocess((given) => (typeof given === "string" ? given.toLowerCase() : given), exact)
    .register(kinds, kindOf(exact));
}

/** An object whose members are all true or false. */
export function switches(example: string) {
  const wanted = `an object of true and false, such as ${example}`;
  return z
    .record(z.string(), z.boolean({ error: "true or false" }), { error: wanted })
    .register(kinds, { type: "object", range: "true, false", wanted });
}

/** `true` or `false`. */
export function flag() {
  const wanted = "true or false";
  return z.boolean({ error: wanted }).register(kinds, { type: "boolean", range: "true, false", wanted });
}

/** A whole number. */
export function count(min: number, max: number) {
  const kind: Kind = {
    type: "whole number",
    range: `${min} to ${max}`,
    wanted: `a whole number from ${min} to ${max}`,
  };
  const error = kind.wanted;
  return z.int({ error }).min(min, { error }).max(max, { error }).register(kinds, kind);
}

/** A number, not necessarily whole. */
export function fraction(min: number, max: number) {
  const kind: Kind = { type: "number", range: `${min} to ${max}`, wanted: `a number from ${min} to ${max}` };
  const error = kind.wanted;
  return z.number({ error }).min(min, { error }).max(max, { error }).register(kinds, kind);
}

/** A number in a string: `"0.1"`. */
export function fractionText(min: number, max: number) {
  const range = `${min} to ${max}`;
  const kind: Kind = {
    type: "number in a string",
    range,
    wanted: `a string with a number from ${range}`,
    text: true,
  };
  return z
    .string({ error: kind.wanted })
    .transform((given, context) => {
      const value = /^\d*\.?\d+$/.test(given) ? Number(given) : Number.NaN;
      if (value >= min && value <= max) return value;
      wants(context, kind.wanted);
      return z.NEVER;
    })
    .register(kinds, kind);
}

/** `"30s"`; the value is whole milliseconds. The bounds are durations themselves. */
export function duration(min: string, max: string) {
  const minMs = parseDuration(min) ?? 0;
  const maxMs = parseDuration(max) ?? 0;
  const range = `${min} to ${max}`;
  const wanted = `a duration from ${range}, such as "30s" or "1m30s",`;
  const kind: Kind = { type: "duration", range, wanted, text: true };
  return z
    .string({ error: wanted })
    .transform((given, context) => {
      const valueMs = parseDuration(given);
      if (valueMs !== undefined && valueMs >= minMs && valueMs <= maxMs) return valueMs;
      wants(context, wanted);
      return z.NEVER;
    })
    .register(kinds, kind);
}

/** Host or URL of an API. */
export function endpoint() {
  const wanted = 'a host or URL without a path, such as "ecs-vpc.cn-hangzhou.aliyuncs.com",';
  return z
    .string({ error: wanted })
    .transform((given, context) => {
      const found = parseEndpoint(given);
      if (found !== undefined) return found;
      wants(context, wanted);
      return z.NEVER;
    })
    .register(kinds, { type: "host or URL", wanted, text: true });
}

const ID_OF_VSWITCH = /^vsw-[A-Za-z0-9-]+$/;
const ID_OF_GROUP = /^sg-[A-Za-z0-9-]+$/;
const ZONE = /^[a-z0-9]+(?:-[a-z0-9]+)+$/;

/** Zone -> vSwitches, in order of use. */
export function vSwitchesByZone() {
  const sample = '{"cn-hangzhou-h": ["vsw-…"]}';
  const wanted = `an object from zone to vSwitches, such as ${sample},`;
  const vSwitch = z
    .string({ error: 'the id of a vSwitch ("vsw-…")' })
    .regex(ID_OF_VSWITCH, { error: 'the id of a vSwitch ("vsw-…")' })
    .transform((id): VSwitchId => vSwitchId(id));
  const list = z.array(vSwitch, { error: 'a list of vSwitches, such as ["vsw-…"],' }).check((context) => {
    if (context.value.length > 0) return;
    const issue = {
      code: "custom",
      input: context.value,
      message: "is empty: a zone needs at least one vSwitch",
    } as const;
    const suggestion = "name a vSwitch of this zone, or remove the zone";
    context.issues.push({ ...issue, params: { predicate: true, suggestion } });
  });
  return z
    .record(z.string().regex(ZONE, { error: 'the name of a zone, such as "cn-hangzhou-h",' }), list, {
      error: wanted,
    })
    .superRefine((zones, context) => {
      if (Object.keys(zones).length > 0) return;
      says(context, "names no zone: the agent would not know where to create ENIs", `write ${sample}`);
    })
    .register(kinds, {
      type: "object: zone -> list of vSwitch ids",
      range: "at least one zone, one vSwitch each",
      wanted,
    });
}

/** A single security group. */
export function securityGroup() {
  const wanted = 'the id of a security group ("sg-…")';
  return z
    .string({ error: wanted })
    .regex(ID_OF_GROUP, { error: wanted })
    .transform((id): SecurityGroupId => securityGroupId(id))
    .register(kinds, { type: "string", range: '"sg-…"', wanted, text: true });
}

/** A list of security groups. */
export function securityGroups(max: number) {
  const wanted = `a list of at most ${max} security groups, such as ["sg-…"],`;
  const group = z
    .string({ error: 'the id of a security group ("sg-…")' })
    .regex(ID_OF_GROUP, { error: 'the id of a security group ("sg-…")' })
    .transform((id): SecurityGroupId => securityGroupId(id));
  return z
    .array(group, { error: wanted })
    .max(max, { error: wanted })
    .register(kinds, { type: "list of security group ids", range: `0 to ${max}`, wanted });
}

const TAG_TEXT_MAX = 128;

/**
 * Tags of an ENI. Source: API CreateNetworkInterface, Tag.N.Key and Tag.N.Value (128 characters; keys do not begin with
 * `aliyun` or `acs:`; neither contains `http://` or `https://`).
 */
export function tags(max: number) {
  const wanted = `an object of at most ${max} tags, such as {"team": "network"},`;
  const value = z.string({ error: "a string" }).superRefine((given, context) => {
    if (given.length > TAG_TEXT_MAX)
      says(context, `has ${given.length} characters; a tag's value has at most ${TAG_TEXT_MAX}`);
    if (/https?:\/\//.test(given))
      says(context, "contains http:// or https://, which the cloud refuses in tags");
  });
  const tag = z.string().superRefine((given, context) => {
    const wrong = tagKeyProblem(given);
    if (wrong !== undefined) says(context, wrong);
  });
  return z
    .record(tag, value, { error: wanted })
    .superRefine((given, context) => {
      const number = Object.keys(given).length;
      if (number > max) says(context, `has ${number} tags; at most ${max} are possible`);
    })
    .register(kinds, {
      type: "object: tag -> value",
      range: `at most ${max}, each up to ${TAG_TEXT_MAX} characters`,
      wanted,
    });
}

function tagKeyProblem(key: string): string | undefined {
  if (key === "") return "has no name";
  if (key.length > TAG_TEXT_MAX) return `has ${key.length} characters (${TAG_TEXT_MAX} at most)`;
  if (/^(?:aliyun|acs:)/i.test(key)) return "begins with aliyun or acs:, which the cloud keeps for itself";
  if (/https?:\/\//.test(key)) return "contains http:// or https://, which the cloud refuses in tags";
  return undefined;
}

function shortened(given: string): string {
  return given.length > 40 ? `${given.slice(0, 39)}…` : given;
}

/** Networks of both families. */
export type Cidrs = { readonly v4: readonly Cidr[]; readonly v6: readonly Cidr6[] };

/** `"172.21.0.0/20,fc00::/112"`. */
export function cidrText() {
  const wanted = 'CIDR blocks separated by commas, such as "172.21.0.0/20",';
  return z
    .string({ error: wanted })
    .transform((given, context): Cidrs => {
      const parts = given.split(",").map((part) => part.trim());
      return sortCidrs(parts, context);
    })
    .register(kinds, { type: "CIDR blocks, separated by commas", wanted, text: true });
}

/** `["169.254.20.10/32"]`. */
export function cidrList() {
  const wanted = 'a list of CIDR blocks, such as ["169.254.20.10/32"],';
  return z
    .array(z.string({ error: 'a CIDR block, such as "169.254.20.10/32",' }), { error: wanted })
    .transform((given, context): Cidrs => sortCidrs(given, context))
    .register(kinds, { type: "list of CIDR blocks", wanted });
}

function sortCidrs(parts: readonly string[], context: Context): Cidrs {
  const v4: Cidr[] = [];
  const v6: Cidr6[] = [];
  for (const part of parts) {
    const parsed = parseIpCidr(part);
    if (!parsed.ok) says(context, ...cidrProblem(part, parsed.fault));
    else if (isCidr6(parsed.value)) v6.push(parsed.value);
    else v4.push(parsed.value);
  }
  return { v4, v6 };
}

function cidrProblem(part: string, fault: CidrFault): [predicate: string, suggestion?: string] {
  if (part === "") return ["has an empty part between commas", "remove the comma that is too much"];
  if (fault.kind === "not-a-network")
    return [`holds ${JSON.stringify(shortened(part))}, which is no CIDR block`];
  return [`holds ${part}, an address inside a network and not a network`, `write ${fault.corrected}`];
}

/** Instance type -> what it allows. */
export function instanceTypeLimits() {
  const wanted = 'an object from instance type to limits, such as {"ecs.g7.xlarge": {"eni": 4, "ip": 15}},';
  const limits = z.strictObject(
    { eni: count(2, 64), ip: count(1, 64), ipv6: z.exactOptional(count(0, 64)) },
    { error: '{"eni": …, "ip": …}' },
  );
  return z.record(z.string(), limits, { error: wanted }).register(kinds, {
    type: "object: instance type -> {eni, ip, ipv6}",
    range: "eni 2 to 64, ip 1 to 64, ipv6 0 to 64",
    wanted,
  });
}

/** API action -> calls a minute. */
export function rateLimits() {
  const wanted = 'an object from API action to calls a minute, such as {"AssignPrivateIpAddresses": 60},';
  return z
    .record(z.string(), count(1, 100_000), { error: wanted })
    .register(kinds, { type: "object: API action -> whole number", range: "1 to 100000", wanted });
}
