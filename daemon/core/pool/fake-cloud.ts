/**
 * For tests: a cloud in memory that answers what the pool asks, on the clock of its caller. It remembers ClientTokens, shows
 * late views, and fails as it is told.
 *
 * @module
 */
import { isIpv6 } from "../../../proto/addr6.ts";
import { type EniId, type VSwitchId } from "../../../proto/ids.ts";
import { type CloudFailure, type EniView, type FailureClass } from "../cloud.ts";
import {
  assignAddresses,
  attachEni,
  createEni,
  deleteEni,
  detachEni,
  fakeVpc,
  type FakeVpc,
  INSTANCE,
  unassignAddresses,
  vSwitchViews,
} from "./fake-vpc.ts";
import { type PoolEffect, type PoolEvent } from "./model.ts";

export type CloudCall = Extract<
  PoolEffect,
  {
    readonly kind:
      | "create-eni"
      | "attach-eni"
      | "describe"
      | "describe-vswitches"
      | "assign"
      | "unassign"
      | "detach-eni"
      | "delete-eni";
  }
>;

type CallOf<Kind extends CloudCall["kind"]> = Extract<CloudCall, { readonly kind: Kind }>;
type Timeless<Event> = Event extends unknown ? Omit<Event, "nowMs"> : never;

/** An event of the pool without its time. */
export type Answer = Timeless<PoolEvent>;

/** How one call goes wrong: refused, its reply lost (with or without its effect), an attachment undone later. */
export type Trouble =
  | { readonly kind: "refuse"; readonly class: FailureClass }
  | { readonly kind: "lose"; readonly applied: boolean }
  | { readonly kind: "undo" };

export type FakeCloudOptions = {
  readonly enisMax: number;
  readonly addressesPerEni: number;
  readonly addresses6PerEni?: number;
  /** Usable addresses of each vSwitch. */
  readonly vSwitches: readonly { readonly id: VSwitchId; readonly size: number }[];
  /** Asked at each call, in order. */
  readonly trouble?: (call: CloudCall, nowMs: number) => Trouble | undefined;
  /** By how much views are late. */
  readonly viewLagMs?: () => number;
  /** How long the call takes. */
  readonly latencyMs?: (call: CloudCall) => number;
};

export type FakeCloud = {
  readonly vpc: FakeVpc;
  readonly options: FakeCloudOptions;
  readonly tokens: Map<string, { readonly params: string; readonly answer: Answer }>;
  /** Mistakes of the caller that a real cloud would not forgive. */
  readonly offences: string[];
  /** Every refusal: the call and its class. */
  readonly refusals: string[];
};

const LATENCY_MS = {
  "create-eni": 450,
  "attach-eni": 200,
  describe: 75,
  "describe-vswitches": 75,
  assign: 600,
  unassign: 300,
  "detach-eni": 200,
  "delete-eni": 200,
} as const satisfies Record<CloudCall["kind"], number>;

export function fakeCloud(options: FakeCloudOptions): FakeCloud {
  return { vpc: fakeVpc(options), options, tokens: new Map(), offences: [], refusals: [] };
}

/** Carries the call out: what the answer is, and when it comes. Time must have been advanced to `nowMs`. */
export function callCloud(
  cloud: FakeCloud,
  call: CloudCall,
  nowMs: number,
): { readonly atMs: number; readonly answer: Answer } {
  const trouble = cloud.options.trouble?.(call, nowMs);
  const atMs = nowMs + (cloud.options.latencyMs?.(call) ?? LATENCY_MS[call.kind]);
  // A limit cannot refuse what was done already: the token, or the ENI's state, is looked at first.
  const isLimit = trouble?.kind === "refuse" && /full$|quota$/.test(trouble.class);
  if (trouble?.kind === "refuse" && !(isLimit && isDone(cloud, call)))
    return { atMs, answer: failedAnswer(call, failureOf(call, trouble.class)) };
  if (trouble?.kind === "lose") {
    if (trouble.applied) carryOut(cloud, call, nowMs);
    return { atMs, answer: failedAnswer(call, lostReply(call.kind)) };
  }
  const eni = call.kind === "attach-eni" ? cloud.vpc.enis.get(call.eni) : undefined;
  if (eni !== undefined) eni.undo = trouble?.kind === "undo";
  const answer = carryOut(cloud, call, nowMs);
  if ("failure" in answer) cloud.refusals.push(`${call.kind} ${answer.failure.class}`);
  return { atMs, answer };
}

/** A refusal by the cloud: nothing was changed. */
export function failureOf(call: CloudCall, failure: FailureClass): CloudFailure {
  const target = "eni" in call ? call.eni : call.kind === "create-eni" ? call.request.vSwitch : INSTANCE;
  return {
    class: failure,
    effect: "none",
    fault: {
      kind: "cloud",
      action: call.kind,
      target,
      code: `Code.${failure}`,
      message: `it is ${failure}`,
      requestId: "R-1",
      remedy: `cure ${failure}`,
    },
  };
}

/** No usable answer: nobody knows whether the call had its effect. */
export function lostReply(action: string): CloudFailure {
  const fault = { kind: "cloud-unreachable", action, target: INSTANCE, reason: "reset" } as const;
  return { class: "again", effect: "unknown", fault };
}

