/**
 * What the store keeps of the pool, as plain data, and its text form. What is read back is checked like anything else that
 * comes from outside: a bad record is a fault, not an exception.
 *
 * @module
 */
import * as z from "zod";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "../../../proto/addr.ts";
import { type IpAddress, type Ipv6, parseIp, parseIpv6 } from "../../../proto/addr6.ts";
import { type Attachment } from "../../../proto/attachment.ts";
import { eniId, securityGroupId, type VSwitchId, vSwitchId } from "../../../proto/ids.ts";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { type CreateEni } from "../cloud.ts";
import { type Eni, type EniFacts, type Limits } from "./model.ts";

/** An ENI of the store: an intent (not created yet, as far as is known) or one with an id. */
export type EniRecord = {
  readonly slot: number;
  readonly vSwitch: VSwitchId;
  readonly borrowed?: true;
} & (
  | { readonly kind: "creating"; readonly request: CreateEni }
  | {
      /** "attaching" stands for "linking" as well: the cloud tells them apart. */
      readonly kind: "attaching" | "ready" | "detaching" | "deleting";
      readonly facts: EniFacts;
      /** Of both families. */
      readonly addresses: readonly IpAddress[];
      /** Those of `addresses` that the cloud was asked to take back. */
      readonly unassigning: readonly IpAddress[];
      /** When it last lost an address, where a view may still list it. */
      readonly shrankAtMs?: number;
    }
);

/** Which attachment has which address, or pair. `slot`: the ENI's. */
export type LeaseRecord = {
  readonly attachment: Attachment;
  readonly address: Ipv4;
  readonly address6?: Ipv6;
  readonly slot: number;
};

export type CooldownRecord = { readonly address: IpAddress; readonly untilMs: number };

/** What was learnt about an instance type; worth nothing for another one. */
export type LimitsRecord = Partial<Limits> & { readonly instanceType: string };

const text = z.string().min(1);
const count = z.int().min(0);
const ipv4 = text.transform((value, context): Ipv4 => parseIpv4(value) ?? refuse(context, "no IPv4 address"));
const ipv6 = text.transform((value, context): Ipv6 => parseIpv6(value) ?? refuse(context, "no IPv6 address"));
const ip = text.transform((value, context): IpAddress => parseIp(value) ?? refuse(context, "no IP address"));
const mac = text.transform((value, context): Mac => parseMac(value) ?? refuse(context, "no MAC address"));

const REQUEST = z.object({
  token: text.max(64),
  vSwitch: text.transform(vSwitchId),
  securityGroups: z.array(text.transform(securityGroupId)),
  secondaryCount: count.max(49),
  count6: z.exactOptional(count.min(1).max(10)),
  tags: z.record(z.string(), z.string()),
  resourceGroup: z.exactOptional(text),
});

const COMMON = {
  slot: count,
  vSwitch: text.transform(vSwitchId),
  borrowed: z.exactOptional(z.literal(true)),
};

const ENI = z.discriminatedUnion("kind", [
  z.object({ ...COMMON, kind: z.literal("creating"), request: REQUEST }),
  z.object({
    ...COMMON,
    kind: z.enum(["attaching", "ready", "detaching", "deleting"]),
    facts: z.object({ id: text.transform(eniId), mac, primary: ipv4 }),
    addresses: z.array(ip),
    unassigning: z.array(ip),
    shrankAtMs: z.exactOptional(z.number()),
  }),
]);

const LEASE = z.object({
  attachment: z.object({ network: text, containerId: text, ifName: text }),
  address: ipv4,
  address6: z.exactOptional(ipv6),
  slot: count,
});

const COOLDOWN = z.object({ address: ip, untilMs: z.number() });

const LIMITS = z.object({
  instanceType: text,
  enisMax: z.exactOptional(count),
  addressesPerEni: z.exactOptional(count.min(1)),
  addresses6PerEni: z.exactOptional(count.min(1)),
});

/** The record to write for "persist-eni". */
export function eniRecord(eni: Eni): EniRecord {
  const { slot, vSwitch, state, facts, shrankAtMs } = eni;
  const common = { slot, vSwitch, ...(eni.borrowed === true ? { borrowed: true as const } : {}) };
  if (state.kind === "creating") return { ...common, kind: "creating", request: state.request };
  if (facts === undefined) throw new Error(`slot ${slot} is ${state.kind} and has no id`);
  const kind = state.kind === "linking" ? "attaching" : state.kind;
  const addresses = [...eni.addresses.keys()];
  const unassigning = addresses.filter((address) => eni.addresses.get(address)?.kind === "unassigning");
  const shrank = shrankAtMs !== undefined && { shrankAtMs };
  return { ...common, kind, facts, addresses, unassigning, ...shrank };
}

/** Text for the store. */
export function encodeRecord(record: EniRecord | LeaseRecord | CooldownRecord | LimitsRecord): string {
  return JSON.stringify(record);
}

export function decodeEniRecord(json: string): Result<EniRecord> {
  return decode("ENI", ENI, json);
}

export function decodeLeaseRecord(json: string): Result<LeaseRecord> {
  return decode("lease", LEASE, json);
}

export function decodeCooldownRecord(json: string): Result<CooldownRecord> {
  return decode("cooldown", COOLDOWN, json);
}

export function decodeLimitsRecord(json: string): Result<LimitsRecord> {
  return decode("limits", LIMITS, json);
}

function decode<Value>(what: string, schema: z.ZodType<Value>, json: string): Result<Value> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return failed({ kind: "store", op: `read a record (${what})`, reason: "it is not JSON" });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return ok(parsed.data);
  const reason = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  return failed({ kind: "store", op: `read a record (${what})`, reason });
}

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}
