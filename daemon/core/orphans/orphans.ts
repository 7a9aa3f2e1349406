/**
 * ENIs that nobody will ever use or delete: made by an agent that died between the creation and the attachment and lost its
 * store, or left behind by an instance that is released. Who may delete them, and when.
 *
 * An ENI is a suspect where it carries our tags and is attached to nothing. Two sources then have to agree: the cloud says that
 * it is `Available`, or `Deleting` for so long that its deletion is stuck and has to be asked for again, and
 *
 * - of ENIs made for this instance: its own pool does not know it, nor the intent that made it;
 * - of ENIs made for another one: the cloud does not know that instance any more.
 *
 * So no agent ever takes an ENI from an agent that lives: as long as an instance exists, only its own agent decides. Two
 * agents that delete the ENI of a dead instance do the same thing twice, and the second is told that it is gone. Nothing is
 * deleted before every look of a whole quarantine found it so.
 *
 * @module
 */
import { type EniId, type InstanceId, instanceId } from "../../../proto/ids.ts";
import { type EniView } from "../cloud.ts";
import { CREATOR_TAGS, INSTANCE_TAG, INTENT_TAG } from "../eni-tags.ts";
import { type Pool } from "../pool/model.ts";

/** An ENI of ours that is attached to nothing, and the instance it was made for. */
export type Suspect = { readonly eni: EniId; readonly owner: InstanceId };

/** Since when (milliseconds) each orphan was found to be one, at every look. */
export type OrphanWatch = ReadonlyMap<EniId, number>;

const LOOSE: ReadonlySet<string> = new Set(["Available", "Deleting"] satisfies EniView["status"][]);

/** Instances that one look asks the cloud for, at most. */
export const OWNERS_PER_LOOK = 20;

/** `views`: DescribeNetworkInterfaces by `CREATOR_TAGS`; `pool`: what the agent of this instance knows. */
export function suspectsOf(views: readonly EniView[], pool: Pool): readonly Suspect[] {
  const [known, intents] = [new Set<EniId>(), new Set<string>()];
  for (const { facts, state } of pool.enis.values()) {
    if (facts !== undefined) known.add(facts.id);
    if (state.kind === "creating") intents.add(state.request.token);
  }
  return views.flatMap((view): Suspect[] => {
    const owner = view.tags[INSTANCE_TAG];
    const isOurs = Object.entries(CREATOR_TAGS).every(([key, value]) => view.tags[key] === value);
    const isLoose = LOOSE.has(view.status) && view.instance === undefined;
    if (owner === undefined || !isOurs || !isLoose) return [];
    if (view.type !== "Secondary" || view.serviceManaged) return [];
    if (known.has(view.id) || intents.has(view.tags[INTENT_TAG] ?? "")) return [];
    return [{ eni: view.id, owner: instanceId(owner) }];
  });
}

/** The instances to ask the cloud for, other than this one; those of the longest watched ENIs first. */
export function ownersToAsk(
  suspects: readonly Suspect[],
  instance: InstanceId,
  watch: OrphanWatch,
): readonly InstanceId[] {
  const sinceMs = ({ eni }: Suspect): number => watch.get(eni) ?? Number.POSITIVE_INFINITY;
  const others = suspects
    .filter(({ owner }) => owner !== instance)
    .toSorted((one, other) => (sinceMs(one) < sinceMs(other) ? -1 : Number(sinceMs(one) > sinceMs(other))));
  return [...new Set(others.map(({ owner }) => owner))].slice(0, OWNERS_PER_LOOK);
}

export type OrphanLook = {
  readonly suspects: readonly Suspect[];
  /** Of the instances that were asked for: those that the cloud does not know. */
  readonly gone: ReadonlySet<InstanceId>;
  readonly instance: InstanceId;
  readonly nowMs: number;
  readonly quarantineMs: number;
};

export type OrphanDecision = {
  readonly watch: OrphanWatch;
  /** To be deleted now. They stay in the watch until the cloud does not list them any more. */
  readonly due: readonly Suspect[];
  /** Seen for the first time. */
  readonly fresh: readonly Suspect[];
};

/** What one more look leads to. A clock that went back begins the quarantine anew. */
export function watchOrphans(watch: OrphanWatch, look: OrphanLook): OrphanDecision {
  const { suspects, gone, instance, nowMs, quarantineMs } = look;
  const orphans = suspects.filter(({ owner }) => owner === instance || gone.has(owner));
  const since = (eni: EniId): number => Math.min(watch.get(eni) ?? nowMs, nowMs);
  return {
    watch: new Map(orphans.map(({ eni }) => [eni, since(eni)])),
    due: orphans.filter(({ eni }) => watch.has(eni) && nowMs - since(eni) >= quarantineMs),
    fresh: orphans.filter(({ eni }) => !watch.has(eni)),
  };
}
