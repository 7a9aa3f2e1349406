/**
 * Questions to the cloud about ENIs, and their answers: the survey (everything attached to the instance, at the start and
 * now and then) and looks (the ENIs that are in transition, all in one call).
 *
 * @module
 */
import { type EniId } from "../../../proto/ids.ts";
import { type CloudFailure, type EniView } from "../cloud.ts";
import { isSurely, placeAddress, VIEW_LAG_MS } from "./assign.ts";
import { backOffMs, CONFIGURATION_RETRY_MS } from "./back-off.ts";
import { LINK_TIMEOUT_MS, lookAgain, onMissing, onUnlisted, onView } from "./cloud-view.ts";
import {
  type Draft,
  draw,
  editAll,
  freeSlot,
  isBusy,
  isKnown,
  type KnownEni,
  note,
  persist,
  putEni,
} from "./draft.ts";
import { ATTACH_LOOK_MS } from "./eni-create.ts";
import { learnEnis } from "./limits.ts";
import { type DescribeScope, type PoolEvent, type PoolSettings } from "./model.ts";

/** What other people do to our ENIs is noticed after this time at the latest, and up to half as much later. */
const SURVEY_MS = 1_800_000;
/** Between two lists while pods have addresses of ENIs that no list has shown. */
const UNPLACED_SURVEY_MS = 120_000;
/** DescribeNetworkInterfaces: NetworkInterfaceId.N. */
const IDS_MAX = 100;

/** Sends the question that is due; one at a time. */
export function look(draft: Draft): void {
  const { pool, nowMs } = draft;
  if (pool.describing !== undefined) return;
  const scope = pool.survey.atMs <= nowMs ? ({ by: "instance" } as const) : idsToLookAt(draft);
  if (scope === undefined) return;
  pool.describing = { sinceMs: nowMs };
  draft.effects.push({ kind: "describe", scope });
}

/** As soon as one ENI is due, all that wait for a view are asked for: one call serves them. */
function idsToLookAt({ pool, nowMs }: Draft): DescribeScope | undefined {
  const wanted = [...pool.enis.values()].filter((eni) => eni.look !== undefined);
  if (!wanted.some((eni) => (eni.look?.atMs ?? 0) <= nowMs)) return undefined;
  const ids = wanted
    .sort((a, b) => (a.look?.atMs ?? 0) - (b.look?.atMs ?? 0))
    .flatMap(({ facts }) => facts?.id ?? []);
  return { by: "ids", ids: ids.slice(0, IDS_MAX) };
}

type Described = Extract<PoolEvent, { readonly kind: "described" }>;

export function onDescribed(draft: Draft, { scope, views, present = [] }: Described): void {
  const { pool, nowMs } = draft;
  const askedMs = pool.describing?.sinceMs ?? nowMs;
  delete pool.describing;
  const byId = new Map(views.map((view) => [view.id, view]));
  const asked = scope.by === "ids" ? new Set(scope.ids) : undefined;
  const isFirst = scope.by === "instance" && !pool.cloudSeen;
  if (isFirst) pool.cloudSeen = true;
  for (const eni of editAll(draft)) {
    if (!isKnown(eni)) continue;
    const view = byId.get(eni.facts.id);
    const look = { askedMs, isPresent: present.includes(eni.facts.id) };
    if (view !== undefined) onView(draft, eni, view, look);
    else if (asked === undefined) onUnlisted(draft, eni);
    else if (asked.has(eni.facts.id)) onMissing(draft, eni, look);
  }
  if (scope.by === "instance") onSurveyed(draft, views, { askedMs, isFirst });
}

export function onDescribeFailed(draft: Draft, scope: DescribeScope, failure: CloudFailure): void {
  const { pool, nowMs } = draft;
  delete pool.describing;
  const isFinal = failure.class === "configuration";
  if (scope.by === "instance") {
    const tries = pool.survey.tries + 1;
    const pauseMs = isFinal ? CONFIGURATION_RETRY_MS : backOffMs(tries, draw(draft), failure.retryAfterMs);
    pool.survey = { atMs: nowMs + pauseMs, tries, fault: failure };
    if (isFinal) note(draft, "warn", "the ENIs of the instance could not be listed", failure.fault);
    return;
  }
  const atLeastMs = isFinal ? CONFIGURATION_RETRY_MS : (failure.retryAfterMs ?? 0);
  for (const eni of editAll(draft))
    if (isKnown(eni) && eni.look !== undefined) lookAgain(draft, eni, atLeastMs);
}

