/**
 * The agent's database from the agent's side: waiting until it can be opened, and knowing whether it can be written.
 *
 * @module
 */
import { describeFault, type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type OpenFault, type Store } from "../store/store.ts";
import { sentence, type StartFault } from "./facts.ts";
import { type Log } from "./log.ts";
import { sleep, type Timers } from "./timers.ts";

/** How often it is tried to open a database that cannot be had. */
const OPEN_RETRY_MS = 1000;
/** How old the last write may be until STATUS tries one. */
const WRITE_AGE_MAX_MS = 30_000;

export type Opening = {
  readonly open: () => Result<Store, OpenFault>;
  /** Told of why it cannot be opened, once for each reason. */
  readonly onWait: (fault: Fault) => void;
  /** False: what would have to be waited for is a fault, too. */
  readonly isPatient: boolean;
  readonly timers: Timers;
  readonly stop: AbortSignal;
  readonly log: Log;
};

/**
 * Opens the database. What passes when a person acts (a full disk, a lock) is waited for, so that meanwhile every ADD hears
 * of the cause; what does not is a fault at once.
 */
export async function openPatiently(opening: Opening): Promise<Result<Store, StartFault>> {
  const { open, onWait, isPatient, timers, stop, log } = opening;
  let said = "";
  while (!stop.aborted) {
    const opened = open();
    if (opened.ok) return opened;
    const { kind, fault } = opened.fault;
    if (!isPatient || kind === "other" || kind === "damaged") return failed({ text: sentence(fault) });
    if (said !== kind) {
      log.error({ fault }, "the database cannot be opened; pods that run are not touched, new ones wait");
      onWait(fault);
    }
    said = kind;
    await sleep(timers, OPEN_RETRY_MS);
  }
  return failed({ text: "it was stopped before its database could be opened" });
}

export type WatchedStore = Store & {
  /** Can it be written? Where that has failed, or was long ago, it is tried. */
  readonly check: () => Result<void>;
};

/** Notices how writes end. `elapsedMs`: of a clock that never goes back. */
export function watchStore(store: Store, elapsedMs: () => number, log: Log): WatchedStore {
  let last: Result<void> = ok(undefined);
  let atMs = elapsedMs();
  const write: Store["write"] = (changes) => {
    const written = store.write(changes);
    if (changes.length === 0) return written;
    if (last.ok && !written.ok)
      log.error({ fault: written.fault }, "the database cannot be written; pods that run are not touched");
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
