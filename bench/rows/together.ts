/**
 * Forty pods from nothing, all at the same time.
 *
 * @module
 */
import { describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { addForty, FORTY } from "../forty-pods.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

const ROW = `${FORTY} pods at once from nothing`;

/** With the pool as it is shipped (0 to 5 idle). */
export const measureTogether: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    await lab.start();
    await lab.settled();
    run.progress(`${FORTY} ADDs at once`);
    const [tookMs, calls] = await lab.counting(() => addForty(lab), "settled");
    return [
      {
        kind: "figure",
        row: ROW,
        what: "all have one after",
        unit: "ms",
        samples: [tookMs],
        upstream: UPSTREAM.together.wallMs,
      },
      ...callFigures(ROW, [calls], {
        upstream: UPSTREAM.together,
        target: { calls: TARGET.togetherCalls },
        note: describeCalls(calls),
      }),
    ];
  });
