/**
 * A node that hears of a thousand peers, and of a change of one of them: time until the kernel has it, and netlink messages.
 *
 * @module
 */
import { type Mac, parseIpv4, parseMac } from "../../proto/addr.ts";
import { parseIpCidr } from "../../proto/cidr6.ts";
import { type HybridPeer } from "../../daemon/core/hybrid/desired.ts";
import { labDesired, openHybridLab } from "../../daemon/netlink/hybrid/lab.ts";
import { type HybridNetwork, openHybridNetwork } from "../../daemon/netlink/hybrid/network.ts";
import { openSocketThread } from "../../daemon/netlink/socket.ts";
import { type Figure } from "../figures.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { TARGET } from "../upstream.ts";

const PEERS = 1000;
/** Changes of one peer in each round. */
const CHANGES = 20;
const ROW = `${PEERS} peers of an overlay`;
const WORKER = new URL("../../daemon/netlink/worker.ts", import.meta.url);

/** What `apply` of one desired network took. */
type Applied = { readonly ms: number; readonly messages: number };
type Found = { readonly added: Applied[]; readonly changed: Applied[]; readonly removed: Applied[] };

/** From no peer to all at once, then one after the other gets another MAC, then none again. */
export const measurePeers: Measure = async (run) => {
  using lab = openHybridLab();
  const nodeNetns = `/run/netns/${lab.node(1)}`;
  await using thread = await openSocketThread(WORKER, { nodeNetns });
  const opened = await openHybridNetwork({ thread, nodeNetns });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  await using network = opened.value;
  const alone = { ...labDesired(lab, 1, { peers: [] }), peers: [] };
  const apply = async (peers: readonly HybridPeer[]): Promise<Applied> =>
    applied(network, { ...alone, peers });
  const all = Array.from({ length: PEERS }, (_, at) => peer(at, 0));
  const found: Found = { added: [], changed: [], removed: [] };
  await apply([]);
  const rounds = run.quick ? 2 : 10;
  // The first round is not counted: Node compiles what it runs often.
  for (let round = 0; round <= rounds; round++) {
    const one = await oneRound(run, apply, all, `round ${round} of ${rounds}`);
    if (round === 0) continue;
    for (const kind of ["added", "changed", "removed"] as const) found[kind].push(...one[kind]);
  }
  return [
    ...figures("added to none", found.added, TARGET.peersMs, "flanneld, measured elsewhere: 1500 ms"),
    ...figures("one of them with another MAC", found.changed, TARGET.onePeerMs),
    ...figures("all removed", found.removed),
  ];
};

async function oneRound(
  run: BenchRun,
  apply: (peers: readonly HybridPeer[]) => Promise<Applied>,
  all: readonly HybridPeer[],
  name: string,
): Promise<Found> {
  run.progress(name);
  const changed: Applied[] = [];
  const added = [await apply(all)];
  for (let time = 1; time <= CHANGES; time++) {
    run.signal.throwIfAborted();
    const which = Math.floor((PEERS * time) / CHANGES) - 1;
    changed.push(await apply(all.map((each, at) => (at === which ? peer(at, time) : each))));
    await apply(all);
  }
  return { added, changed, removed: [await apply([])] };
}

async function applied(
  network: HybridNetwork,
  desired: Parameters<HybridNetwork["apply"]>[0],
): Promise<Applied> {
  const before = await network.state();
  const startedMs = performance.now();
  const outcome = await network.apply(desired);
  const ms = performance.now() - startedMs;
  const { failures, refused, counters } = await network.state();
  if (!outcome.ok || failures.length + refused.length > 0)
    throw new Error(`peers: ${JSON.stringify({ outcome, refused, failures: failures.slice(0, 3) })}`);
  return { ms, messages: counters.messages - before.counters.messages };
}

function figures(
  what: string,
  samples: readonly Applied[],
  target?: number,
  note?: string,
): readonly Figure[] {
  const row = ROW;
  return [
    {
      kind: "figure",
      row,
      what,
      unit: "ms",
      samples: samples.map(({ ms }) => ms),
      ...(target !== undefined && { target }),
      ...(note !== undefined && { note }),
    },
    { kind: "figure", row, what, unit: "messages", samples: samples.map(({ messages }) => messages) },
  ];
}

/** `version`: another one has another MAC. */
function peer(number: number, version: number): HybridPeer {
  const [high, low] = [number >> 8, number & 255];
  const block = parseIpCidr(`10.${100 + high}.${low}.0/24`);
  const v4 = parseIpv4(`10.10.${1 + high}.${low}`);
  if (!block.ok || v4 === undefined) throw new RangeError(`peer ${number}`);
  const vtepMac = macOf(`0a:59:${hex(version)}:00:${hex(high)}:${hex(low)}`);
  return { name: `peer${number}`, blocks: [block.value], nodeIps: { v4 }, vtepMac, path: "vxlan" };
}

function macOf(text: string): Mac {
  const mac = parseMac(text);
  if (mac === undefined) throw new RangeError(text);
  return mac;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
