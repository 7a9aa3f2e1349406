/**
 * The first ADD on a node that has no ENI for pods: the agent makes one.
 *
 * @module
 */
import { totalMs } from "../agent-log.ts";
import { type Calls, describeCalls } from "../call-counts.ts";
import { callFigures } from "../call-figures.ts";
import { type Row } from "../figures.ts";
import { withLab } from "../lab.ts";
import { type Measure } from "../run.ts";
import { DELAY_MS, SHIPPED_POOL } from "../topology.ts";
import { TARGET, UPSTREAM } from "../upstream.ts";

/** Everything that has to come before an ENI can carry a packet. */
const CLOUD_MS = DELAY_MS.create + DELAY_MS.attach + DELAY_MS.attachLink;
const ROW = "first ADD on an empty pool";

/** Each time on a new cloud and a new agent. */
export const measureEmptyPool: Measure = async (run) => {
  const rounds = run.quick ? 1 : 3;
  const took: number[] = [];
  const inAgent: number[] = [];
  const counted: Calls[] = [];
  for (let round = 0; round < rounds; round++) {
    run.progress(`${round + 1} of ${rounds}`);
    await withLab(run, SHIPPED_POOL, async (lab) => {
      await lab.start();
      const [container] = await lab.containers(1);
      if (container === undefined) throw new Error("no container");
      await lab.settled();
      const [ran, calls] = await lab.counting(() => lab.ours.exec("ADD", container), "settled");
      took.push(ran.tookMs);
      inAgent.push(...totalMs(lab.phases()).map((ms) => ms - CLOUD_MS));
      counted.push(calls);
    });
  }
  const [first] = counted;
  const { emptyPool } = UPSTREAM;
  const rows: Row[] = [
    { kind: "figure", row: ROW, what: "wall time", unit: "ms", samples: took, upstream: emptyPool.wallMs },
    {
      kind: "figure",
      row: ROW,
      what: "own time",
      unit: "ms",
      samples: took.map((ms) => ms - CLOUD_MS),
      upstream: emptyPool.ownMs,
      target: TARGET.emptyPoolOwnMs,
      note:
        `wall time less ${CLOUD_MS} ms: create ${DELAY_MS.create}, attach reply ${DELAY_MS.attach}, ` +
        `attach -> link ${DELAY_MS.attachLink}; upstream's leaves out its waits for Describe and metadata too`,
    },
  ];
  rows.push({ kind: "figure", row: ROW, what: "of it, in the agent", unit: "ms", samples: inAgent });
  const note = first === undefined ? "" : describeCalls(first);
  return [...rows, ...callFigures(ROW, counted, { upstream: emptyPool, note })];
};
