/**
 * Taking a simulator away, whatever is left of it. Used by `down`, by an `up` that fails, and by an `up` that finds the
 * rest of one that was killed.
 *
 * @module
 */
import { removeNamespaces } from "../fabric/fabric.ts";
import { runProgram } from "../fabric/run.ts";
import { restoreNetnsDirectory } from "./netns-directory.ts";
import { endProcess } from "./process-identity.ts";
import { readRecord, readServing, removeDirectory, removeRunDirectoryIfEmpty } from "./run-directory.ts";

/**
 * Ends the serving process, removes namespaces and files, and leaves the machine as before the first `up`. Can be
 * repeated after a failure.
 *
 * @throws Error that says what could not be removed.
 */
export async function tearDown(name: string): Promise<void> {
  const serving = await readServing(name);
  if (serving !== undefined) await endProcess(serving);
  const record = await readRecord(name);
  if (record !== undefined) await removeNamespaces(record.namespaces, runProgram);
  await removeDirectory(name);
  await restoreNetnsDirectory(runProgram);
  await removeRunDirectoryIfEmpty();
}
