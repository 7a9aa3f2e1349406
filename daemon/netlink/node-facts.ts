/**
 * What of the node's own settings the datapath goes by. Somebody may change them at any time, so they are read whenever
 * they are needed.
 *
 * @module
 */
import { ok, type Result } from "../../proto/result.ts";
import { type HostFacts } from "../core/datapath/host-plan.ts";
import { type Client } from "./client.ts";
import { decodeNetconf, getNetconfAll } from "./codec/netconf.ts";
import { lookAt } from "./look.ts";

/** `host` with what the node is set to now: somebody may change it at any time. */
export async function factsNow(client: Client, host: HostFacts): Promise<Result<HostFacts>> {
  const found = await lookAt(client, "ip netconf show dev all", [getNetconfAll()], ({ payload }) =>
    decodeNetconf(payload),
  );
  return found.ok ? ok({ ...host, checksSources: (found.value[0]?.rpFilter ?? 0) !== 0 }) : found;
}
