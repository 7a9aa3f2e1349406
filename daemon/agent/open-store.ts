/**
 * The agent's database from the agent's side: what of its troubles passes, and knowing whether it can be written.
 *
 * @module
 */
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type OpenFault, type Store } from "../store/store.ts";
import { passing, sentence, type StartFault } from "./start-fault.ts";
import { type Log } from "./log.ts";

/** How old the last write may be until STATUS tries one. */
const WRITE_AGE_MAX_MS = 30_000;

/** What passes when a person acts (a full disk, a lock) is waited for. */
export function storeStartFault({ kind, fault }: OpenFault): StartFault {
  return kind === "other" || kind === "damaged" ? { text: sentence(fault) } : passing(fault);
}

export type WatchedStore = Store & {
  /** Can it be written? Where that has failed, or was long ago, it is tried. */
  readonly check: () => Result<void>;
};

export type WatchOptions = {
  /** Of a clock that never goes back. */
  readonly elapsedMs: () => number;
  readonly log: Log;
  /** Called once the file turns out to be damaged: only another start can set it aside and rebuild it. */
  readonly onDamaged: (fault: Fault) => void;
};

/** Notices how writes end. */
export function watchStore(store: Store, { elapsedMs, log, onDamaged }: WatchOptions): WatchedStore {
  let last: Result<void> = ok(undefined);
  let atMs = elapsedMs();
  const write: Store["write"] = (changes) => {
    const written = store.write(changes);
    if (changes.length === 0) return written;
    if (last.ok && !written.ok)
      log.error({ fault: written.fault }, "the database cannot be written; pods that run are not touched");
    if (!written.ok && store.isDamaged()) onDamaged(written.fault);
    if (!last.ok && written.ok) log.info("the database can be written again");
    last = written;
    atMs = elapsedMs();
    return written;
  };
  return {
    ...store,
    write,
    check() {
      if (last.ok && elapsedMs() - atMs < WRITE_AGE_MAX_MS) return last;
      return write([{ kind: "put-meta", key: "checked", value: "" }]);
    },
    // A method of the prototype would be lost by the spread.
    [Symbol.dispose]: () => store[Symbol.dispose](),
  };
}

/** STATUS, where the database has a part in it. What pods that run lack comes first. */
export async function statusWith(
  store: Pick<WatchedStore, "check">,
  status: () => Promise<Result<void>>,
): Promise<Result<void>> {
  const said = await status();
  if (!said.ok && said.fault.kind === "pods-affected") return said;
  const kept = store.check();
  return kept.ok ? said : failed({ kind: "cannot-serve", reason: describeFault(kept.fault) });
}
