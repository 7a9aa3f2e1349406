/**
 * `/run/netns`: the first `ip netns add` of a machine makes it and mounts it on itself, and nothing takes that back. The
 * demo does where it was the first, and nobody else uses it by then.
 *
 * @module
 */
import { readdir, rmdir } from "node:fs/promises";
import { run } from "../harness/process.ts";

const DIRECTORY = "/run/netns";

/** To be opened before the first namespace. `restore` may be repeated, and throws nothing. */
export async function openNetnsDirectory(): Promise<{ readonly restore: () => Promise<void> }> {
  const was = await names();
  return {
    async restore() {
      if (was !== undefined || (await names())?.length !== 0) return;
      // Without -n, umount(8) makes /run/mount where it is missing.
      await run("umount", ["-n", DIRECTORY]);
      await rmdir(DIRECTORY).catch(() => undefined);
    },
  };
}

/** `undefined`: there is no such directory. */
async function names(): Promise<readonly string[] | undefined> {
  return readdir(DIRECTORY).catch(() => undefined);
}
