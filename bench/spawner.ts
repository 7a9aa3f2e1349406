/**
 * Executes programs by a small C program (`spawn/spawn.c`), which adds little to their time and the same to each: a process
 * of Node would add milliseconds.
 *
 * @module
 */
import { join } from "node:path";
import { run } from "../test/harness/process.ts";
import { compiled } from "./compile.ts";
import { formatProgram, parseSpawned, type Program, type Spawned } from "./spawn-lines.ts";

const SOURCE = join(import.meta.dirname, "spawn/spawn.c");
const TIMEOUT_MS = 300_000;
// Static with musl it has 0.4 MB: what a process inherits of its parent's peak memory stays below its own.
const COMPILERS = ["musl-gcc", "cc"];

/** Both throw with what was printed where a program's status is not 0. */
export type Spawner = {
  /** One after the other, each after a pause. */
  readonly inTurn: (programs: readonly Program[], pauseMs: number) => Promise<readonly Spawned[]>;
  readonly atOnce: (programs: readonly Program[]) => Promise<readonly Spawned[]>;
};

/** Compiles it, if that was not done before. Throws where no C compiler is there. */
export async function openSpawner(): Promise<Spawner> {
  const path = await compiled(SOURCE, COMPILERS);
  const spawn = async (
    args: readonly string[],
    programs: readonly Program[],
  ): Promise<readonly Spawned[]> => {
    const stdin = programs.map((program) => `${formatProgram(program)}\n`).join("");
    const ran = await run(path, args, { stdin, timeoutMs: TIMEOUT_MS });
    if (ran.status !== 0) throw new Error(`${args.join(" ")}: ${ran.stderr}`);
    const spawned = parseSpawned(ran.stdout);
    if (spawned.length !== programs.length) throw new Error(`spawn printed ${spawned.length} lines`);
    return spawned;
  };
  return {
    inTurn: (programs, pauseMs) => spawn(["in-turn", `${pauseMs}`], programs),
    atOnce: (programs) => spawn(["at-once"], programs),
  };
}
