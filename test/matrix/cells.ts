/**
 * The exchanges of each cell. Every one is made with real packets between stations, by UDP and TCP, in each family of the row.
 *
 * @module
 */
import { parseIp } from "../../proto/addr6.ts";
import { run, until } from "../harness/process.ts";
import { type Bed, familiesOf, type Family, type Place, PORT } from "./bed.ts";
import { newNonce } from "./station.ts";
import { type Exchange, type Outcome } from "./station/words.ts";
import { type CellName, type Verdict } from "./table.ts";

/** Sentences about what did not work; none: all did. */
type Problems = readonly string[];

/** Small datagrams, in time for what is resolved on the way. */
const SMALL = { port: PORT, bytes: 100, replyBytes: 100, tries: 5, everyMs: 300 } as const;
/** Three or more fragments on every link. */
const LARGE_BYTES = 4000;
/** More than any queue on the way holds. */
const STREAM_BYTES = 300_000;
/** Of the narrow path: RFC 8200 section 5 wants 1280 at least. */
const NARROW_MTU = 1300;

const SERVICES: Readonly<Record<Family, (number: number) => string>> = {
  v4: (number) => `172.21.0.1${number}`,
  v6: (number) => `fd00:172:21::1${number}`,
};
/** NodeLocal DNSCache's address, and one of the kind that it has for IPv6. */
const LOCAL_DNS: Readonly<Record<Family, string>> = { v4: "169.254.20.10", v6: "fd00:169:254::20" };
/** In no network of any bed. */
const FOREIGN: Readonly<Record<Family, string>> = { v4: "198.18.7.7", v6: "2001:db8:bad::7" };
const SPOOFED_PACKETS = 3;

const TRIALS: Readonly<Record<CellName, (bed: Bed) => Promise<Problems | { readonly impossible: string }>>> =
  {
    "same node": async (bed) => bothWays(bed, bed.pods.here, bed.pods.sameNode),
    "other ENI": async (bed) =>
      "impossible" in bed.otherEni ? bed.otherEni : bothWays(bed, bed.pods.here, bed.otherEni),
    "other node": async (bed) => bothWays(bed, bed.pods.here, bed.pods.otherNode),
    "other subnet": async (bed) => bothWays(bed, bed.pods.here, bed.pods.otherSubnet),
    "node to pod": async (bed) =>
      each([bed.pods.here, bed.pods.otherNode, bed.pods.otherSubnet], async (pod) =>
        talk(bed, bed.nodes.here, pod),
      ),
    "pod to node": async (bed) =>
      each(Object.values(bed.nodes), async (node) => talk(bed, bed.pods.here, node)),
    Service: services,
    "local DNS": async (bed) => localDns(bed),
    outside: async (bed) => talk(bed, bed.pods.here, bed.outside),
    spoofed: async (bed) => each(familiesOf(bed.stack), async (family) => spoof(bed, family)),
    "above MTU": aboveMtu,
  };

/** The cells, one after the other; the last of `CELL_NAMES` has to be the last. A cell that throws has failed. */
export async function tryCells<Name extends CellName>(
  bed: Bed,
  cells: readonly Name[],
): Promise<Record<Name, Verdict>> {
  const verdicts: [Name, Verdict][] = [];
  for (const cell of cells) verdicts.push([cell, await verdictOf(TRIALS[cell](bed))]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a verdict for each name
  return Object.fromEntries(verdicts) as Record<Name, Verdict>;
}

async function verdictOf(trial: Promise<Problems | { readonly impossible: string }>): Promise<Verdict> {
  try {
    const result = await trial;
    if ("impossible" in result) return { kind: "impossible", why: result.impossible };
    return result.length === 0 ? { kind: "passed" } : { kind: "failed", why: result.join("; ") };
  } catch (error) {
    return { kind: "failed", why: String(error).replaceAll("\n", " ") };
  }
}

async function each<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<Problems>,
): Promise<Problems> {
  const problems: string[] = [];
  for (const item of items) problems.push(...(await work(item)));
  return problems;
}

async function bothWays(bed: Bed, a: Place, b: Place): Promise<Problems> {
  return [...(await talk(bed, a, b)), ...(await talk(bed, b, a))];
}

/** Where the bed does not say otherwise, nothing on the way may change addresses. */
async function talk(
  bed: Bed,
  from: Place,
  to: Place,
  changes: Partial<Exchange> = {},
  families = familiesOf(bed.stack),
): Promise<Problems> {
  return each(families, async (family) => {
    const [target, seenAs] = [to.addresses[family], bed.seenAs(from, to)];
    if (target === undefined) return [`${to.name} has no ${family} address`];
    return exchange(
      from,
      `${to.name} ${target}`,
      { ...SMALL, ...changes, to: target },
      seenAs?.addresses[family],
    );
  });
}

async function exchange(from: Place, toName: string, what: Exchange, seenAs?: string): Promise<Problems> {
  return each(["udp", "tcp"] as const, async (protocol) => {
    const outcome = await from.station.exchange(protocol, what);
    const problem = problemOf(outcome, what, seenAs);
    return problem === undefined ? [] : [`${from.name} to ${toName} by ${protocol}: ${problem}`];
  });
}

function problemOf(outcome: Outcome, { bytes }: Exchange, seenAs: string | undefined): string | undefined {
  switch (outcome.kind) {
    case "silent":
      return "no answer";
    case "refused":
      return outcome.why;
    case "answered":
      if (outcome.got !== bytes) return `${outcome.got} of ${bytes} bytes arrived`;
      return seenAs === undefined || parseIp(outcome.seenAs) === parseIp(seenAs)
        ? undefined
        : `seen as ${outcome.seenAs}, not ${seenAs}`;
    default:
      return outcome satisfies never;
  }
}

