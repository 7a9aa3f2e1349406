/**
 * The small C programs of the benchmark, compiled once and kept in `.cache`.
 *
 * @module
 */
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { runCommand } from "../pkg-config/quickjs/command.ts";

const CACHE = join(import.meta.dirname, "../.cache");
const FLAGS = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"];

/**
 * The executable of a C file, `.cache/bench-NAME`: made by the first of the compilers that can. Throws where none can.
 */
export async function compiled(source: string, compilers: readonly string[]): Promise<string> {
  const path = join(CACHE, `bench-${basename(source, ".c")}`);
  const [code, built] = await Promise.all([stat(source), stat(path).catch(() => undefined)]);
  if (built !== undefined && built.mtimeMs > code.mtimeMs) return path;
  await mkdir(CACHE, { recursive: true });
  const next = `${path}.${process.pid}`;
  const faults: string[] = [];
  for (const compiler of compilers) {
    const made = await runCommand(compiler, [...FLAGS, "-o", next, source], CACHE);
    if (made.ok) {
      await rename(next, path);
      return path;
    }
    faults.push(made.fault);
  }
  await rm(next, { force: true });
  throw new Error(`${source} cannot be compiled (pkg-config/setup.sh test): ${faults.join("; ")}`);
}
