/**
 * What a packet costs on its way from a pod through the node to an ENI and back, with 1, 50 and 250 pods on the node.
 *
 * @module
 */
import { type Figure } from "../figures.ts";
import { openOurNode, openPlainNode, openUpstreamNode } from "../paths/pod-nodes.ts";
import { openSender } from "../paths/sender.ts";
import { type Costs, measureInTurn, rateRow, type Trial } from "../paths/turns.ts";
import { type Measure } from "../run.ts";
import { TARGET } from "../upstream.ts";

const TRIALS: readonly Trial[] = [
  { row: "pod to ENI, UDP 64 bytes", traffic: "udp", direction: "out", count: 3000 },
  { row: "ENI to pod, UDP 64 bytes", traffic: "udp", direction: "in", count: 3000 },
  { row: "pod to ENI and back, TCP 1 byte", traffic: "echo", direction: "out", count: 1000 },
];

const PODS = [250, 50, 1] as const;

/** Ours in turn with the layout of upstream and with a pair of veths that has nothing but routes. */
export const measurePodPath: Measure = async (run) => {
  using stack = new DisposableStack();
  const sender = await openSender();
  const paths = [];
  for (const pods of PODS) {
    const { path } = stack.use(await openOurNode(run, pods));
    paths.push({ ...path, ...(pods === 1 && { atLeast: TARGET.fullNodeRate }) });
  }
  paths.push({ ...stack.use(openPlainNode(run)).path, atLeast: TARGET.plainVethRate });
  for (const pods of PODS) paths.push(stack.use(openUpstreamNode(run, pods)).path);
  const measured = await measureInTurn(run, sender, paths, TRIALS, run.quick ? 8 : 75);
  return measured.flatMap(({ trial, costs }) => [rateRow(trial, costs), ...costFigures(trial, costs)]);
};

/** The same as processor time, of the paths that a reader compares first. */
function costFigures({ row }: Trial, costs: Costs): readonly Figure[] {
  return costs
    .filter((_, at) => at === 0 || at === PODS.length || at === PODS.length + 1)
    .map(({ path, ns }) => ({
      kind: "figure",
      row: `${row}, processor time`,
      what: path.name,
      unit: "ns",
      samples: ns,
    }));
}
