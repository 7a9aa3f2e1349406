/**
 * Where the time of a whole ADD goes, from the exec of the plugin to its exit.
 *
 * The agent tells its own phases. Those of the plugin's process are seen from an agent's side, by a stub in turn with the
 * real one: when it connects, and how long it lives on after its answer. What is left is the call itself.
 *
 * @module
 */
import { confFor } from "../../test/harness/pod.ts";
import { type AddTiming } from "../agent-log.ts";
import { openContender } from "../contender.ts";
import { type Figure } from "../figures.ts";
import { withLab } from "../lab.ts";
import { warmUpAgent } from "../pairs.ts";
import { measureRounds } from "../rounds.ts";
import { type Measure } from "../run.ts";
import { type Spawned } from "../spawn-lines.ts";
import { openSpawner } from "../spawner.ts";
import { startStubAgent } from "../stub-agent.ts";
import { CNI_CONF, LARGE_NODE } from "../topology.ts";
import { percentile } from "../statistics.ts";
import { PAUSE_MS } from "./warm-pool.ts";

const POOL = { idleMin: 20, idleMax: 40, cooldown: "0s" };

/** One ADD at a time, with an idle address in the pool. */
export const measurePhases: Measure = (run) =>
  withLab(
    run,
    POOL,
    async (lab) => {
      const rounds = run.quick ? 10 : 60;
      await using stack = new AsyncDisposableStack();
      const spawner = await openSpawner();
      await lab.start();
      const [container] = await lab.containers(1);
      if (container === undefined) throw new Error("no container");
      const stub = await startStubAgent(lab.directory, container.netns);
      let stopped = false;
      stack.defer(async () => void (stopped || (await stub.stop())));
      const node = lab.node.namespace;
      const stubbed = openContender({
        name: "stub",
        argv: lab.ours.program("ADD", { id: "", netns: "" }).argv,
        node,
        conf: confFor(CNI_CONF, stub.socketPath),
        directory: lab.directory,
      });
      await lab.settled();
      await warmUpAgent(lab);
      const [real, toStub] = await measureRounds(run, {
        spawner,
        contenders: [lab.ours, stubbed],
        verbs: ["ADD", "DEL"],
        rounds,
        warmUp: 2,
        pauseMs: PAUSE_MS,
        containerOf: () => container,
      });
      stopped = true;
      const stamps = await stub.stop();
      if (real === undefined || toStub === undefined) throw new Error("two contenders were measured");
      // A DEL follows each ADD.
      const adds = stamps.filter((_, index) => index % 2 === 0).slice(-rounds);
      return figures(real.ADD, toStub.ADD, adds, lab.phases().timing.slice(-rounds));
    },
    LARGE_NODE,
  );

function figures(
  real: readonly Spawned[],
  toStub: readonly Spawned[],
  stamps: readonly { readonly connectedUs: number; readonly answeredUs: number }[],
  timing: readonly AddTiming[],
): Figure[] {
  if (stamps.length !== toStub.length || timing.length !== real.length)
    throw new Error(
      `${stamps.length} of ${toStub.length} calls of the stub, ${timing.length} of ${real.length} of the agent are known`,
    );
  const wall = real.map(({ startedUs, endedUs }) => (endedUs - startedUs) / 1000);
  const exec = stamps.map(({ connectedUs }, index) => (connectedUs - (toStub[index]?.startedUs ?? 0)) / 1000);
  const reply = stamps.map(({ answeredUs }, index) => ((toStub[index]?.endedUs ?? 0) - answeredUs) / 1000);
  const process = percentile(exec, 0.5) + percentile(reply, 0.5);
  const rpc = wall.map((ms, index) => ms - process - (timing[index]?.total ?? 0));
  return [
    phase("exec: until it connects", exec),
    phase("rpc: connection, request, answer", rpc),
    phase(
      "wait: address from the pool",
      timing.map(({ wait }) => wait),
    ),
    phase(
      "store: lease written, and marked done",
      timing.map(({ store }) => store),
    ),
    phase(
      "netlink: interface, routes, rules",
      timing.map(({ netlink }) => netlink),
    ),
    phase("reply: from the answer to the exit", reply),
    phase("whole ADD", wall),
  ];
}

function phase(what: string, samples: readonly number[]): Figure {
  return { kind: "figure", row: "phases of an ADD", what, unit: "ms", samples };
}
