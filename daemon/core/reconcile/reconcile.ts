/**
 * Where pool (which is what the store has), kernel and metadata service tell different things: one list, with a decision for each.
 * Pure; `daemon/agent/reconcile.ts` carries the decisions out.
 *
 * No decision here gives anything up. What the kernel uses is held back from others. What the metadata service shows otherwise is
 * asked of the API, for one view alone is never believed; which of its answers are is decided where they arrive
 * (`daemon/core/pool/cloud-view.ts`, `sync.ts`).
 *
 * @module
 */
import { type Mac } from "../../../proto/addr.ts";
import { type IpAddress } from "../../../proto/addr6.ts";
import { attachmentKey } from "../../../proto/attachment.ts";
import { type EniId } from "../../../proto/ids.ts";
import { type PodTrace } from "../kernel.ts";
import { type MetadataEni } from "../metadata.ts";
import { type AddressState, type Eni, type Pool } from "../pool/model.ts";

/** What differs. Addresses and ENIs are named as each source knows them. */
export type Subject =
  /** The kernel leads packets to a pod's link, and no lease says so. `pool`: what the pool says of the address. */
  | {
      readonly kind: "used-without-lease";
      readonly address: IpAddress;
      readonly hostName: string;
      readonly pool: AddressState["kind"] | "unknown";
    }
  /** The kernel has the rule of a slot in which the pool has no ENI: a former run, or a failure, left it there. */
  | { readonly kind: "slot-without-eni"; readonly slot: number }
  /** The pool has an address on the ENI, the metadata service does not show it. */
  | { readonly kind: "address-not-shown"; readonly eni: EniId; readonly address: IpAddress }
  /** The metadata service shows an address on the ENI that the pool does not have. */
  | { readonly kind: "address-not-known"; readonly eni: EniId; readonly address: IpAddress }
  /** The pool has an ENI that serves, the metadata service does not show it. */
  | { readonly kind: "eni-not-shown"; readonly eni: EniId }
  /** The metadata service shows an ENI that the pool does not have: new, not ours, or of a former run. */
  | { readonly kind: "eni-not-known"; readonly eni: EniId }
  /** The API has said, in a view that cannot be late, that a pod's address is gone. */
  | {
      readonly kind: "address-lost";
      readonly eni: EniId | undefined;
      readonly address: IpAddress;
      readonly attachment: string;
    };

export type Decision =
  /** The address is kept from new pods and from the cloud for as long as the kernel uses it. */
  | { readonly kind: "hold" }
  /** Seen once, it may be on its way to agree; looked at again. */
  | { readonly kind: "wait" }
  /** What the kernel has of the slot is taken away: two looks found nobody who uses it. */
  | { readonly kind: "forget" }
  /** The API is asked: about the ENI, or for all that are attached. */
  | { readonly kind: "ask" }
  /** The API was asked; what it says later is heard by the pool. Nothing more is done. */
  | { readonly kind: "leave" }
  /** A person has to delete the pod: it has no network, and its address is kept for it alone. */
  | { readonly kind: "report" };

export type Difference = { readonly subject: Subject; readonly decision: Decision };

/** Differences of the last looks by `keyOf`: since when, and how often the API was asked because of it. */
export type Watch = ReadonlyMap<string, { readonly sinceMs: number; readonly asked: number }>;

export type Views = {
  /** The pool before kernel and metadata service were looked at, and after: what changed meanwhile is no difference. */
  readonly before: Pool;
  readonly after: Pool;
  /** `undefined`: the kernel could not be asked. */
  readonly traces: readonly PodTrace[] | undefined;
  /** Slots of ENIs that the kernel has rules of; told with `traces`. */
  readonly slots?: readonly number[];
  /** `undefined`: there was no answer. */
  readonly shown: readonly MetadataEni[] | undefined;
  /** The instance's own ENI, which serves no pods. */
  readonly primaryMac: Mac;
  /** Milliseconds of any clock that is never set. */
  readonly nowMs: number;
};

