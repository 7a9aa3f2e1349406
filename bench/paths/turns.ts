/**
 * Several paths in turn, again and again, each time in another order, in short pieces: what moves the machine for a second
 * moves all of them.
 *
 * @module
 */
import { type Comparison, type ComparedUnit } from "../figures.ts";
import { rotated } from "../rounds.ts";
import { type BenchRun } from "../run.ts";
import { type Sender, type Traffic } from "./sender.ts";

/** A way between two namespaces. */
export type Path = {
  readonly name: string;
  /** The pod, or who stands for it. */
  readonly near: End;
  /** Beyond the node. */
  readonly far: End;
  /** What ours wants to reach, as a share of this one's rate. */
  readonly atLeast?: number;
};

type End = { readonly netns: string; readonly address: string };

/** One kind of traffic over all paths: a row of the table. */
export type Trial = {
  readonly row: string;
  readonly traffic: Traffic;
  /** "out": from near to far. */
  readonly direction: "out" | "in";
  /** Packets, round trips or MB of one sample. */
  readonly count: number;
};

/** Of each path what each sample cost: nanoseconds for a packet, round trip or MB. In the order of the paths. */
export type Costs = readonly { readonly path: Path; readonly ns: readonly number[] }[];

/** Costs of every trial. Throws where a path loses packets. */
export async function measureInTurn(
  run: BenchRun,
  sender: Sender,
  paths: readonly Path[],
  trials: readonly Trial[],
  rounds: number,
): Promise<readonly { readonly trial: Trial; readonly costs: Costs }[]> {
  const all = trials.map((trial) => ({
    trial,
    costs: paths.map((path) => ({ path, ns: [] as number[] })),
  }));
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) run.progress(`round ${round + 1} of ${rounds}`);
    for (const { trial, costs } of all) {
      for (const { path, ns } of rotated(costs, round)) {
        run.signal.throwIfAborted();
        const { traffic, count } = trial;
        const [from, to] = trial.direction === "out" ? [path.near, path.far] : [path.far, path.near];
        ns.push(await sender({ traffic, from: from.netns, to: to.netns, address: to.address, count }));
      }
    }
  }
  return all;
}

const UNIT = {
  udp: "packets/s",
  echo: "round trips/s",
  stream: "Gbit/s",
} as const satisfies Record<Traffic, ComparedUnit>;

/** Divided by a cost in nanoseconds it is a rate. A MB is 8 x 10^6 bits, a bit in a nanosecond 1 Gbit/s. */
const RATE = { udp: 1e9, echo: 1e9, stream: 8e6 } as const satisfies Record<Traffic, number>;

/** The costs as rates of one core. Ours first. */
export function rateRow({ row, traffic }: Trial, costs: Costs): Comparison {
  return {
    kind: "comparison",
    row,
    unit: UNIT[traffic],
    paired: true,
    contenders: costs.map(({ path: { name, atLeast }, ns }) => ({
      name,
      samples: ns.map((each) => RATE[traffic] / each),
      ...(atLeast !== undefined && { atLeast }),
    })),
  };
}
