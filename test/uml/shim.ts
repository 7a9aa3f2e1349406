/**
 * Compiles `xstate-shim.c`, which the kernel of User Mode Linux is started with, into the checkout's cache.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const CACHE = join(import.meta.dirname, "../../.cache/uml");
const SOURCE = join(import.meta.dirname, "xstate-shim.c");

/** The path of the shared object; compiled where the source is another one than last time. @throws Error with gcc's words. */
export async function umlShim(): Promise<string> {
  const hash = createHash("sha256")
    .update(await readFile(SOURCE))
    .digest("hex")
    .slice(0, 16);
  const path = join(CACHE, `xstate-shim-${hash}.so`);
  if (existsSync(path)) return path;
  await mkdir(CACHE, { recursive: true });
  const made = join(CACHE, `.${process.pid}.so`);
  await compile(["-shared", "-fPIC", "-o", made, SOURCE]);
  await rename(made, path);
  return path;
}

/** Runs gcc. @throws Error that says what is missing, or with the messages of the compiler. */
export async function compile(args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)("gcc", ["-O2", "-Wall", "-Wextra", "-Werror", ...args]);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw missing
      ? new Error("gcc is missing: pkg-config/setup.sh uml installs it", { cause: error })
      : error;
  }
}