export type Reconciled = {
  readonly watch: Watch;
  readonly differences: readonly Difference[];
  /** Those that were not there at the last look. */
  readonly fresh: readonly Difference[];
  readonly hold: readonly IpAddress[];
  /** Slots to take away from the kernel. */
  readonly forget: readonly number[];
  /** ENIs of the pool to ask the API about. */
  readonly ask: readonly EniId[];
  /** The API is to be asked for all ENIs of the instance. */
  readonly survey: boolean;
};

/** A difference is asked about when a second look finds it, and once more after this time, when no view can be that late. */
export const ASK_AGAIN_MS = 600_000;
/** More would not be read by anybody. What is beyond is seen when others have gone. */
const DIFFERENCES_MAX = 1_000;

export function reconcile(watch: Watch, views: Views): Reconciled {
  const { nowMs } = views;
  const subjects = [
    ...kernelSubjects(views),
    ...slotSubjects(views),
    ...metadataSubjects(views),
    ...lostSubjects(views),
  ];
  const next = new Map<string, { readonly sinceMs: number; readonly asked: number }>();
  const [differences, fresh]: [Difference[], Difference[]] = [[], []];
  for (const subject of subjects.slice(0, DIFFERENCES_MAX)) {
    const key = keyOf(subject);
    const known = watch.get(key);
    const decision = decide(subject, known, nowMs);
    const { sinceMs, asked } = known ?? { sinceMs: nowMs, asked: 0 };
    next.set(key, { sinceMs, asked: asked + (decision.kind === "ask" ? 1 : 0) });
    const difference = { subject, decision };
    differences.push(difference);
    if (known === undefined) fresh.push(difference);
  }
  const asked = differences.flatMap(({ subject, decision }) => (decision.kind === "ask" ? [subject] : []));
  return {
    watch: keepUnseen(watch, next, views),
    differences,
    fresh,
    hold: differences.flatMap(({ subject, decision }) =>
      decision.kind === "hold" && "address" in subject ? [subject.address] : [],
    ),
    forget: differences.flatMap(({ subject, decision }) =>
      decision.kind === "forget" && "slot" in subject ? [subject.slot] : [],
    ),
    ask: [...new Set(asked.flatMap((subject) => eniToAsk(subject) ?? []))],
    survey: asked.some(({ kind }) => kind === "eni-not-known"),
  };
}

/** The ENI of the pool that the API is asked about. */
function eniToAsk(subject: Subject): EniId | undefined {
  switch (subject.kind) {
    case "address-not-shown":
    case "address-not-known":
    case "eni-not-shown":
      return subject.eni;
    case "eni-not-known":
    case "used-without-lease":
    case "slot-without-eni":
    case "address-lost":
      return undefined;
    default:
      return subject satisfies never;
  }
}

type Known = { readonly sinceMs: number; readonly asked: number } | undefined;

function decide(subject: Subject, known: Known, nowMs: number): Decision {
  switch (subject.kind) {
    case "used-without-lease":
      return { kind: "hold" };
    case "slot-without-eni":
      return { kind: known === undefined ? "wait" : "forget" };
    case "address-not-shown":
    case "address-not-known":
    case "eni-not-shown":
    case "eni-not-known":
      if (known === undefined) return { kind: "wait" };
      if (known.asked === 0) return { kind: "ask" };
      if (known.asked === 1 && nowMs - known.sinceMs > ASK_AGAIN_MS) return { kind: "ask" };
      return { kind: "leave" };
    case "address-lost":
      return { kind: "report" };
    default:
      return subject satisfies never;
  }
}

const KERNEL_KINDS = ["used-without-lease", "slot-without-eni"] as const;

/** Where a source did not answer, what it told before is not forgotten: it would be asked about anew. */
function keepUnseen(watch: Watch, next: Map<string, NonNullable<Known>>, { traces, shown }: Views): Watch {
  for (const [key, known] of watch) {
    const isOfKernel = KERNEL_KINDS.some((kind) => key.startsWith(kind));
    const isUnseen = isOfKernel
      ? traces === undefined
      : shown === undefined && !key.startsWith("address-lost");
    if (isUnseen && next.size < DIFFERENCES_MAX) next.set(key, known);
  }
  return next;
}

