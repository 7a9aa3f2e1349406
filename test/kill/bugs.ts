/**
 * Bugs that are put into the killable agent to show that the kills find them: which changes its store forgets.
 *
 * @module
 */
import { type StoreChange } from "../../daemon/store/schema.ts";

export const BUGS = {
  /** The interface is made before anything tells whose it is. */
  "no-lease-before-the-kernel": (change) => change.kind === "put-lease" && change.lease.state === "pending",
  /** After a restart a released address can be given away at once. */
  "no-cooldown": (change) => change.kind === "put-cooldown",
  /** The ENI is made before anything tells of it. */
  "no-intent": (change) => change.kind === "put-eni" && change.record.includes('"kind":"creating"'),
} as const satisfies Record<string, (change: StoreChange) => boolean>;

export type Bug = keyof typeof BUGS;

export function isBug(name: string): name is Bug {
  return name in BUGS;
}