/** The event that tells of a failure. */
export function failedAnswer(call: CloudCall, failure: CloudFailure): Answer {
  switch (call.kind) {
    case "create-eni":
      return { kind: "eni-create-failed", slot: call.slot, failure };
    case "describe":
      return { kind: "describe-failed", scope: call.scope, failure };
    case "describe-vswitches":
      return { kind: "vswitches-describe-failed", failure };
    case "attach-eni":
      return { kind: "attach-failed", slot: call.slot, eni: call.eni, failure };
    case "assign":
      return { kind: "assign-failed", slot: call.slot, eni: call.eni, failure };
    case "unassign":
      return { kind: "unassign-failed", slot: call.slot, eni: call.eni, addresses: call.addresses, failure };
    case "detach-eni":
      return { kind: "detach-failed", slot: call.slot, eni: call.eni, failure };
    case "delete-eni":
      return { kind: "delete-failed", slot: call.slot, eni: call.eni, failure };
    default:
      return call satisfies never;
  }
}

function carryOut(cloud: FakeCloud, call: CloudCall, nowMs: number): Answer {
  const { vpc } = cloud;
  switch (call.kind) {
    case "create-eni": {
      const known = repeated(cloud, call.request.token, JSON.stringify(call.request));
      return known ?? create(cloud, call, nowMs);
    }
    case "describe":
      return { kind: "described", scope: call.scope, views: viewsFor(cloud, call, nowMs) };
    case "describe-vswitches":
      return { kind: "vswitches-described", views: vSwitchViews(vpc) };
    case "assign": {
      const known = repeated(cloud, call.token, assignParams(call));
      return known ?? assign(cloud, call, nowMs);
    }
    case "attach-eni":
    case "unassign":
    case "detach-eni":
    case "delete-eni": {
      const refused = change(cloud, call, nowMs);
      return refused === undefined ? doneAnswer(call) : failedAnswer(call, failureOf(call, refused));
    }
    default:
      return call satisfies never;
  }
}

function change(
  { vpc, offences }: FakeCloud,
  call: CallOf<"attach-eni" | "unassign" | "detach-eni" | "delete-eni">,
  nowMs: number,
): FailureClass | undefined {
  const eni = vpc.enis.get(call.eni);
  switch (call.kind) {
    case "attach-eni":
      return eni === undefined ? "gone" : attachEni(vpc, eni, nowMs);
    case "unassign":
      if (eni === undefined) return "gone";
      if (call.addresses.length > 10) offences.push(`unassigns ${call.addresses.length} at once`);
      if (new Set(call.addresses.map(isIpv6)).size > 1) offences.push("unassigns both families at once");
      if (call.addresses.includes(eni.view.primary))
        offences.push(`unassigns the primary address of ${call.eni}`);
      return unassignAddresses(vpc, eni, call.addresses, nowMs);
    case "detach-eni":
      if (eni !== undefined) detachEni(vpc, eni, nowMs);
      return undefined;
    case "delete-eni":
      return eni === undefined ? undefined : deleteEni(vpc, eni, nowMs);
    default:
      return call satisfies never;
  }
}

function doneAnswer(call: CallOf<"attach-eni" | "unassign" | "detach-eni" | "delete-eni">): Answer {
  const { slot, eni } = call;
  switch (call.kind) {
    case "attach-eni":
      return { kind: "attach-accepted", slot, eni };
    case "unassign":
      return { kind: "unassigned", slot, eni, addresses: call.addresses };
    case "detach-eni":
      return { kind: "detach-accepted", slot, eni };
    case "delete-eni":
      return { kind: "delete-accepted", slot, eni };
    default:
      return call satisfies never;
  }
}

function create(cloud: FakeCloud, call: CallOf<"create-eni">, nowMs: number): Answer {
  const view = createEni(cloud.vpc, call.request, nowMs);
  if (typeof view === "string") return failedAnswer(call, failureOf(call, view));
  const answer: Answer = { kind: "eni-created", slot: call.slot, view };
  cloud.tokens.set(call.request.token, { params: JSON.stringify(call.request), answer });
  return answer;
}

function assign(cloud: FakeCloud, call: CallOf<"assign">, nowMs: number): Answer {
  const eni = cloud.vpc.enis.get(call.eni);
  const addresses = eni === undefined ? "gone" : assignAddresses(cloud.vpc, eni, call, nowMs);
  if (typeof addresses === "string") return failedAnswer(call, failureOf(call, addresses));
  const answer: Answer = { kind: "assigned", slot: call.slot, eni: call.eni, addresses };
  cloud.tokens.set(call.token, { params: assignParams(call), answer });
  return answer;
}

function isDone({ tokens, vpc }: FakeCloud, call: CloudCall): boolean {
  if (call.kind === "attach-eni") return vpc.enis.get(call.eni)?.view.status !== "Available";
  return tokens.has(tokenOf(call) ?? "");
}

function assignParams({ eni, family, count }: CallOf<"assign">): string {
  return `${eni} ${family} ${count}`;
}

function tokenOf(call: CloudCall): string | undefined {
  if (call.kind === "create-eni") return call.request.token;
  return call.kind === "assign" ? call.token : undefined;
}

function repeated({ tokens, offences }: FakeCloud, token: string, params: string): Answer | undefined {
  const known = tokens.get(token);
  if (known !== undefined && known.params !== params) offences.push(`${token} with other parameters`);
  return known?.answer;
}

function viewsFor({ vpc, options }: FakeCloud, { scope }: CallOf<"describe">, nowMs: number): EniView[] {
  const atMs = nowMs - (options.viewLagMs?.() ?? 0);
  const views = vpc.history.findLast((entry) => entry.atMs <= atMs)?.views ?? [];
  const ids: ReadonlySet<EniId> = new Set(scope.by === "ids" ? scope.ids : []);
  return views.filter(({ id, instance }) => (scope.by === "ids" ? ids.has(id) : instance === INSTANCE));
}
