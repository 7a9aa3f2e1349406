/**
 * Connection tracking entries of addresses that lose their pod: the next pod with the address is not to be taken for it.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { type Ipv4 } from "../../proto/addr.ts";
import { type IpAddress, ipBytes, type Ipv6 } from "../../proto/addr6.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type Answer, answerFault, type Client } from "./client.ts";
import {
  connectionsOf,
  type ConntrackEntry,
  type ConntrackFilter,
  CONNTRACK,
  decodeConntrack,
  deleteConntrack,
  deleteConntrackMatching,
  dumpConntrack,
} from "./codec/conntrack.ts";
import { NFPROTO } from "./codec/nfnetlink.ts";
import { type AckPolicy, type Request } from "./codec/request.ts";

/** There once nf_conntrack is loaded. To ask the kernel without it would load it, which changes the host. */
const CONNTRACK_LOADED = "/proc/sys/net/netfilter/nf_conntrack_max";
/** What a kernel answers that cannot delete by a filter. */
const NO_FILTER: ReadonlySet<string> = new Set(["EINVAL", "EOPNOTSUPP"]);
/** Entries deleted in one send; their acknowledgements have to fit the receive buffer. */
const DELETES_PER_SEND = 200;

/** Deletes what is known of connections from and to `addresses`, at most 100 of them. */
export async function forgetConnections(client: Client, addresses: readonly Ipv4[]): Promise<Result<void>> {
  if (addresses.length === 0 || !existsSync(CONNTRACK_LOADED)) return ok(undefined);
  const filters = addresses.flatMap((address) => connectionsOf(address));
  const answers = await ask(client, filters.map(deleteConntrackMatching), "each");
  for (const [index, filter] of filters.entries()) {
    const answer = answers[index];
    if (answer?.kind === "done" || (answer?.kind === "refused" && answer.errno === "ENOENT")) continue;
    const op = opOf(filter);
    if (answer?.kind !== "refused" || !NO_FILTER.has(answer.errno)) return failed(answerFault(op, answer));
    // Kernels without the filter in dumps send everything, so each entry is looked at.
    const result = await forgetOneByOne(client, op, dumpConntrack(filter), [filter.ip]);
    if (!result.ok) return result;
  }
  return ok(undefined);
}

/**
 * IPv6 addresses whose connections are still to be deleted. The kernel's filter cannot be trusted (`ConntrackFilter`): it
 * would delete what all others have. So the whole table is read, which takes 10 to 30 ms, once for many addresses.
 */
export type Stale = {
  add(addresses: readonly Ipv6[]): void;
  has(address: Ipv6): boolean;
  /** Deletes them all. After a failure they are still to be deleted. */
  forget(): Promise<Result<void>>;
};

export function openStale(client: Client): Stale {
  const stale = new Set<Ipv6>();
  return {
    add: (addresses) => addresses.forEach((address) => stale.add(address)),
    has: (address) => stale.has(address),
    async forget() {
      const addresses = [...stale];
      if (addresses.length === 0) return ok(undefined);
      const request = dumpConntrack(undefined, NFPROTO.IPV6);
      const forgotten = existsSync(CONNTRACK_LOADED)
        ? await forgetOneByOne(client, "conntrack -D -f ipv6", request, addresses)
        : ok(undefined);
      if (forgotten.ok) for (const address of addresses) stale.delete(address);
      return forgotten;
    },
  };
}

function opOf({ tuple, side, ip }: ConntrackFilter): string {
  return `conntrack -D --${tuple}-${side} ${ip}`;
}

/** Those of the dump that have one of `addresses` for an end. */
async function forgetOneByOne(
  client: Client,
  op: string,
  request: Request,
  addresses: readonly IpAddress[],
): Promise<Result<void>> {
  const [dump] = await ask(client, [request], "as-is");
  if (dump?.kind !== "done") return failed(answerFault(op, dump));
  const wanted = new Set<IpAddress>(addresses);
  const needles = addresses.map(ipBytes);
  const deletes = dump.messages
    .filter(({ type, payload }) => type === CONNTRACK.NEW && mentions(payload, needles))
    .map(({ payload }) => decodeConntrack(payload))
    .filter((entry) => sourcesOf(entry).some((ip) => ip !== undefined && wanted.has(ip)))
    .map((entry) => deleteConntrack(entry));
  for (let at = 0; at < deletes.length; at += DELETES_PER_SEND) {
    const answers = await ask(client, deletes.slice(at, at + DELETES_PER_SEND), "each");
    const refused = answers.find((answer) => answer.kind === "refused" && answer.errno !== "ENOENT");
    if (refused !== undefined) return failed(answerFault(op, refused));
  }
  return ok(undefined);
}

/** Much faster than decoding, of which most of a long table then needs none. */
function mentions(payload: Uint8Array, needles: readonly Uint8Array[]): boolean {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  return needles.some((needle) => bytes.includes(needle));
}

/** Who began it, and who answers. */
function sourcesOf({ orig, reply }: ConntrackEntry): readonly (IpAddress | undefined)[] {
  return [orig, reply].flatMap((tuple) => [tuple?.ip?.src, tuple?.ip?.src6]);
}

async function ask(client: Client, requests: readonly Request[], ack: AckPolicy): Promise<readonly Answer[]> {
  const answers = await client.ask([{ family: "netfilter", requests, ack }]);
  return answers.ok ? (answers.value[0] ?? []) : [];
}
