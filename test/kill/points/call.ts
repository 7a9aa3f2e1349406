/**
 * In place of `daemon/cloud/call.ts`: calls that change something are counted before the request and behind its answer.
 *
 * @module
 */
import { type Caller, type CallerOptions, openCaller as open } from "../../../daemon/cloud/call.ts";
import { point } from "./point.ts";

export function openCaller(options: CallerOptions): Caller {
  const caller = open(options);
  return {
    async call(call) {
      const { action } = call;
      // What a call that only asks leaves behind is what was there before it.
      if (action.startsWith("Describe")) return caller.call(call);
      point(`cloud: ${action} is to be sent`);
      const report = await caller.call(call);
      point(`cloud: ${action} was answered`);
      return report;
    },
    close: () => caller.close(),
  };
}
