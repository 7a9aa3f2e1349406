/**
 * Connections that keep a translation which the settings do not have any more: they end with the next packet, and begin
 * again with the pod's own address.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { failed, ok, type Result } from "../../../proto/result.ts";
import { contains, type IpCidr } from "../../../proto/cidr6.ts";
import { type HybridDesired } from "../../core/hybrid/desired.ts";
import { answerFault, type Client } from "../client.ts";
import { type ConntrackEntry, decodeConntrack, deleteConntrack, dumpConntrack } from "../codec/conntrack.ts";
import { type Request } from "../codec/request.ts";
import { CONNTRACK_LOADED } from "./tracking.ts";

/** IPS_SRC_NAT of <linux/netfilter/nf_conntrack_common.h>. */
const SOURCE_TRANSLATED = 0x10;
/** Deleted in one send. */
const SLICE = 128;

/** Where source NAT was switched off: ends what is translated of the pods' connections. Nothing to do otherwise. */
export async function forgetTranslated(
  client: Client,
  before: HybridDesired,
  now: HybridDesired,
): Promise<Result<void>> {
  if (!before.sourceNat.enabled || now.sourceNat.enabled || !existsSync(CONNTRACK_LOADED))
    return ok(undefined);
  const dumped = await client.dump("conntrack -L", dumpConntrack(), decodeConntrack, { family: "netfilter" });
  if (!dumped.ok) return dumped;
  const requests = dumped.value.filter((entry) => isTranslated(entry, now.blocks)).map(deleteConntrack);
  for (let at = 0; at < requests.length; at += SLICE) {
    const deleted = await deleteAll(client, requests.slice(at, at + SLICE));
    if (!deleted.ok) return deleted;
  }
  return ok(undefined);
}

function isTranslated({ status = 0, orig }: ConntrackEntry, blocks: readonly IpCidr[]): boolean {
  const source = orig?.ip?.src ?? orig?.ip?.src6;
  if ((status & SOURCE_TRANSLATED) === 0 || source === undefined) return false;
  return blocks.some((block) => contains(block, source));
}

async function deleteAll(client: Client, requests: readonly Request[]): Promise<Result<void>> {
  const answers = await client.ask([{ family: "netfilter", requests, ack: "each" }]);
  if (!answers.ok) return answers;
  const refused = answers.value[0]?.find(({ kind, ...answer }) => {
    const errno = "errno" in answer ? answer.errno : undefined;
    return kind !== "done" && errno !== "ENOENT";
  });
  return refused === undefined ? ok(undefined) : failed(answerFault("conntrack -D", refused));
}
