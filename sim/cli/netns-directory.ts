/**
 * `/var/run/netns`: the first `ip netns add` of a machine makes the directory and mounts it on itself, and nothing ever
 * takes that back. Where that was for a simulator, the last `down` does.
 *
 * @module
 */
import { readdir, readFile, realpath, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { NETNS_DIRECTORY } from "../fabric/shape.ts";
import { type Run } from "../fabric/run.ts";
import { RUN_DIRECTORY, simulatorNames, writeWhole } from "./run-directory.ts";

/** What was not there before the first simulator. */
const made = z.object({ directory: z.boolean(), mount: z.boolean() });

const NOTE = join(RUN_DIRECTORY, "netns-made.json");

/** Notes what `ip netns add` is about to make. To be called before it, with `/run/terway-sim` there. */
export async function noteNetnsDirectory(): Promise<void> {
  const directory = !(await exists(NETNS_DIRECTORY));
  const mount = directory || !(await isMounted());
  if ((directory || mount) && !(await exists(NOTE)))
    await writeWhole(NOTE, JSON.stringify({ directory, mount }));
}

/**
 * Undoes what was noted, if no simulator is left. A directory that others use by now stays, and is theirs from then on.
 *
 * @throws Error with the words of `umount`.
 */
export async function restoreNetnsDirectory(run: Run): Promise<void> {
  if ((await simulatorNames()).length > 0) return;
  const note = await readFile(NOTE, "utf8").catch(() => undefined);
  if (note === undefined) return;
  const { directory, mount } = made.parse(JSON.parse(note));
  const inUse = (await readdir(NETNS_DIRECTORY).catch(() => [])).length > 0;
  if (mount && !inUse && (await isMounted())) {
    // Without -n, umount(8) makes /run/mount where it is missing.
    const ran = await run(["umount", "-n", NETNS_DIRECTORY], "");
    if (ran.status !== 0) throw new Error(`umount ${NETNS_DIRECTORY}: ${ran.stderr.trim()}`);
  }
  if (directory && !inUse) await rmdir(NETNS_DIRECTORY).catch(() => undefined);
  await rm(NOTE, { force: true });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Source: proc(5), /proc/PID/mountinfo: the fifth field is the mount point. */
async function isMounted(): Promise<boolean> {
  const path = await realpath(NETNS_DIRECTORY).catch(() => NETNS_DIRECTORY);
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  return mounts.split("\n").some((line) => line.split(" ")[4] === path);
}
