/**
 * What an agent is started with.
 *
 * @module
 */
import { type LoadedConfig } from "../config/load.ts";
import { type OpenKernel } from "../netlink/kernel.ts";
import { type Arguments } from "./arguments.ts";
import { type Log } from "./log.ts";

export type NodeOptions = {
  readonly args: Arguments;
  readonly log: Log;
  readonly stop: AbortSignal;
  /** Of the node. Being opened since before anything needs it, because that takes a thread; ends after the agent. */
  readonly kernel: Promise<OpenKernel>;
};

/** On an ECS instance. */
export type EniNodeOptions = NodeOptions & { readonly config: LoadedConfig };

/** Wall-clock milliseconds that never go back while the agent runs, and go on after a restart. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
