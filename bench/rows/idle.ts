/**
 * Nothing happens on a node with forty pods: what does the agent ask the cloud meanwhile?
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { addForty, FORTY } from "../forty-pods.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { UPSTREAM } from "../upstream.ts";

/** Five minutes (20 seconds in a quick run, and upstream's figure is taken for as long). */
export const measureIdle: Measure = (run) =>
  withLab(run, SHIPPED_POOL, async (lab) => {
    const seconds = run.quick ? 20 : 300;
    await lab.start();
    await addForty(lab);
    await lab.settled();
    run.progress(`waiting ${seconds} s`);
    const [, calls] = await lab.counting(() => sleep(seconds * 1000, undefined, { signal: run.signal }));
    const { idle } = UPSTREAM;
    const share = seconds / idle.seconds;
    return callFigures(`${seconds} idle seconds with ${FORTY} pods`, [calls], {
      upstream: { calls: idle.calls * share, reads: idle.reads * share },
      note: `${describeCalls(calls)}; upstream: ${idle.calls} calls and ${idle.reads} reads in ${idle.seconds} s, taken for ${seconds} s`,
    });
  });
