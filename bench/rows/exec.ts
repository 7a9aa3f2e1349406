/**
 * The plugin from its exec to its exit, with a real gRPC call to an agent that answers at once: what a pod pays for the
 * plugin alone.
 *
 * @module
 */
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Result } from "../../proto/result.ts";
import { confFor } from "../../test/harness/pod.ts";
import { must, run as runProgram } from "../../test/harness/process.ts";
import { program } from "../../test/harness/programs.ts";
import { type Container, type Contender, openContender, openFloor } from "../contender.ts";
import { type Compared, type Figure, type Row } from "../figures.ts";
import { buildShim } from "../grpc-go-shim.ts";
import { measureRounds, rotated } from "../rounds.ts";
import { type BenchRun, type Measure } from "../run.ts";
import { endedAfterMs, tookMs } from "../spawn-lines.ts";
import { openSpawner, type Spawner } from "../spawner.ts";
import { type CallStamps, startStubAgent } from "../stub-agent.ts";
import { TARGET } from "../upstream.ts";

const AT_ONCE = 50;
const WARM_UP = 3;
const SHIM = "grpc-go shim";

/** One after the other, and fifty at once. */
export const measureExec: Measure = async (run) => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), `terway-${run.name}-`));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const rounds = run.quick ? 20 : 200;
  const shim = await buildShim();
  const spawner = await openSpawner();
  const [node, netns] = [`${run.name}-node`, `${run.name}-pod`];
  for (const name of [node, netns]) {
    await must("ip", ["netns", "add", name]);
    stack.defer(async () => void (await runProgram("ip", ["netns", "delete", name])));
  }
  const stub = await startStubAgent(directory, netns);
  let stamps: readonly CallStamps[] | undefined;
  stack.defer(async () => void (stamps ?? (await stub.stop())));
  const conf = confFor(
    JSON.stringify({ cniVersion: "1.0.0", name: "terway", type: "terway" }),
    stub.socketPath,
  );
  const open = (name: string, path: string): Contender =>
    openContender({ name, argv: [path], node, conf, directory });
  const ours = program("terway");
  const contenders = [
    open("ours", ours),
    ...(shim.ok ? [open(SHIM, shim.value)] : []),
    open("ours under Node", join(dirname(ours), "terway-node")),
    openFloor(node, directory),
  ];
  const container = { id: "bench", netns };
  const measured = await measureRounds(run, {
    spawner,
    contenders,
    verbs: ["ADD"],
    rounds,
    warmUp: WARM_UP,
    pauseMs: 2,
    containerOf: () => container,
  });
  const atOnce = await atOnceRows(run, spawner, contenders, container);
  stamps = await stub.stop();
  // The floor does not call.
  const oneByOne = stamps.slice(0, (WARM_UP + rounds) * (contenders.length - 1));
  return [
    comparison("plugin, exec to exit with its call", measured, ({ ADD }) => tookMs(ADD), TARGET.execRatio),
    ...atOnce,
    {
      kind: "figure",
      row: "plugin, exec to exit",
      what: "of it, in the agent's stub",
      unit: "ms",
      samples: oneByOne.map(({ connectedUs, answeredUs }) => (answeredUs - connectedUs) / 1000),
      note: "the same for every contender",
    },
    {
      ...comparison("plugin, most memory (RSS)", measured, ({ ADD }) =>
        ADD.map(({ peakKb }) => (peakKb * 1024) / 1e6),
      ),
      unit: "MB",
    },
    await fileFigure(ours, shim),
    ...(shim.ok ? [] : [{ kind: "absent", row: SHIM, why: shim.fault } as const]),
  ];
};

function comparison<Entry extends { readonly contender: Contender }>(
  row: string,
  entries: readonly Entry[],
  samplesOf: (entry: Entry) => readonly number[],
  target?: number,
): Row & { readonly kind: "comparison" } {
  const contenders = entries.map((entry): Compared => {
    const { name } = entry.contender;
    return { name, samples: samplesOf(entry), ...(name === SHIM && target !== undefined && { target }) };
  });
  return { kind: "comparison", row, unit: "ms", contenders };
}

async function atOnceRows(
  run: BenchRun,
  spawner: Spawner,
  contenders: readonly Contender[],
  container: Container,
): Promise<readonly Row[]> {
  const rounds = run.quick ? 3 : 15;
  const entries = contenders.map((contender) => ({ contender, last: [] as number[], each: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { contender, last, each } of rotated(entries, round)) {
      run.signal.throwIfAborted();
      run.progress(`${AT_ONCE} at once, ${contender.name}, ${round + 1} of ${rounds}`);
      const programs = Array.from({ length: AT_ONCE }, () => contender.program("ADD", container));
      const after = endedAfterMs(await spawner.atOnce(programs));
      last.push(after.at(-1) ?? Number.NaN);
      each.push(...after);
    }
  }
  return [
    comparison(`${AT_ONCE} plugins at once, the last`, entries, ({ last }) => last, TARGET.execRatio),
    comparison(`${AT_ONCE} plugins at once, each`, entries, ({ each }) => each),
  ];
}

async function fileFigure(path: string, shim: Result<string, string>): Promise<Figure> {
  const notes = [
    ...((await isScript(path)) ? ["this is the launcher of Node: the executable could not be built"] : []),
    ...(shim.ok ? [`${SHIM} ${(await sizeMb(shim.value)).toFixed(1)} MB`] : []),
  ];
  return {
    kind: "figure",
    row: "plugin, file",
    what: "size",
    unit: "MB",
    samples: [await sizeMb(path)],
    target: TARGET.pluginFileMb,
    note: notes.join("; "),
  };
}

async function sizeMb(path: string): Promise<number> {
  return (await stat(path)).size / 1e6;
}

async function isScript(path: string): Promise<boolean> {
  return (await readFile(path)).subarray(0, 2).toString("latin1") === "#!";
}
