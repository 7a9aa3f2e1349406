/**
 * S1 to S10: STATUS says at once whether ADD can be served.
 *
 * @module
 */
import { until } from "../harness/process.ts";
import { type Bench } from "./bench.ts";
import { DELEGATE_FAILURE, openDelegate } from "./delegate.ts";
import { type Switch } from "./driver.ts";
import { differences } from "./footprint.ts";
import { NO_DELEGATE, whileOn } from "./lines-add-failure.ts";
import { errorOf, type Run } from "./probe.ts";
import { type Line, notOurs, type Trial } from "./trial.ts";
import { hasVerb } from "./version.ts";

/** A second for the plugin, and half of one for a busy machine to start it. */
const STATUS_MS_MAX = 1500;
/** For a plugin that waits before it says that something is wrong. */
const NOTICE_MS = 60_000;
const NO_DRIVER = "no driver that can bring it about";

/** Runs `work` where the plugin announces a version with STATUS. */
function statusLine(id: string, wants: string, work: (trial: Trial, bench: Bench) => Promise<void>): Line {
  return {
    id,
    wants,
    run: async (trial, bench) => {
      if (hasVerb(bench.version, "STATUS")) return work(trial, bench);
      return trial.skip("", `the plugin announces ${bench.version} at most, which has no STATUS`);
    },
  };
}

async function status(bench: Bench): Promise<Run> {
  return bench.call("STATUS", undefined, { timeoutMs: 10_000 });
}

/** The first STATUS that is as wanted, or the last one that was not. */
async function statusUntil(bench: Bench, isWanted: (run: Run) => boolean): Promise<Run> {
  let run = await status(bench);
  const ask = async (): Promise<boolean> => {
    if (!isWanted(run)) run = await status(bench);
    return isWanted(run);
  };
  await until("STATUS as wanted", ask, NOTICE_MS, 250).catch(() => undefined);
  return run;
}

const S1 = statusLine("S1", "exit 0 where ADD can be served", async (trial, bench) => {
  trial.succeeds("STATUS", await status(bench));
  await bench.add();
  trial.succeeds("STATUS after an ADD", await status(bench));
});

async function turnsTo(trial: Trial, bench: Bench, what: string, code: number, one?: Switch): Promise<void> {
  if (one === undefined) return trial.skip(what, NO_DRIVER);
  await whileOn(one, async () => {
    const run = await statusUntil(bench, (run) => errorOf(run)?.code === code);
    trial.fails(`STATUS, ${what}`, run, { codes: [code] });
  });
  trial.succeeds(`STATUS, no longer ${what}`, await statusUntil(bench, ({ end }) => end === 0));
  return undefined;
}

const S2 = statusLine("S2", "code 50 where ADD cannot be served", async (trial, bench) => {
  await turnsTo(trial, bench, "agent away", 50, bench.driver.agentDown);
  await turnsTo(trial, bench, "no address left and none to be had", 50, bench.driver.poolEmpty);
});

const S3 = statusLine("S3", "code 51 where pods that run may be affected too", async (trial, bench) => {
  await turnsTo(trial, bench, "what all pods need is missing", 51, bench.driver.nodeDamaged);
});

const S4 = statusLine(
  "S4",
  "STATUS goes on to delegated plugins; their error is returned",
  async (trial, bench) => {
    await using delegate = await openDelegate(bench);
    if (delegate === undefined) return trial.skip("", NO_DELEGATE);
    const run = await bench.call("STATUS", undefined, delegate.options());
    trial.succeeds("STATUS", run);
    trial.same(
      "what the delegate was called for",
      ["STATUS"],
      (await delegate.calls()).map(({ verb }) => verb),
      run,
    );
    await delegate.failOn("STATUS");
    const failing = await bench.call("STATUS", undefined, delegate.options());
    trial.fails("STATUS with a delegate that fails", failing, { mentions: [DELEGATE_FAILURE] });
    return undefined;
  },
);

const S5 = statusLine(
  "S5",
  "STATUS informs and changes nothing; the other verbs do not depend on it",
  async (trial, bench) => {
    const added = await bench.add();
    const before = await bench.footprint();
    const run = await status(bench);
    trial.succeeds("STATUS", run);
    trial.unchanged("the node after STATUS", differences(before, await bench.footprint()), run);
    trial.succeeds("DEL after STATUS", await bench.del(added));
    trial.succeeds("ADD after STATUS", await bench.call("ADD", await bench.newPod()));
    const { agentDown } = bench.driver;
    if (agentDown === undefined) return trial.skip("DEL after a STATUS that failed", NO_DRIVER);
    const other = await bench.add();
    await whileOn(agentDown, async () => {
      await status(bench);
      trial.succeeds("DEL after a STATUS that failed", await bench.del(other));
    });
    return undefined;
  },
);

const S6 = statusLine("S6", "no container, namespace or interface is needed", async (trial, bench) => {
  trial.succeeds("STATUS with CNI_COMMAND and CNI_PATH alone", await status(bench));
});

function inTime(trial: Trial, what: string, run: Run): void {
  trial.check(`${what} ends in time`, run.tookMs < STATUS_MS_MAX && typeof run.end === "number", {
    wanted: `under ${STATUS_MS_MAX} ms`,
    seen: `${Math.round(run.tookMs)} ms`,
    run,
  });
}

const S7 = statusLine("S7", "an answer within a second, whatever the agent does", async (trial, bench) => {
  inTime(trial, "STATUS", await status(bench));
  const during = Promise.all([1, 2, 3, 4, 5].map(async () => bench.call("ADD", await bench.newPod())));
  inTime(trial, "STATUS while pods are added", await status(bench));
  await during;
  const { agentDown, agentFrozen } = bench.driver;
  for (const [what, one] of [
    ["STATUS with the agent away", agentDown],
    ["STATUS with a frozen agent", agentFrozen],
  ] as const) {
    if (one === undefined) trial.skip(what, NO_DRIVER);
    else {
      await whileOn(one, async () => {
        const run = await status(bench);
        inTime(trial, what, run);
        trial.fails(what, run, { codes: [50] });
      });
    }
  }
});

const S8 = notOurs("S8", "the first error in a list ends the list", "the runtime's part");
const S9 = notOurs(
  "S9",
  "STATUS is not called for configurations before 1.1.0",
  "the runtime's part; E9 has the plugin's",
);

const S10 = statusLine(
  "S10",
  "a short dip of the pool does not make the node not ready",
  async (trial, bench) => {
    const { poolDip } = bench.driver;
    if (poolDip === undefined) return trial.skip("", NO_DRIVER);
    await whileOn(poolDip, async () => {
      trial.succeeds("STATUS in the dip", await status(bench));
    });
    trial.succeeds("STATUS after the dip", await status(bench));
    return undefined;
  },
);

export const STATUS_LINES: readonly Line[] = [S1, S2, S3, S4, S5, S6, S7, S8, S9, S10];