function onSurveyed(
  draft: Draft,
  views: readonly EniView[],
  { askedMs, isFirst }: { readonly askedMs: number; readonly isFirst: boolean },
): void {
  const { pool, nowMs } = draft;
  pool.survey = { atMs: nowMs + Math.round(SURVEY_MS * (1 + draw(draft) / 2)), tries: 0 };
  const known = new Set<EniId>();
  for (const { facts } of pool.enis.values()) if (facts !== undefined) known.add(facts.id);
  // A view that is late shows them still: it would give them a slot, and wait for their device.
  for (const [id, atMs] of pool.departed) if (!isSurely(askedMs, atMs)) known.add(id);
  const attached = views.filter(({ type }) => type !== "Primary");
  let foreign = 0;
  for (const view of attached) {
    if (known.has(view.id)) continue;
    const owner = ownerOf(pool.settings, view);
    if (owner === "foreign") foreign += 1;
    else if (view.status === "InUse" || view.status === "Attaching") adopt(draft, view, owner);
    else if (view.status === "Detaching" && owner === "own") adopt(draft, view, owner);
  }
  pool.foreign = foreign;
  // Pods without their ENI: the view may be late.
  if (pool.unplaced.values().some(({ state }) => state.kind === "used"))
    pool.survey = { atMs: nowMs + (isFirst ? VIEW_LAG_MS : UNPLACED_SURVEY_MS), tries: 0 };
  if (pool.refusedAtEnis !== undefined) {
    // Too high does no harm: the next refusal teaches again. Too low would last.
    learnEnis(draft, Math.max(attached.length, pool.refusedAtEnis));
    delete pool.refusedAtEnis;
  }
}

/** Ours by our tags, borrowed by those of the configuration, foreign otherwise. */
export function ownerOf(
  settings: Pick<PoolSettings, "ownTags" | "adoptTags">,
  view: EniView,
): "own" | "borrowed" | "foreign" {
  if (view.serviceManaged || view.type !== "Secondary") return "foreign";
  if (hasTags(view, settings.ownTags)) return "own";
  return settings.adoptTags !== undefined && hasTags(view, settings.adoptTags) ? "borrowed" : "foreign";
}

function hasTags(view: EniView, tags: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(tags);
  return wanted.length > 0 && wanted.every(([key, value]) => view.tags[key] === value);
}

/** An ENI that is attached to us and that the store does not know. */
function adopt(draft: Draft, view: EniView, owner: "own" | "borrowed"): void {
  const { nowMs } = draft;
  const slot = slotFor(draft, view);
  const facts = { id: view.id, mac: view.mac, primary: view.primary };
  const eni: KnownEni = {
    slot,
    vSwitch: view.vSwitch,
    facts,
    addresses: new Map(),
    grewAtMs: nowMs,
    misses: 0,
    state: { kind: "linking", sinceMs: nowMs, rounds: 0, inUse: view.status === "InUse", unsure: false },
    look: { atMs: nowMs + (view.status === "InUse" ? LINK_TIMEOUT_MS : ATTACH_LOOK_MS), tries: 0 },
    ...(owner === "borrowed" ? { borrowed: true as const } : {}),
  };
  putEni(draft, eni);
  for (const address of new Set([view.primary, ...view.addresses, ...view.addresses6]))
    placeAddress(draft, eni, address);
  // One that leaves and has pods all the same is awaited, and attached again once it has left.
  if (view.status === "Detaching" && !isBusy(eni)) {
    eni.state = { kind: "detaching", sinceMs: nowMs, unsure: false };
  } else {
    draft.effects.push({ kind: "link-eni", slot, eni: view.id });
  }
  persist(draft, eni);
  const text = `${view.id} in ${view.vSwitch} was found attached and is used: ${eni.addresses.size} addresses`;
  note(draft, "info", text);
}

/** Where its pods know it, if that is free: their routing rules point there. */
function slotFor({ pool }: Draft, { addresses }: EniView): number {
  for (const address of addresses) {
    const slot = pool.unplaced.get(address)?.slot;
    if (slot !== undefined && !pool.enis.has(slot)) return slot;
  }
  return freeSlot(pool);
}
