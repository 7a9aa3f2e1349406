/**
 * Keeps the node's drop-in files in step with the ENIs that the agent has.
 *
 * @module
 */
import { type Mac } from "../../proto/addr.ts";
import { planHostFiles } from "../core/host-files/plan.ts";
import { type HostFilesOutcome, reconcileHostFiles } from "../host-files/host-files.ts";
import { type Log } from "./log.ts";

export type HostFiles = AsyncDisposable & {
  /** The ENIs now: an ENI is known before it is attached, so the files are there before its device. Never waits. */
  readonly onEnis: (macs: readonly Mac[]) => void;
};

/** Files are written by `onEnis`, and stay when this is disposed of: pods keep running. */
export function openHostFiles(hostRoot: string, log: Log): HostFiles {
  let written: string | undefined;
  let work: Promise<void> = Promise.resolve();
  return {
    onEnis(macs) {
      const key = [...macs].sort().join();
      if (key === written) return;
      written = key;
      work = work.then(async () => logOutcome(log, await reconcileHostFiles(hostRoot, planHostFiles(macs))));
    },
    [Symbol.asyncDispose]: () => work,
  };
}

/** Removes all of them: the way to uninstall. */
export async function removeHostFiles(hostRoot: string, log: Log): Promise<void> {
  logOutcome(log, await reconcileHostFiles(hostRoot, []));
}

function logOutcome(log: Log, { written, removed, refused }: HostFilesOutcome): void {
  if (written.length + removed.length > 0)
    log.info(
      { written, removed },
      "drop-in files of the node; udev uses them at once, other programs when they read their files again",
    );
  for (const reason of refused)
    log.warn({ reason }, "a drop-in file that keeps the node's programs from our links is not in place");
}
