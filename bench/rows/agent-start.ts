/**
 * How long the agent takes from its exec until its health service says SERVING.
 *
 * @module
 */
import { type Figure } from "../figures.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { UPSTREAM } from "../upstream.ts";

const PODS = 10;

/** Cold with an empty store, and again with pods that were there before. */
export const measureAgentStart: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    const rounds = run.quick ? 3 : 7;
    const cold: number[] = [];
    const again: number[] = [];
    for (let round = 0; round < rounds; round++) {
      run.progress(`empty store, ${round + 1} of ${rounds}`);
      run.signal.throwIfAborted();
      await lab.emptyStore();
      cold.push(await lab.start());
      if (round < rounds - 1) await lab.stop();
    }
    for (const container of await lab.containers(PODS)) await lab.ours.exec("ADD", container);
    await lab.settled();
    for (let round = 0; round < rounds; round++) {
      run.progress(`with ${PODS} pods, ${round + 1} of ${rounds}`);
      run.signal.throwIfAborted();
      await lab.stop();
      again.push(await lab.start());
    }
    return [
      {
        ...figure("start, empty store", cold),
        upstream: UPSTREAM.start.servingMs,
        note: "upstream's figure is with a fake cloud that answers at once",
      },
      figure(`restart with ${PODS} pods`, again),
    ];
  });

function figure(row: string, samples: readonly number[]): Figure {
  return { kind: "figure", row, what: "until SERVING", unit: "ms", samples };
}
