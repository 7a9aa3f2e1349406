/**
 * Forty pods from nothing, each added when the one before has its address.
 *
 * @module
 */
import { describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

const PODS = 40;
const ROW = `${PODS} pods one by one from nothing`;

/** With the pool as it is shipped (0 to 5 idle). */
export const measureOneByOne: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    await lab.start();
    const containers = await lab.containers(PODS);
    await lab.settled();
    let tookMs = 0;
    const [, calls] = await lab.counting(async () => {
      for (const [index, container] of containers.entries()) {
        if (index % 5 === 0) run.progress(`${index} of ${PODS} pods`);
        run.signal.throwIfAborted();
        tookMs += (await lab.ours.exec("ADD", container)).tookMs;
      }
    }, "settled");
    return [
      {
        kind: "figure",
        row: ROW,
        what: "all have one after",
        unit: "ms",
        samples: [tookMs],
        upstream: UPSTREAM.oneByOne.secondsPerPod * 1000 * PODS,
        note: "upstream: 37 pods in 182 s, taken for 40",
      },
      ...callFigures(ROW, [calls], {
        upstream: UPSTREAM.oneByOne,
        target: { calls: TARGET.oneByOneCalls },
        note: describeCalls(calls),
      }),
    ];
  });