/** Endpoints on the node, on another one, and the client itself, which kube-proxy would masquerade as well. */
async function services(bed: Bed): Promise<Problems> {
  const { pods, nodes } = bed;
  return each(familiesOf(bed.stack), async (family) => {
    const endpoints = [pods.sameNode, pods.otherNode, pods.here];
    for (const [number, pod] of endpoints.entries())
      await bed.addService(SERVICES[family](number), pod.addresses[family] ?? "");
    const seenAs = (bed.serviceClient === "pod" ? pods : nodes).here.addresses[family];
    const clients: readonly (readonly [Place, number, string | undefined])[] = [
      [pods.here, 0, seenAs],
      [pods.here, 1, seenAs],
      [pods.here, 2, undefined],
      [nodes.here, 0, undefined],
      [nodes.here, 1, undefined],
    ];
    return each(clients, async ([client, number, source]) => {
      const address = SERVICES[family](number);
      return exchange(
        client,
        `Service ${address} of ${endpoints[number]?.name}`,
        { ...SMALL, to: address },
        source,
      );
    });
  });
}

async function localDns({ stack, pods, nodes }: Bed): Promise<Problems> {
  return each(familiesOf(stack), async (family) => {
    const address = LOCAL_DNS[family];
    await addLocalAddress(nodes.here, family, address);
    await nodes.here.station.listen(address, 53);
    return exchange(pods.here, address, { ...SMALL, to: address, port: 53 }, pods.here.addresses[family]);
  });
}

/** Foreign packets, then an honest one on the same way: when it has arrived, they would have. */
async function spoof(bed: Bed, family: Family): Promise<Problems> {
  const { here } = bed.pods;
  const source = FOREIGN[family];
  await addLocalAddress(here, family, source);
  return each([bed.pods.sameNode, bed.pods.otherNode, bed.nodes.here, bed.outside], async (target) => {
    const to = target.addresses[family];
    if (to === undefined) return [`${target.name} has no ${family} address`];
    const nonce = newNonce();
    const before = await bed.spoofed();
    await here.station.sendMarked(nonce, { ...SMALL, to, source, tries: SPOOFED_PACKETS, everyMs: 5 });
    const honest = await talk(bed, here, target, {}, [family]);
    const arrived = await target.station.heard(nonce);
    const counted = (await bed.spoofed()) - before;
    return [
      ...honest,
      ...(arrived.length === 0
        ? []
        : [`${arrived.length} packets from ${arrived[0]?.from} reached ${target.name}`]),
      ...(counted >= SPOOFED_PACKETS
        ? []
        : [`${counted} of ${SPOOFED_PACKETS} to ${target.name} were counted`]),
    ];
  });
}

async function aboveMtu(bed: Bed): Promise<Problems> {
  const { here, sameNode, otherNode, otherSubnet } = bed.pods;
  const families = familiesOf(bed.stack);
  const large = { bytes: LARGE_BYTES, replyBytes: LARGE_BYTES };
  const fragments = await each([sameNode, otherNode, otherSubnet, bed.nodes.here], async (to) =>
    talk(bed, here, to, large),
  );
  const { to } = await bed.narrow(NARROW_MTU);
  const told = await each(families, async (family) => tooBig(bed, to, family));
  const stream = { bytes: STREAM_BYTES, replyBytes: STREAM_BYTES, tries: 10 };
  const adapts = await each(families, async (family) => {
    const target = to.addresses[family] ?? "";
    const outcome = await here.station.exchange("tcp", { ...SMALL, ...stream, to: target });
    const problem = problemOf(outcome, { ...SMALL, ...stream, to: target }, undefined);
    return problem === undefined ? [] : [`a stream of ${STREAM_BYTES} bytes to ${to.name}: ${problem}`];
  });
  return [...fragments, ...told, ...adapts];
}

/** ping(8) with DF: "Frag needed and DF set (mtu = 1300)", "Packet too big: mtu=1300". */
async function tooBig({ pods, mtu }: Bed, to: Place, family: Family): Promise<Problems> {
  const target = to.addresses[family] ?? "";
  const headers = family === "v4" ? 28 : 48;
  const ping = ["ping", "-n", "-M", "do", "-c", "1", "-W", "1", "-s", `${mtu - headers}`, target];
  let said = "";
  return until(
    "ICMP says that a packet is too big",
    async () => {
      const ran = await inNamespace(pods.here, ...ping);
      said = `${ran.stdout}${ran.stderr}`.replaceAll("\n", " ");
      return new RegExp(`mtu ?= ?${NARROW_MTU}`).test(said);
    },
    3000,
  ).then(
    (): Problems => [],
    (): Problems => [`a packet of ${mtu} bytes to ${to.name} ${target} with DF: ${said}`],
  );
}

/** `nodad`: it can be used at once. */
async function addLocalAddress(place: Place, family: Family, address: string): Promise<void> {
  const network = family === "v4" ? [`${address}/32`] : [`${address}/128`, "nodad"];
  await inNamespace(place, "ip", "address", "replace", ...network, "dev", "lo");
}

async function inNamespace(place: Place, ...command: readonly string[]): ReturnType<typeof run> {
  return run("nsenter", [`--net=/run/netns/${place.station.namespace}`, ...command]);
}
