/**
 * ADD and DEL in turn on a warm pool: pods that come and go, their number does not change.
 *
 * @module
 */
import { describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { type Row } from "../figures.ts";
import { withLab } from "../lab.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { SHIPPED_POOL } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

/** Without cooldown, as upstream, and with the default one. */
export const measureChurn: Measure = async (run) => {
  const none = await churn(run, "0s", "no cooldown: a released address may serve the next pod");
  const shipped = await churn(
    run,
    "30s",
    "default cooldown: pods that come faster than addresses cool down need more of them; counted to the last DEL",
  );
  return [...none, ...shipped];
};

async function churn(run: BenchRun, cooldown: string, about: string): Promise<Row[]> {
  const pairs = run.quick ? 20 : 100;
  const row = `${pairs} ADD + ${pairs} DEL, cooldown ${cooldown}`;
  return withLab(run, { ...SHIPPED_POOL, cooldown }, async (lab) => {
    await lab.start();
    const [container] = await lab.containers(1);
    if (container === undefined) throw new Error("no container");
    // Warm as on a node that has had a pod: its ENI is there, with idle addresses.
    await lab.ours.exec("ADD", container);
    await lab.ours.exec("DEL", container);
    await lab.settled();
    const took: number[] = [];
    const [, calls] = await lab.counting(async () => {
      for (let pair = 0; pair < pairs; pair++) {
        if (pair % 10 === 0) run.progress(`cooldown ${cooldown}: ${pair} of ${pairs} pairs`);
        run.signal.throwIfAborted();
        took.push((await lab.ours.exec("ADD", container)).tookMs);
        await lab.ours.exec("DEL", container);
      }
    });
    const target = cooldown === "0s" ? { target: { calls: TARGET.churnCalls } } : {};
    return [
      { kind: "figure", row, what: "ADD", unit: "ms", samples: took },
      ...callFigures(row, [calls], {
        upstream: UPSTREAM.churn,
        note: `${describeCalls(calls)}; ${about}`,
        ...target,
      }),
    ];
  });
}
