/**
 * What the cloud is asked when the agent starts for the first time on a node.
 *
 * @module
 */
import { describeCalls } from "../call-counts.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { UPSTREAM } from "../upstream.ts";
import { callFigures } from "../call-figures.ts";

/** Calls from the exec until the node is quiet, with an empty store and `min_pool_size` 0. */
export const measureColdStart: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    const [, calls] = await lab.counting(() => lab.start(), "settled");
    return callFigures("cold start", [calls], {
      upstream: UPSTREAM.coldStart,
      note: describeCalls(calls),
    });
  });
