/**
 * Faults that an operator can order: what the cloud does wrong, to which calls, how often. A standing fault waits for
 * calls or events that match it; an event (`events.ts`) is carried out at once.
 *
 * @module
 */
import * as z from "zod";
import { eniId, instanceId, vSwitchId } from "../../proto/ids.ts";
import { ACTIONS, type Action } from "./action-names.ts";
import { listParameter, type Parameters } from "./parameters.ts";

const text = z.string().min(1).max(200);
const delayMs = z.number().min(0).max(3_600_000);
const eni = text.transform(eniId).optional();
const instance = text.transform(instanceId).optional();

/** How often: so many times, then the fault is gone. */
const times = { times: z.number().int().min(1).max(1_000_000).default(1) };
const standing = { times: z.number().int().min(1).max(1_000_000).optional() };

/** Which calls: absent parts match all. */
const which = {
  action: z.enum(ACTIONS).optional(),
  eni,
  instance,
  vSwitch: text.transform(vSwitchId).optional(),
  /** So many matching calls pass first. */
  skip: z.number().int().min(0).max(1_000_000).default(0),
};

const metadataPath = z.string().max(200).default("");

/** A fault as the operator sends it (`POST /_sim/faults`). */
export const faultSchema = z.discriminatedUnion("kind", [
  /** The call is refused and has no effect. */
  z.strictObject({
    kind: z.literal("error"),
    code: text,
    status: z.number().int().min(400).max(599).optional(),
    message: text.optional(),
    /** Sent as `x-acs-retry-after`. */
    retryAfterMs: delayMs.optional(),
    ...which,
    ...times,
  }),
  /** The gateway answers 502 with an HTML page; no effect. */
  z.strictObject({ kind: z.literal("html502"), ...which, ...times }),
  /** The connection is reset; no effect. */
  z.strictObject({ kind: z.literal("reset"), ...which, ...times }),
  /** No effect, and no answer for as long as the caller waits. */
  z.strictObject({ kind: z.literal("hang"), ...which, ...times }),
  /** Effect and answer come so much later. */
  z.strictObject({ kind: z.literal("delay"), delayMs, ...which, ...times }),
  /** The effect comes in time, the answer so much later. */
  z.strictObject({ kind: z.literal("holdReply"), delayMs, ...which, ...times }),
  /** The call has its effect, then the connection is reset. */
  z.strictObject({ kind: z.literal("lostReply"), ...which, ...times }),
  /** CreateNetworkInterface makes the ENI and answers with an empty NetworkInterfaceId. */
  z.strictObject({ kind: z.literal("emptyNetworkInterfaceId"), ...which, ...times }),
  /** Attach is accepted, and later the ENI is Available again. */
  z.strictObject({ kind: z.literal("attachFails"), eni, instance, ...times }),
  /** Attach succeeds, but the device never appears in the instance. */
  z.strictObject({ kind: z.literal("linkNeverAppears"), eni, instance, ...times }),
  /** Detaching until Detach is called again. */
  z.strictObject({ kind: z.literal("stuckDetach"), eni, instance, ...times }),
  /** Deleting until Delete is called again. */
  z.strictObject({ kind: z.literal("stuckDelete"), eni, ...times }),
  /** The metadata service answers with this status, for paths below /latest/meta-data/ that begin with `path`. */
  z.strictObject({
    kind: z.literal("metadataError"),
    status: z.number().int().min(400).max(599),
    path: metadataPath,
    instance,
    ...standing,
  }),
  /** The metadata service is so much later than usual to show changes. Until cleared. */
  z.strictObject({ kind: z.literal("metadataLag"), delayMs, instance }),
  /** The metadata service shows no change. Until cleared. */
  z.strictObject({ kind: z.literal("metadataStale"), instance }),
]);

