/**
 * From a pod of one on-premises node to a pod of another: our overlay beside one made by hand, our underlay beside a plain
 * route, and the one beside the other. Without source NAT beside those by hand without any rule; with it beside those with
 * one rule that translates, for that alone has the kernel track every connection.
 *
 * @module
 */
import { type Row } from "../figures.ts";
import { openHandOverlay, openHandRoute, type OpenPath, openOurNodes } from "../paths/hybrid-nodes.ts";
import { openSender } from "../paths/sender.ts";
import { type Costs, measureInTurn, rateRow, type Trial } from "../paths/turns.ts";
import { type Measure } from "../run.ts";
import { TARGET } from "../upstream.ts";

const TRIALS: readonly Trial[] = [
  { row: "UDP 64 bytes", traffic: "udp", direction: "out", count: 3000 },
  { row: "TCP 1 byte and back", traffic: "echo", direction: "out", count: 1000 },
  { row: "TCP", traffic: "stream", direction: "out", count: 30 },
];

/** All in turn, so that every ratio is of the same moments. */
export const measureVxlan: Measure = async (run) => {
  await using stack = new AsyncDisposableStack();
  const sender = await openSender();
  const opened: OpenPath[] = [];
  const open = async (opening: Promise<OpenPath>): Promise<void> =>
    void opened.push(stack.use(await opening));
  for (const nat of [false, true]) {
    await open(openOurNodes(run, "vxlan", nat));
    await open(openHandOverlay(run, nat));
    await open(openOurNodes(run, "direct", nat));
    await open(openHandRoute(run, nat));
  }
  const paths = opened.map(({ path }) => path);
  const measured = await measureInTurn(run, sender, paths, TRIALS, run.quick ? 8 : 75);
  return measured.flatMap(({ trial, costs }) => rowsOf(trial, costs));
};

function rowsOf(trial: Trial, costs: Costs): readonly Row[] {
  return [
    ...rowsOfSetting(trial, "", costs.slice(0, 4)),
    ...rowsOfSetting(trial, ", source NAT", costs.slice(4)),
  ];
}

function rowsOfSetting(trial: Trial, setting: string, costs: Costs): readonly Row[] {
  const [overlay, byHand, underlay, route] = costs;
  if (!overlay || !byHand || !underlay || !route)
    throw new Error("four paths were measured for each setting");
  const target = trial.traffic === "stream" ? TARGET.overlayTcpRate : TARGET.overlayRate;
  return [
    rateRow({ ...trial, row: `overlay${setting}, ${trial.row}` }, [overlay, withTarget(byHand, target)]),
    rateRow({ ...trial, row: `underlay${setting}, ${trial.row}` }, [
      underlay,
      withTarget(route, TARGET.underlayRate),
      trial.traffic === "echo" ? overlay : withTarget(overlay, TARGET.underlayToOverlay),
    ]),
  ];
}

function withTarget({ path, ns }: Costs[number], atLeast: number): Costs[number] {
  return { path: { ...path, atLeast }, ns };
}
