/**
 * In place of `daemon/store/store.ts` for the agent: the opening of the database and each commit are counted. The bugs that
 * TERWAY_KILL_BUG puts in show that the test finds them.
 *
 * @module
 */
import { type StoreChange } from "../../../daemon/store/schema.ts";
import {
  type OpenFault,
  openStore as open,
  type Store,
  type StoreOptions,
} from "../../../daemon/store/store.ts";
import { ok, type Result } from "../../../proto/result.ts";
import { BUGS, isBug } from "../bugs.ts";
import { point } from "./point.ts";

export type { OpenFault, Store };

export function openStore(options: StoreOptions): Result<Store, OpenFault> {
  const opened = open(options);
  point("store: opened");
  if (!opened.ok) return opened;
  const store = opened.value;
  return ok({
    ...store,
    write(changes) {
      const written = store.write(changes.filter((change) => !isForgotten(change)));
      if (changes.length > 0) point(`store: ${nameOf(changes)}`);
      return written;
    },
    // A method of the prototype would be lost by the spread.
    [Symbol.dispose]: () => store[Symbol.dispose](),
  });
}

const bug = process.env["TERWAY_KILL_BUG"] ?? "";

function isForgotten(change: StoreChange): boolean {
  return isBug(bug) && BUGS[bug](change);
}

function nameOf(changes: readonly StoreChange[]): string {
  return changes
    .map((change) => (change.kind === "put-lease" ? `${change.kind} ${change.lease.state}` : change.kind))
    .join(", ");
}
