/**
 * Several contenders in turn, again and again, each time in another order.
 *
 * @module
 */
import { type Container, type Contender, type Verb } from "./contender.ts";
import { type BenchRun } from "./run.ts";
import { type Spawned } from "./spawn-lines.ts";
import { type Spawner } from "./spawner.ts";

/** What a contender did in all rounds. */
export type Measured = {
  readonly contender: Contender;
  readonly ADD: readonly Spawned[];
  readonly DEL: readonly Spawned[];
};

export type Rounds = {
  readonly spawner: Spawner;
  readonly contenders: readonly Contender[];
  readonly verbs: readonly Verb[];
  /** So many count. */
  readonly rounds: number;
  /** So many before do not: files and code come into memory. */
  readonly warmUp: number;
  /** Before each exec. */
  readonly pauseMs: number;
  /** That which a contender works on in a round. */
  readonly containerOf: (round: number, contender: number) => Container;
};

/** In each round one ADD of each, then one DEL of each. */
export async function measureRounds(run: BenchRun, options: Rounds): Promise<readonly Measured[]> {
  const { spawner, contenders, verbs, rounds, warmUp, pauseMs, containerOf } = options;
  const measured = contenders.map((contender) => ({
    contender,
    ADD: [] as Spawned[],
    DEL: [] as Spawned[],
  }));
  for (let round = 0; round < rounds + warmUp; round++) {
    run.signal.throwIfAborted();
    if (round % 10 === 0) run.progress(`round ${round + 1} of ${rounds + warmUp}`);
    const order = rotated(measured, round);
    const steps = verbs.flatMap((verb) => order.map((entry) => ({ verb, entry })));
    const programs = steps.map(({ verb, entry }) =>
      entry.contender.program(verb, containerOf(round, measured.indexOf(entry))),
    );
    const spawned = await spawner.inTurn(programs, pauseMs);
    for (const [index, { verb, entry }] of steps.entries()) {
      const one = spawned[index];
      if (round >= warmUp && one !== undefined) entry[verb].push(one);
    }
  }
  return measured;
}

/** The same ones, beginning with another one each time: nobody always follows the same. */
export function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
