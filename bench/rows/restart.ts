/**
 * The agent stops and starts again on a node with forty pods.
 *
 * @module
 */
import { type Calls, describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { addForty, FORTY } from "../forty-pods.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

const ROW = `restart with ${FORTY} pods`;

/** Calls from the exec until the node is quiet. */
export const measureRestart: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    const rounds = run.quick ? 1 : 3;
    await lab.start();
    await addForty(lab);
    await lab.settled();
    const counted: Calls[] = [];
    const took: number[] = [];
    for (let round = 0; round < rounds; round++) {
      run.progress(`${round + 1} of ${rounds}`);
      await lab.stop();
      const [ms, calls] = await lab.counting(() => lab.start(), "settled");
      took.push(ms);
      counted.push(calls);
    }
    const [first] = counted;
    return [
      { kind: "figure", row: ROW, what: "until SERVING", unit: "ms", samples: took },
      ...callFigures(ROW, counted, {
        upstream: UPSTREAM.restart,
        target: TARGET.restart,
        note: first === undefined ? "" : describeCalls(first),
      }),
    ];
  });
