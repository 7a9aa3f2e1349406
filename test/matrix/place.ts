/**
 * What beds share: places with their stations, and what namespaces count.
 *
 * @module
 */
import { type CniResult } from "../harness/pod.ts";
import { must, run } from "../harness/process.ts";
import { type Family, type Place, PORT } from "./bed.ts";
import { openStation } from "./station.ts";

/** A place whose station answers at each of its addresses, so that an answer leaves with the address that was asked. */
export async function openPlace(
  name: string,
  namespace: string,
  addresses: Place["addresses"],
): Promise<Place> {
  const station = openStation(namespace);
  for (const address of Object.values(addresses)) await station.listen(address, PORT);
  return { name, station, addresses };
}

/** A pod's, from what its ADD printed. */
export function addressesOf({ ips }: CniResult): Place["addresses"] {
  return byFamily(ips.map(({ address }) => address.split("/")[0] ?? ""));
}

/** The first address of each family. */
export function byFamily(addresses: readonly string[]): Place["addresses"] {
  const found: Partial<Record<Family, string>> = {};
  for (const address of addresses) found[address.includes(":") ? "v6" : "v4"] ??= address;
  return found;
}

/** Packets refused for their source in these namespaces. */
export async function refusedSources(namespaces: readonly string[]): Promise<number> {
  const counts = await Promise.all(namespaces.map(sourcesRefused));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** An action that drops, and how many packets it got: "action order 1: skbedit ptype host drop … Sent 252 bytes 3 pkt". */
const DROPPED = /action order \d+:[^\n]* drop\s[\s\S]*?Sent \d+ bytes (\d+) pkt/g;

/** Packets that filters at pods' own devices dropped on their way out. */
export async function droppedByFilters(namespaces: readonly string[]): Promise<number> {
  const shown = await Promise.all(
    namespaces.map(async (namespace) =>
      must("tc", ["-n", namespace, "-s", "filter", "show", "dev", "eth0", "egress"]),
    ),
  );
  return [...shown.join("").matchAll(DROPPED)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** By the kernel's reverse-path filter, and by counters of nftables that are named after it. */
async function sourcesRefused(namespace: string): Promise<number> {
  const enter = `--net=/run/netns/${namespace}`;
  const [statistics, counters] = await Promise.all([
    must("nsenter", [enter, "cat", "/proc/net/netstat"]),
    run("nsenter", [enter, "nft", "list", "counters"]),
  ]);
  const named = [...counters.stdout.matchAll(/counter spoofed\S* \{\s*packets (\d+)/g)].map((match) =>
    Number(match[1]),
  );
  return reversePathFiltered(statistics) + named.reduce((sum, packets) => sum + packets, 0);
}

/** `IPReversePathFilter` of /proc/net/netstat: a line of names, a line of values. */
function reversePathFiltered(statistics: string): number {
  const lines = statistics.split("\n").filter((line) => line.startsWith("TcpExt:"));
  const [names = [], values = []] = lines.map((line) => line.split(" "));
  return Number(values[names.indexOf("IPReversePathFilter")] ?? 0);
}
