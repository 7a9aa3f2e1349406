import { describe, expect, it } from "vitest";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { openLog } from "./log.ts";
import { cloudStartFault, passing, patiently, type StartFault } from "./start-fault.ts";
import { type Timers } from "./timers.ts";

const full: Fault = { kind: "store", op: "open", reason: "the disk is full" };
const locked: Fault = { kind: "store", op: "open", reason: "another process has locked it" };

/** Time passes when somebody waits for it. */
function instantTimers(): Timers & { readonly waitedMs: number[] } {
  const waitedMs: number[] = [];
  return {
    waitedMs,
    elapsedMs: () => 0,
    after(ms, run) {
      waitedMs.push(ms);
      queueMicrotask(run);
      return { [Symbol.dispose]: () => undefined };
    },
    atTurnEnd: (run) => queueMicrotask(run),
  };
}

function trying(answers: readonly Result<string, StartFault>[], isPatient = true) {
  const timers = instantTimers();
  const said: Fault[] = [];
  let tries = 0;
  const stop = new AbortController();
  const opening = patiently({
    attempt: async () => answers[tries++] ?? failed({ text: "no more answers" }),
    what: "it cannot be opened",
    onWait: (fault) => said.push(fault),
    isPatient,
    pausesMs: [1000, 3000],
    timers,
    stop: stop.signal,
    log: openLog("silent"),
  });
  return { opening, said, timers, stop };
}

describe("patiently()", () => {
  it("waits for what passes, longer each time, and says each reason once", async () => {
    const answers = [full, full, locked].map((fault) => failed(passing(fault)));
    const { opening, said, timers } = trying([...answers, ok("open")]);
    expect(await opening).toEqual(ok("open"));
    expect(said).toEqual([full, locked]);
    expect(timers.waitedMs).toEqual([1000, 2000, 3000]);
  });

  it("fails at once for what does not pass, or where nobody waits", async () => {
    expect(await trying([failed({ text: "no permission" })]).opening).toEqual(
      failed({ text: "no permission" }),
    );
    const impatient = trying([failed(passing(full))], false);
    expect(await impatient.opening).toEqual(failed({ text: expect.stringContaining("the disk is full") }));
    expect(impatient.timers.waitedMs).toEqual([]);
  });

  it("ends when the agent is to stop", async () => {
    const { opening, stop } = trying(Array.from({ length: 100 }, () => failed(passing(full))));
    stop.abort();
    expect(await opening).toMatchObject({ ok: false });
  });
});

describe("cloudStartFault()", () => {
  it("lets no answer and throttling pass, and nothing that a person has to correct", () => {
    const fault: Fault = {
      kind: "cloud-unreachable",
      action: "DescribeVSwitches",
      target: "z",
      reason: "reset",
    };
    expect(cloudStartFault({ class: "again", effect: "unknown", fault }).passing).toEqual(fault);
    expect(cloudStartFault({ class: "configuration", effect: "none", fault }).passing).toBeUndefined();
  });
});
