/**
 * An ADD on a node that has an ENI with room but no idle address: the agent assigns one.
 *
 * @module
 */
import { totalMs } from "../agent-log.ts";
import { type Calls, describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { DELAY_MS } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

/** Nothing is fetched in advance, so every pod after the first finds an ENI and no address. */
const NOTHING_IDLE = { idleMin: 0, idleMax: 0, cooldown: "0s" };
const ROW = "ADD with an ENI but no idle address";

/** One pod after the other on the same ENI. */
export const measureNoIdle: Measure = (run) =>
  withLab(run, NOTHING_IDLE, async (lab) => {
    const rounds = run.quick ? 3 : 10;
    await lab.start();
    const [first, ...more] = await lab.containers(1 + rounds);
    if (first === undefined) throw new Error("no container");
    await lab.ours.exec("ADD", first);
    await lab.settled();
    const took: number[] = [];
    const counted: Calls[] = [];
    for (const container of more) {
      run.progress(`${took.length + 1} of ${rounds}`);
      run.signal.throwIfAborted();
      const [ran, calls] = await lab.counting(() => lab.ours.exec("ADD", container));
      took.push(ran.tookMs);
      counted.push(calls);
    }
    const inAgent = totalMs(lab.phases())
      .slice(-rounds)
      .map((ms) => ms - DELAY_MS.assign);
    const [one] = counted;
    const { noIdle } = UPSTREAM;
    return [
      { kind: "figure", row: ROW, what: "wall time", unit: "ms", samples: took, upstream: noIdle.wallMs },
      {
        kind: "figure",
        row: ROW,
        what: "own time",
        unit: "ms",
        samples: took.map((ms) => ms - DELAY_MS.assign),
        upstream: noIdle.ownMs,
        target: TARGET.noIdleOwnMs,
        note: `wall time less ${DELAY_MS.assign} ms: assign`,
      },
      { kind: "figure", row: ROW, what: "of it, in the agent", unit: "ms", samples: inAgent },
      ...callFigures(ROW, counted, {
        upstream: noIdle,
        note: `${one === undefined ? "" : describeCalls(one)}; from each ADD's exec to its answer`,
      }),
    ];
  });