export type Fault = z.output<typeof faultSchema>;
/** As written by people: defaults may be left out. */
export type FaultInput = z.input<typeof faultSchema>;
type CallFault = Extract<Fault, { readonly skip: number }>;
type EniFault = Extract<Fault, { kind: "attachFails" | "linkNeverAppears" | "stuckDetach" | "stuckDelete" }>;

/** A fault in force. */
export type StandingFault = {
  /** `fault-1`, `fault-2`, … */
  readonly id: string;
  readonly fault: Fault;
  /** Matching calls that still pass. */
  skip: number;
  /** Left; `undefined` until cleared. */
  remaining: number | undefined;
};

/** The faults in force, in the order in which they were ordered. The functions here change it. */
export type FaultList = StandingFault[];

/** The faults that meet this call, in the order in which they were ordered. Each is used up by one. */
export function takeCallFaults(
  faults: FaultList,
  action: Action,
  parameters: Parameters,
): readonly CallFault[] {
  return takeMatching(
    faults,
    (fault): fault is CallFault => "skip" in fault && meetsCall(fault, action, parameters),
  );
}

/** True, and used up by one, where a fault of this kind meets the ENI. */
export function takeEniFault(
  faults: FaultList,
  kind: EniFault["kind"],
  target: { readonly id: string; readonly instance: string | undefined },
): boolean {
  const meets = (fault: Fault): fault is EniFault =>
    fault.kind === kind &&
    (fault.eni === undefined || fault.eni === target.id) &&
    (!("instance" in fault) || fault.instance === undefined || fault.instance === target.instance);
  return takeMatching(faults, meets, 1).length > 0;
}

/** The status that a metadata request for `path` of `instance` is to get; used up by one. */
export function takeMetadataError(faults: FaultList, instance: string, path: string): number | undefined {
  type MetadataError = Extract<Fault, { kind: "metadataError" }>;
  const meets = (fault: Fault): fault is MetadataError =>
    fault.kind === "metadataError" && concerns(fault.instance, instance) && path.startsWith(fault.path);
  return takeMatching(faults, meets, 1)[0]?.status;
}

/** How much later than usual the metadata service shows changes of `instance`. */
export function metadataLagMs(faults: FaultList, instance: string | undefined): number {
  return faults.reduce(
    (sum, { fault }) =>
      fault.kind === "metadataLag" && concerns(fault.instance, instance) ? sum + fault.delayMs : sum,
    0,
  );
}

/** The metadata service shows no changes of `instance`. */
export function isMetadataStale(faults: FaultList, instance: string | undefined): boolean {
  return faults.some(({ fault }) => fault.kind === "metadataStale" && concerns(fault.instance, instance));
}

function concerns(wanted: string | undefined, instance: string | undefined): boolean {
  return wanted === undefined || wanted === instance;
}

function takeMatching<Kind extends Fault>(
  faults: FaultList,
  meets: (fault: Fault) => fault is Kind,
  most = Number.POSITIVE_INFINITY,
): readonly Kind[] {
  const taken: Kind[] = [];
  for (const entry of faults) {
    if (taken.length >= most || !meets(entry.fault)) continue;
    if (entry.skip > 0) {
      entry.skip--;
      continue;
    }
    taken.push(entry.fault);
    if (entry.remaining !== undefined) entry.remaining--;
  }
  const left = faults.filter((entry) => entry.remaining !== 0);
  faults.splice(0, faults.length, ...left);
  return taken;
}

function meetsCall(fault: CallFault, action: Action, parameters: Parameters): boolean {
  const { NetworkInterfaceId, InstanceId, VSwitchId } = parameters;
  const enis = [NetworkInterfaceId, ...listParameter(parameters, "NetworkInterfaceId")];
  return (
    (fault.action === undefined || fault.action === action) &&
    (fault.eni === undefined || enis.includes(fault.eni)) &&
    (fault.instance === undefined || fault.instance === InstanceId) &&
    (fault.vSwitch === undefined || fault.vSwitch === VSwitchId)
  );
}
