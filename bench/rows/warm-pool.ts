/**
 * ADD and DEL with an idle address in the pool, ours and the peers in turn.
 *
 * @module
 */
import { type Container, type Contender, openFloors, openPeer } from "../contender.ts";
import { type Figure, type Row } from "../figures.ts";
import { type Lab, withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { UPSTREAM } from "../upstream.ts";

const WARM = { idleMin: 20, idleMax: 25, cooldown: "0s" };
const COMMANDS = ["ADD", "DEL"] as const;
/** Of each, not counted: files and code come into memory. */
const WARM_UP = 2;

/** One ADD of each contender, then one DEL of each, again and again; every time in fresh namespaces. */
export const measureWarmPool: Measure = (run) =>
  withLab(run, WARM, async (lab) => {
    const rounds = run.quick ? 8 : 30;
    await lab.start();
    const peers = await lab.namespace("peers");
    const contenders = [
      lab.ours,
      openPeer("ptp", lab.directory, peers),
      openPeer("bridge", lab.directory, peers),
      ...openFloors(peers),
    ];
    const containers = await lab.containers(contenders.length * (rounds + WARM_UP));
    await lab.settled();
    const samples = { ADD: contenders.map(() => [] as number[]), DEL: contenders.map(() => [] as number[]) };
    for (let round = 0; round < rounds + WARM_UP; round++) {
      run.progress(`round ${round + 1} of ${rounds + WARM_UP}`);
      const own = containers.slice(round * contenders.length, (round + 1) * contenders.length);
      for (const command of COMMANDS) {
        const took = await inTurn(lab, command, contenders, own);
        if (round >= WARM_UP) took.forEach((ms, index) => samples[command][index]?.push(ms));
      }
    }
    const compared = COMMANDS.map((command): Row => ({
      kind: "comparison",
      row: `${command}, one after the other`,
      contenders: contenders.map(({ name }, index) => ({ name, samples: samples[command][index] ?? [] })),
      upstream: command === "ADD" ? UPSTREAM.warm.addMs : UPSTREAM.warm.delMs,
    }));
    return [...compared, ...phaseRows(lab, rounds)];
  });

async function inTurn(
  { run }: Lab,
  command: (typeof COMMANDS)[number],
  contenders: readonly Contender[],
  containers: readonly Container[],
): Promise<number[]> {
  const took: number[] = [];
  for (const [index, contender] of contenders.entries()) {
    run.signal.throwIfAborted();
    const container = containers[index];
    if (container === undefined) throw new Error("fewer containers than contenders");
    took.push((await contender.exec(command, container)).tookMs);
  }
  return took;
}

/** What of ours is the agent's; the rest is the plugin's start and exit, and the call between the two. */
function phaseRows(lab: Lab, rounds: number): Figure[] {
  const phases = lab.phases();
  const figure = (what: string, samples: readonly number[]): Figure => ({
    kind: "figure",
    row: "of these, inside the agent",
    what,
    unit: "ms",
    samples: samples.slice(-rounds),
  });
  return [
    figure("ADD: address from the pool", phases.waitedMs),
    figure("ADD: interface and lease", phases.kernelMs),
    figure("DEL", phases.detachMs),
  ];
}
