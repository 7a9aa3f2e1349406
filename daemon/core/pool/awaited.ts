/**
 * What pods wait for while nothing has failed: named where their time is over, so that no refusal is without a cause.
 *
 * @module
 */
import { type Eni, type Pool } from "./model.ts";

/** In one line; `undefined` where nothing is under way. */
export function awaited({ enis }: Pick<Pool, "enis">): string | undefined {
  for (const eni of enis.values()) {
    const what = awaitedOf(eni);
    if (what !== undefined) return what;
  }
  return undefined;
}

function awaitedOf({ state, assigning, facts, vSwitch }: Eni): string | undefined {
  const id = facts?.id ?? "?";
  switch (state.kind) {
    case "creating":
      return unanswered("CreateNetworkInterface", vSwitch);
    case "attaching":
      return unanswered("AttachNetworkInterface", id);
    case "linking":
      return `the device of ${id} has not come, or its gateway has not answered`;
    case "ready":
      if (assigning === undefined) return undefined;
      return unanswered(assigning.family === "ipv4" ? "AssignPrivateIpAddresses" : "AssignIpv6Addresses", id);
    case "detaching":
    case "deleting":
      return undefined;
    default:
      return state satisfies never;
  }
}

/** The pool does not know which: the call's turn comes from the cloud edge. */
function unanswered(action: string, target: string): string {
  return `${action} for ${target} is not answered yet: the cloud is slow, or after throttling the call waits for its turn (rate_limit)`;
}
