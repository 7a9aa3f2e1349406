/**
 * What is on disk about simulators that are up: `/run/terway-sim/NAME/`, readable by root only.
 *
 *     simulator.json   what was made, written before it is made
 *     serve.json       the serving process, written by itself
 *     topology.json    the topology as given
 *     operator.sock    the operator's API
 *     log              what the serving process says
 *
 * @module
 */
import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { identify, processIdentity } from "./process-identity.ts";

/** Where the simulators of this machine keep their files. */
export const RUN_DIRECTORY = "/run/terway-sim";

/** What `up` is about to make, or made. */
const simulatorRecord = z.object({
  name: z.string(),
  /** All network namespaces, the router's first. */
  namespaces: z.array(z.string()),
  nodes: z.array(z.object({ node: z.string(), instance: z.string(), namespace: z.string() })),
  /** The `up` that makes them. */
  starter: processIdentity,
  timeScale: z.number(),
  seed: z.int(),
  /** ISO 8601. */
  startedAt: z.string(),
});
/** See `simulatorRecord`. */
export type SimulatorRecord = z.infer<typeof simulatorRecord>;

/** The files of one simulator. */
export type SimulatorFiles = {
  readonly directory: string;
  readonly record: string;
  readonly serve: string;
  readonly topology: string;
  readonly operatorSocket: string;
  readonly log: string;
};

/** Paths of the files of the simulator `name`, there or not. */
export function filesOf(name: string): SimulatorFiles {
  const directory = join(RUN_DIRECTORY, name);
  return {
    directory,
    record: join(directory, "simulator.json"),
    serve: join(directory, "serve.json"),
    topology: join(directory, "topology.json"),
    operatorSocket: join(directory, "operator.sock"),
    log: join(directory, "log"),
  };
}

/** Makes the directory of `name`; false where there is one. Of two who ask at the same time one gets true. */
export async function claimDirectory(name: string): Promise<boolean> {
  await mkdir(RUN_DIRECTORY, { recursive: true, mode: 0o700 });
  try {
    await mkdir(filesOf(name).directory, { mode: 0o700 });
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    throw cause;
  }
}

/** Removes the files of `name`; content where there are none. */
export async function removeDirectory(name: string): Promise<void> {
  await rm(filesOf(name).directory, { recursive: true, force: true });
}

/** The names of all simulators that have a directory, sorted. */
export async function simulatorNames(): Promise<readonly string[]> {
  const entries = await readdir(RUN_DIRECTORY, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** Removes `/run/terway-sim` where nothing is in it. */
export async function removeRunDirectoryIfEmpty(): Promise<void> {
  await rmdir(RUN_DIRECTORY).catch(() => undefined);
}

/** Replaces the file as a whole: a reader sees the old or the new one. */
export async function writeWhole(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** `undefined` where there is none, or it is not one. */
export async function readRecord(name: string): Promise<SimulatorRecord | undefined> {
  return readAs(simulatorRecord, filesOf(name).record);
}

/** The process that serves, dead or alive; `undefined` where it has not started. */
export async function readServing(name: string): Promise<z.infer<typeof processIdentity> | undefined> {
  return readAs(processIdentity, filesOf(name).serve);
}

/** Says that this process serves `name`. */
export async function writeServing(name: string): Promise<void> {
  await writeWhole(filesOf(name).serve, JSON.stringify(await identify(process.pid)));
}

async function readAs<Value>(schema: z.ZodType<Value>, path: string): Promise<Value | undefined> {
  try {
    return schema.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  } catch {
    return undefined;
  }
}
