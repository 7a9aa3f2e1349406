/**
 * Puts our drop-in files on the node, and takes them away. What they are is decided by `daemon/core/host-files/`.
 *
 * A file that we did not write stays as it is, also where it has the name of one of ours.
 *
 * @module
 */
import { lstat, mkdir, open, readFile, realpath, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { HOST_FILE_PATHS, type HostFile, isOurs } from "../core/host-files/plan.ts";

/** What was done. Paths are below the node's root. */
export type HostFilesOutcome = {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  /** Left as they are: sentences that say which and why. */
  readonly refused: readonly string[];
};

/**
 * Makes the node's files those of `wanted`: each is written where its program's directory is and where it differs, whole or
 * not at all; our files that are not wanted any more are removed. One that fails does not keep the others.
 *
 * `hostRoot`: where the node's root is mounted; `/` where the agent runs on the node itself.
 */
export async function reconcileHostFiles(
  hostRoot: string,
  wanted: readonly HostFile[],
): Promise<HostFilesOutcome> {
  const outcome = { written: [] as string[], removed: [] as string[], refused: [] as string[] };
  for (const path of HOST_FILE_PATHS) {
    const file = wanted.find((each) => each.path === path);
    try {
      const done = file === undefined ? await removeFile(hostRoot, path) : await writeFile(hostRoot, file);
      if (done) outcome[file === undefined ? "removed" : "written"].push(path);
    } catch (error) {
      outcome.refused.push(
        `${join(hostRoot, path)}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  return outcome;
}

async function writeFile(hostRoot: string, file: HostFile): Promise<boolean> {
  if (!(await isDirectory(join(hostRoot, file.programDirectory)))) return false;
  const path = join(hostRoot, file.path);
  await mkdir(dirname(path), { recursive: true });
  await insist(hostRoot, path);
  if ((await textOfOurs(path)) === file.text) return false;
  const temporary = temporaryOf(path);
  try {
    const handle = await open(temporary, "w", 0o644);
    try {
      await handle.writeFile(file.text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return true;
}

async function removeFile(hostRoot: string, file: string): Promise<boolean> {
  const path = join(hostRoot, file);
  if (!(await isDirectory(dirname(path)))) return false;
  await insist(hostRoot, path);
  await rm(temporaryOf(path), { force: true });
  if ((await textOfOurs(path)) === undefined) return false;
  await rm(path);
  await removeMadeDirectory(dirname(path));
  return true;
}

/** The one directory that `writeFile` may have made; others stay. */
async function removeMadeDirectory(directory: string): Promise<void> {
  if (basename(directory) !== "networkd.conf.d") return;
  // With files of others in it, it stays.
  await rmdir(directory).catch(() => undefined);
}

/** A container sees the node's links as if they were its own: one that leads out of the root is not the node's file. */
async function insist(hostRoot: string, path: string): Promise<void> {
  const [root, directory] = await Promise.all([realpath(hostRoot), realpath(dirname(path))]);
  const below = root.endsWith(sep) ? root : `${root}${sep}`;
  if (!directory.startsWith(below))
    throw new Error(`${dirname(path)} leads to ${directory}, outside of ${root}`);
}

/** The text of our file; `undefined` where there is none. Throws where something of somebody else is in its place. */
async function textOfOurs(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch(absent);
  if (found === undefined) return undefined;
  const text = found.isFile() ? await readFile(path, "utf8") : undefined;
  if (text === undefined || !isOurs(text))
    throw new Error(
      "it was not written by terwayd and is left as it is; remove it, or move it to another name",
    );
  return text;
}

/** Hidden, and without the ending of any of the programs. */
function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp`);
}

async function isDirectory(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function absent(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
