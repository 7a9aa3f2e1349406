/**
 * Connection tracking entries of addresses that lose their pod: the next pod with the address is not to be taken for it.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { type IpAddress, isIpv6 } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Answer, answerFault, type Client } from "./client.ts";
import {
  connectionsOf,
  type ConntrackFilter,
  CONNTRACK,
  decodeConntrack,
  deleteConntrack,
  deleteConntrackMatching,
  dumpConntrack,
} from "./codec/conntrack.ts";
import { type AckPolicy, type Request } from "./codec/request.ts";

/** There once nf_conntrack is loaded. To ask the kernel without it would load it, which changes the host. */
const CONNTRACK_LOADED = "/proc/sys/net/netfilter/nf_conntrack_max";
/** What a kernel answers that cannot delete by a filter. */
const NO_FILTER: ReadonlySet<string> = new Set(["EINVAL", "EOPNOTSUPP"]);
/** Entries deleted in one send; their acknowledgements have to fit the receive buffer. */
const DELETES_PER_SEND = 200;

/** Deletes what is known of connections from and to `addresses`, at most 100 of them. */
export async function forgetConnections(
  client: Client,
  addresses: readonly IpAddress[],
): Promise<Result<void>> {
  if (!existsSync(CONNTRACK_LOADED)) return ok(undefined);
  const filters = addresses.flatMap((address) => connectionsOf(address));
  const answers = await ask(client, filters.map(deleteConntrackMatching), "each");
  for (const [index, filter] of filters.entries()) {
    const answer = answers[index];
    if (answer?.kind === "done" || (answer?.kind === "refused" && answer.errno === "ENOENT")) continue;
    const op = `conntrack -D --${filter.tuple}-${filter.side} ${filter.ip}`;
    if (answer?.kind !== "refused" || !NO_FILTER.has(answer.errno)) return failed(answerFault(op, answer));
    const result = await forgetOneByOne(client, op, filter);
    if (!result.ok) return result;
  }
  return ok(undefined);
}

/** Kernels without the filter in deletes; those without it in dumps send everything, so each entry is looked at. */
async function forgetOneByOne(client: Client, op: string, filter: ConntrackFilter): Promise<Result<void>> {
  const [dump] = await ask(client, [dumpConntrack(filter)], "as-is");
  if (dump?.kind !== "done") return failed(answerFault(op, dump));
  const field = isIpv6(filter.ip) ? (`${filter.side}6` as const) : filter.side;
  const deletes = dump.messages
    .filter(({ type }) => type === CONNTRACK.NEW)
    .map(({ payload }) => decodeConntrack(payload))
    .filter((entry) => entry[filter.tuple]?.ip?.[field] === filter.ip)
    .map((entry) => deleteConntrack(entry));
  for (let at = 0; at < deletes.length; at += DELETES_PER_SEND) {
    const answers = await ask(client, deletes.slice(at, at + DELETES_PER_SEND), "each");
    const refused = answers.find((answer) => answer.kind === "refused" && answer.errno !== "ENOENT");
    if (refused !== undefined) return failed(answerFault(op, refused));
  }
  return ok(undefined);
}

async function ask(client: Client, requests: readonly Request[], ack: AckPolicy): Promise<readonly Answer[]> {
  const answers = await client.ask([{ family: "netfilter", requests, ack }]);
  return answers.ok ? (answers.value[0] ?? []) : [];
}
