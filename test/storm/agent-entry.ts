/**
 * Loaded into the built agent before its own code (`NODE_OPTIONS=--import`), so that a storm can make its time pass faster and
 * look at its heap. The agent's code is the one that is shipped.
 *
 * - STORM_SCALE: so many milliseconds of the cloud in one of the machine. Timers, and the clock that they are computed from,
 *   follow from the first SIGHUP on: a start asks the metadata service, whose deadline would be over in no time. Dates, which
 *   requests are signed with, stay those of the machine, as in the simulated cloud; so does the thread that talks to the kernel.
 * - STORM_MEMORY: at SIGUSR2 garbage is collected and a line is appended to this file: `process.memoryUsage()` as JSON.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";

/** What Node's modules export, so that it can be replaced. The bundle asks for each at the time of use. */
const builtin = createRequire(import.meta.url);

function scaleTimers(scale: number): void {
  const realNow = performance.now.bind(performance);
  const startMs = realNow();
  Object.defineProperty(performance, "now", { value: () => startMs + scale * (realNow() - startMs) });
  globalThis.setTimeout = new Proxy(setTimeout, {
    apply: (target, self, [run, ms = 0, ...args]: [unknown, number?, ...unknown[]]): unknown =>
      Reflect.apply(target, self, [run, ms / scale, ...args]),
  });
  const promises: Record<string, unknown> = builtin("node:timers/promises");
  const sleep = promises["setTimeout"];
  if (typeof sleep !== "function") throw new Error("node:timers/promises has no setTimeout");
  promises["setTimeout"] = (ms = 0, ...rest: unknown[]): unknown => sleep(ms / scale, ...rest);
}

function lookAtSignals(path: string): void {
  process.on("SIGUSR2", () => {
    globalThis.gc?.();
    appendFileSync(path, `${JSON.stringify(process.memoryUsage())}\n`);
  });
}

if (isMainThread) {
  const { STORM_SCALE: scale, STORM_MEMORY: memory } = process.env;
  if (scale !== undefined && scale !== "1") process.once("SIGHUP", () => scaleTimers(Number(scale)));
  if (memory !== undefined) lookAtSignals(memory);
}