/** Names a difference, whatever is known of it: "address-not-shown eni-1 10.0.0.7". */
export function keyOf(subject: Subject): string {
  const eni = "eni" in subject && subject.eni !== undefined ? ` ${subject.eni}` : "";
  const address = "address" in subject ? ` ${subject.address}` : "";
  const slot = "slot" in subject ? ` ${subject.slot}` : "";
  return `${subject.kind}${eni}${address}${slot}`;
}

/** Traces of addresses that nobody had before the look nor has after it: a pod that came or went meanwhile is none. */
function kernelSubjects({ before, after, traces = [] }: Views): readonly Subject[] {
  return traces.flatMap(({ address, hostName }): Subject[] => {
    const [was, is] = [stateOf(before, address), stateOf(after, address)];
    if (was?.kind === "used" || is?.kind === "used") return [];
    return [{ kind: "used-without-lease", address, hostName, pool: is?.kind ?? "unknown" }];
  });
}

/**
 * None before the cloud's list was seen, nor while the kernel leads packets to a pod of which nobody knows the slot: it may be one
 * of these.
 */
function slotSubjects(views: Views): readonly Subject[] {
  const { before, after, slots = [] } = views;
  if (!before.cloudSeen || kernelSubjects(views).length > 0) return [];
  const wanted = new Set([
    ...before.enis.keys(),
    ...after.enis.keys(),
    ...[...after.unplaced.values()].flatMap(({ slot }) => slot ?? []),
  ]);
  return slots.filter((slot) => !wanted.has(slot)).map((slot) => ({ kind: "slot-without-eni", slot }));
}

function metadataSubjects({ before, after, shown, primaryMac }: Views): readonly Subject[] {
  if (shown === undefined) return [];
  const byId = new Map(shown.map((eni) => [eni.id, eni]));
  const known = new Set([...enisOf(before), ...enisOf(after)].flatMap(({ facts }) => facts?.id ?? []));
  const subjects: Subject[] = shown
    .filter(({ id, mac }) => mac !== primaryMac && !known.has(id))
    .map(({ id }) => ({ kind: "eni-not-known", eni: id }));
  for (const eni of enisOf(after)) {
    const { facts } = eni;
    // While its addresses change, nobody can say what they are.
    if (facts === undefined || !isQuiet(eni) || before.enis.get(eni.slot) !== eni) continue;
    const view = byId.get(facts.id);
    if (view === undefined) subjects.push({ kind: "eni-not-shown", eni: facts.id });
    else subjects.push(...addressSubjects(facts.id, eni, view));
  }
  return subjects;
}

function addressSubjects(id: EniId, eni: Eni, view: MetadataEni): readonly Subject[] {
  const shown = new Set<IpAddress>([...view.addresses, ...view.addresses6]);
  const missing = [...eni.addresses].flatMap(([address, state]): Subject[] =>
    // One that is known to be lost is reported as that.
    shown.has(address) || (state.kind === "used" && state.lost === true)
      ? []
      : [{ kind: "address-not-shown", eni: id, address }],
  );
  const more = [...shown]
    .filter((address) => !eni.addresses.has(address))
    .map((address): Subject => ({ kind: "address-not-known", eni: id, address }));
  return [...missing, ...more];
}

function lostSubjects({ after }: Views): readonly Subject[] {
  return enisOf(after).flatMap(({ facts, addresses }) =>
    [...addresses].flatMap(([address, state]): Subject[] =>
      state.kind === "used" && state.lost === true
        ? [{ kind: "address-lost", eni: facts?.id, address, attachment: attachmentKey(state.attachment) }]
        : [],
    ),
  );
}

function enisOf({ enis }: Pool): readonly Eni[] {
  return [...enis.values()];
}

function isQuiet({ state, assigning, unassigning }: Eni): boolean {
  return state.kind === "ready" && assigning === undefined && unassigning === undefined;
}

function stateOf(pool: Pool, address: IpAddress): AddressState | undefined {
  for (const { addresses } of pool.enis.values()) {
    const state = addresses.get(address);
    if (state !== undefined) return state;
  }
  return pool.unplaced.get(address)?.state;
}
