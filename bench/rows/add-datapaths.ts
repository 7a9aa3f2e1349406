/**
 * How long the kernel port takes to make a pod's interface: with addresses of one and of both families, and with limits of
 * bandwidth. Nothing else of an ADD is in it: neither the plugin nor the store.
 *
 * @module
 */
import { parseIpv6 } from "../../proto/addr6.ts";
import { type Kernel, type PodLink } from "../../daemon/core/kernel.ts";
import { type Lab, must, openLab } from "../../daemon/netlink/lab.ts";
import { openKernel } from "../../daemon/netlink/kernel.ts";
import { type Row } from "../figures.ts";
import { rotated } from "../rounds.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { TARGET } from "../upstream.ts";

/** So many before do not count: Node compiles what it runs often. */
const WARM_UP = 15;
const LIMIT = { bitsPerSecond: 100_000_000, burstBytes: 0 };

/** A kind of pod. */
export type Kind = {
  readonly name: string;
  readonly change: (pod: PodLink, number: number) => PodLink;
  /** Whether what is measured was really made: a text that ip(8) or tc(8) then shows. */
  readonly shows: {
    readonly where: "node" | "pod";
    readonly command: (pod: PodLink) => string;
    readonly text: string;
  };
};

/** The one that others are measured beside. */
export const PLAIN: Kind = {
  name: "veth, IPv4",
  change: (pod) => pod,
  shows: { where: "pod", command: () => "ip -4 address show dev eth0", text: "inet 10." },
};
const DUAL: Kind = {
  name: "veth, IPv4 and IPv6",
  change: (pod, number) => ({ ...pod, addresses: { ...pod.addresses, ...ipv6(number) } }),
  shows: { where: "pod", command: () => "ip -6 address show dev eth0", text: "inet6 fd00:" },
};
const LIMITED: Kind = {
  name: "veth, IPv4, limited both ways",
  change: (pod) => ({ ...pod, bandwidth: { ingress: LIMIT, egress: LIMIT } }),
  shows: { where: "node", command: ({ hostName }) => `tc qdisc show dev ${hostName}`, text: "tbf" },
};
const KINDS = [DUAL, PLAIN, LIMITED];
/** The lab's network has no more addresses. */
const PODS_MAX = 250;

/** Of each kind one pod a round, in turn, each in a namespace of its own. */
export const measureAddDatapaths: Measure = async (run) => {
  using lab = openLab();
  await using kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  must(await kernel.prepareHost());
  must(await kernel.configureEni(lab.eni(0)));
  const samples = await attachInTurn(run, lab, kernel, KINDS);
  const contenders = KINDS.map((kind) => ({
    name: kind.name,
    samples: samples.get(kind) ?? [],
    ...(kind === PLAIN && { target: TARGET.dualAddRatio }),
  }));
  const row = "ADD in the kernel";
  return [{ kind: "comparison", row, unit: "ms", paired: true, contenders }] satisfies Row[];
};

/** Milliseconds of `attachPod`, one pod of each kind a round. Throws where a pod did not get what it was to have. */
export async function attachInTurn(
  run: BenchRun,
  lab: Lab,
  kernel: Pick<Kernel, "attachPod">,
  kinds: readonly Kind[],
): Promise<ReadonlyMap<Kind, readonly number[]>> {
  const rounds = WARM_UP + (run.quick ? 10 : 60);
  if (rounds * kinds.length > PODS_MAX)
    throw new RangeError(`${rounds} rounds need more than ${PODS_MAX} pods`);
  const samples = new Map(kinds.map((kind) => [kind, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) run.progress(`round ${round + 1} of ${rounds}`);
    for (const kind of rotated(kinds, round)) {
      run.signal.throwIfAborted();
      const ms = await attachOne(lab, kernel, kind, 1 + round * kinds.length + kinds.indexOf(kind));
      if (round >= WARM_UP) samples.get(kind)?.push(ms);
    }
  }
  return samples;
}

/** Milliseconds of `attachPod`. Throws where the pod did not get what it was to have. */
async function attachOne(
  lab: Lab,
  kernel: Pick<Kernel, "attachPod">,
  kind: Kind,
  number: number,
): Promise<number> {
  const pod = kind.change(lab.newPod(0, number), number);
  const startedMs = performance.now();
  must(await kernel.attachPod(pod));
  const ms = performance.now() - startedMs;
  const { where, command, text } = kind.shows;
  const shown = lab.run(where === "pod" ? lab.nameOf(pod) : lab.node, command(pod));
  if (!shown.includes(text)) throw new Error(`${kind.name}: ${command(pod)}: no ${text}`);
  return ms;
}

function ipv6(number: number): Pick<PodLink["addresses"], "v6"> {
  const v6 = parseIpv6(`fd00:0:0:1::${number.toString(16)}`);
  if (v6 === undefined) throw new RangeError(`pod ${number}`);
  return { v6 };
}
