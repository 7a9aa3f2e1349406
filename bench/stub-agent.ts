/**
 * The stub of the agent (stub-agent/main.ts) in a process of its own.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { background, until } from "../test/harness/process.ts";

const PROGRAM = join(import.meta.dirname, "stub-agent/main.ts");
const START_TIMEOUT_MS = 10_000;

/** Of one call, in microseconds of CLOCK_MONOTONIC. */
export type CallStamps = { readonly connectedUs: number; readonly answeredUs: number };

const STAMPS = z.object({ connectedUs: z.number(), answeredUs: z.number() });

export type StubAgent = {
  readonly socketPath: string;
  /** Ends it; the calls that it answered, in the order of their connections. */
  readonly stop: () => Promise<readonly CallStamps[]>;
};

/** Waits until it listens. Its socket is in `directory`, its result for a namespace of this name. */
export async function startStubAgent(directory: string, netns: string): Promise<StubAgent> {
  const socketPath = join(directory, "stub.sock");
  const child = background(process.execPath, [PROGRAM, socketPath, `/run/netns/${netns}`]);
  let isOver = false;
  const watch = async (): Promise<void> => {
    await child.ended;
    isOver = true;
  };
  void watch();
  await until(
    "the stub of the agent listens",
    async () => {
      if (isOver) throw new Error(`the stub of the agent ended: ${child.output()}`);
      return existsSync(socketPath);
    },
    START_TIMEOUT_MS,
    10,
  );
  return {
    socketPath,
    async stop() {
      child.kill("SIGTERM");
      await child.ended;
      const lines = child.output().split("\n");
      return lines.filter((line) => line.startsWith("{")).map((line) => STAMPS.parse(JSON.parse(line)));
    },
  };
}
