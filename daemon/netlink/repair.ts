/**
 * Making what differs from a plan, and nothing else.
 *
 * @module
 */
import { type Plan, type Thing } from "../core/datapath/thing.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { applyPlan, removePlan } from "./apply.ts";
import { type Client } from "./client.ts";
import { type Difference, differences } from "./differ.ts";
import { type Inside } from "./look.ts";

/** How often is looked and made: with a device that is made again the kernel forgets what hung on it. */
const ROUNDS_MAX = 3;

/**
 * What was made, as it differed; empty where nothing was wrong. A fault where the kernel refuses, or where something
 * still differs in the end. The two ends of a veth are never made again: their numbers are their pod's.
 */
export async function repairPlan(
  client: Client,
  plan: Plan,
  inside?: Inside,
): Promise<Result<readonly Difference[]>> {
  const repaired: Difference[] = [];
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const found = await differences(client, plan, inside);
    if (!found.ok) return found;
    if (found.value.length === 0) return ok(repaired);
    repaired.push(...found.value);
    const wrong = new Set(found.value.map(({ thing }) => thing));
    const things = plan.filter((thing) => wrong.has(thing) && thing.kind !== "veth");
    const removed = await removePlan(client, things.filter(isMadeNew), inside?.netnsFd);
    if (!removed.ok) return removed;
    const applied = await applyPlan(client, things, inside?.netnsFd);
    if (!applied.ok) return failed(applied.fault);
  }
  const [first] = repaired.slice(-1);
  return failed({
    kind: "kernel",
    op: `${first?.line ?? ""}, though it was made ${ROUNDS_MAX} times`,
    errno: "EAGAIN",
  });
}

/** What the kernel does not change into another: it has to go first. */
function isMadeNew({ kind }: Thing): boolean {
  return kind === "element" || kind === "fdb" || kind === "vxlan" || kind === "ipvlan";
}
