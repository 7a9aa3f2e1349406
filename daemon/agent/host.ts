/**
 * What the agent takes from the machine beside its edges: time, timers, chance, namespaces. They are arguments, so that
 * the agent's own code runs in a time that a test makes (`test/simulate/`).
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { ok, type Result } from "../../proto/result.ts";
import { openNetns } from "../netlink/netns.ts";
import { nowMs } from "./node-options.ts";
import { SYSTEM_TIMERS, type Timers } from "./timers.ts";

export type Host = {
  /** Wall-clock milliseconds that never go back while the agent runs, and go on after a restart. */
  readonly nowMs: () => number;
  readonly timers: Timers;
  /** An integer of 0 to 2^31-1 that no other run has drawn, as far as chance goes. */
  readonly drawSeed: () => number;
  /** Is it the path of a network namespace? */
  readonly checkNetns: (path: string) => Result<void>;
};

/** The machine itself. */
export const SYSTEM_HOST: Host = {
  nowMs,
  timers: SYSTEM_TIMERS,
  drawSeed: () => randomInt(2 ** 31),
  checkNetns(path) {
    const opened = openNetns(path, undefined);
    if (!opened.ok) return opened;
    opened.value[Symbol.dispose]();
    return ok(undefined);
  },
};
