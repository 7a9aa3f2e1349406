/**
 * The CNI plugin `terway` under QuickJS. This file runs when the executable is built: what it leaves in memory is what
 * each process begins with.
 *
 * @module
 */
import { runPlugin, type Host } from "./host.ts";

/** The host calls `start` in each process, and gives `env` and `userId` only then. */
declare const host: Host & { start: () => void };

host.start = () => {
  const { exit, stdout, stderr } = runPlugin(host);
  host.end(exit, stdout, stderr);
};
