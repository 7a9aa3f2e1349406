/**
 * IPVLAN beside veth, both by the real kernel port in one run: how long a pod's interface takes to make, and what a packet
 * costs on its way between pod and ENI. On this machine's kernel where it has IPVLAN, else both in User Mode Linux.
 *
 * @module
 */
import { join } from "node:path";
import { must, openLab } from "../../daemon/netlink/lab.ts";
import { openKernel } from "../../daemon/netlink/kernel.ts";
import { ipvlanKernel } from "../../test/uml/ipvlan-kernel.ts";
import { runInUml, umlNftObstacle } from "../../test/uml/run-in-uml.ts";
import { type Findings, type Row } from "../figures.ts";
import { openOurNode, useIpvlan } from "../paths/pod-nodes.ts";
import { openSender } from "../paths/sender.ts";
import { measureInTurn, rateRow, type Trial } from "../paths/turns.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { TARGET } from "../upstream.ts";
import { attachInTurn, type Kind, PLAIN } from "./add-datapaths.ts";

const IPVLAN: Kind = {
  name: "ipvlan, IPv4",
  change: (pod) => ({ ...pod, datapath: "ipvlan" }),
  shows: { where: "pod", command: () => "ip -d link show dev eth0", text: "ipvlan" },
};

/** Long samples: the clock of User Mode Linux has ticks of 10 ms. */
const TRIALS: readonly Trial[] = [
  { row: "pod to ENI, UDP 64 bytes", traffic: "udp", direction: "out", count: 20_000 },
  { row: "ENI to pod, UDP 64 bytes", traffic: "udp", direction: "in", count: 20_000 },
  { row: "pod to ENI and back, TCP 1 byte", traffic: "echo", direction: "out", count: 3000 },
];

const NOTE = "the system call is a part of it, and in User Mode Linux the greater one";
const GUEST_TIMEOUT_MS = 1_200_000;
const GUEST_MIB = 2048;

/** In a guest the rows say so, for the machine that is named above the table is not theirs. */
export const measureIpvlan: Measure = async (run) => {
  if ((await ipvlanKernel()) === "own") return measureHere(run);
  const obstacle = await umlNftObstacle();
  if (obstacle !== undefined) return [{ kind: "absent", row: "ipvlan against veth", why: obstacle }];
  run.progress("in User Mode Linux, which takes minutes");
  const rows = await measureInGuest(run);
  return rows.map((row) => ({ ...row, row: `${row.row} (User Mode Linux)` }));
};

async function measureHere(run: BenchRun): Promise<readonly Row[]> {
  return [await measureAdd(run), ...(await measurePaths(run))];
}

async function measureAdd(run: BenchRun): Promise<Row> {
  using lab = openLab();
  await using kernel = await openKernel({ nodeNetns: lab.nodeNetns });
  await useIpvlan(kernel, lab);
  must(await kernel.prepareHost());
  must(await kernel.configureEni(lab.eni(0)));
  const samples = await attachInTurn(run, lab, kernel, [IPVLAN, PLAIN]);
  const contenders = [IPVLAN, PLAIN].map((kind) => ({
    name: kind.name,
    samples: samples.get(kind) ?? [],
    ...(kind === PLAIN && { target: TARGET.ipvlanAddRatio }),
  }));
  return { kind: "comparison", row: "ADD in the kernel, ipvlan", unit: "ms", paired: true, contenders };
}

async function measurePaths(run: BenchRun): Promise<readonly Row[]> {
  using stack = new DisposableStack();
  const sender = await openSender();
  const ipvlan = stack.use(await openOurNode(run, 1, "ipvlan")).path;
  const veth = stack.use(await openOurNode(run, 1)).path;
  const paths = [
    { ...ipvlan, name: "ipvlan" },
    { ...veth, name: "veth" },
  ];
  const measured = await measureInTurn(run, sender, paths, TRIALS, run.quick ? 4 : 20);
  return measured.flatMap(({ trial, costs }) => {
    const row = `ipvlan, ${trial.row}`;
    return [
      rateRow({ ...trial, row }, costs),
      ...costs.map(({ path, ns }, at): Row => ({
        kind: "figure",
        row: `${row}, processor time`,
        what: path.name,
        unit: "ns",
        samples: ns,
        ...(at === 0 && { note: NOTE }),
      })),
    ];
  });
}

/** The same row of the same program there, whose kernel has IPVLAN. */
async function measureInGuest({ quick, signal }: BenchRun): Promise<readonly Row[]> {
  const program = join(import.meta.dirname, "../main.ts");
  const options = `ipvlan${quick ? " --quick" : ""} --json /tmp/findings.json`;
  const { end, stdout, stderr } = await runInUml({
    command: ["sh", "-ec", `${process.execPath} ${program} ${options} >&2; cat /tmp/findings.json`],
    memoryMib: GUEST_MIB,
    timeoutMs: GUEST_TIMEOUT_MS,
    signal,
  });
  if (end.kind !== "exited" || end.status !== 0)
    throw new Error(`in the guest: ${JSON.stringify(end)}: ${stderr}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what main.ts writes
  return (JSON.parse(stdout) as Findings).rows;
}
