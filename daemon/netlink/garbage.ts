/**
 * V8's garbage collector, called by hand.
 *
 * The flag `--expose-gc` on the command line would do too, but V8 takes the prepared bytecode of Node's own modules only where
 * all flags are the usual ones: the agent's start would take 30 ms of processor time more.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collector: NodeJS.GCFunction | undefined;

/** The collector of this thread; the same one each time. A context gets it when it is made while the flag is set. */
export function garbageCollector(): NodeJS.GCFunction {
  if (collector === undefined) {
    setFlagsFromString("--expose-gc");
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the global of that name is V8's own
    collector = runInNewContext("gc") as NodeJS.GCFunction;
    setFlagsFromString("--no-expose-gc");
  }
  return collector;
}
