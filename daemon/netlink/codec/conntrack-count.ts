/**
 * How many connections are tracked, `conntrack -C`: CTA_STATS_GLOBAL_* of <linux/netfilter/nfnetlink_conntrack.h>.
 *
 * @module
 */
import { be32, readFields, schema } from "./attribute.ts";
import { NLM_F } from "./header.ts";
import { NFNL_SUBSYS, NFPROTO, nfType, readNfHeader, writeNfHeader } from "./nfnetlink.ts";
import { type Request } from "./request.ts";
import { spanOf, Writer } from "./wire.ts";

/** IPCTNL_MSG_CT_GET_STATS: what asks, and the type of the answer. */
export const CONNTRACK_COUNT = nfType(NFNL_SUBSYS.CTNETLINK, 5);

const STATS = schema({ entries: be32(1) });

/** Of the namespace that is asked. */
export function getConntrackCount(): Request {
  const writer = new Writer();
  writeNfHeader(writer, { family: NFPROTO.UNSPEC });
  return { type: CONNTRACK_COUNT, flags: NLM_F.REQUEST, payload: writer.take() };
}

/** Payload of the answer. */
export function decodeConntrackCount(payload: Uint8Array): number {
  return readFields(readNfHeader(spanOf(payload)).rest, STATS).entries ?? 0;
}
