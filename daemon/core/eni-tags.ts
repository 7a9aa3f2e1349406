/**
 * The tags of every ENI that an agent makes (`Tag.N` of CreateNetworkInterface): who made it, for which instance, and by
 * which intent. From them follows whose ENI it is when nobody remembers.
 *
 * @module
 */
import { type InstanceId } from "../../proto/ids.ts";

/** `creator=terway`: every agent of every node. */
export const CREATOR_TAGS: Readonly<Record<string, string>> = { creator: "terway" };
/** The instance that it was made for. */
export const INSTANCE_TAG = "terway-instance";
/** The ClientToken of the call that made it: an ENI that nobody remembers is told from one that is just being made. */
export const INTENT_TAG = "terway-intent";

/** Those that say "made by the agent of this instance". */
export function tagsOfInstance(instance: InstanceId): Readonly<Record<string, string>> {
  return { ...CREATOR_TAGS, [INSTANCE_TAG]: instance };
}
