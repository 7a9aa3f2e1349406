/**
 * A short run of every target, and proofs that the runner notices what it is there for.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { begin } from "../../cni/core/command.ts";
import { type Done } from "../../cni/core/done.ts";
import { agentReply, type BeginFunction } from "./agent-reply.ts";
import { beginTarget } from "./input.ts";
import { randomOf } from "./random.ts";
import { runTarget, type Report, type Target } from "./runner.ts";
import { SELF_CHECKS, TARGETS, targetOf } from "./targets.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

function fuzz(target: Target, runs: number, seed = 1): Report {
  return runTarget(target, { seed, first: 0, runs, untilMs: Infinity, nowMs: () => performance.now() });
}

/** The core, with each end of a run changed. */
function withEnds(change: (done: Done) => Done): BeginFunction {
  return (input) => {
    const start = begin(input);
    if (start.kind === "done") return change(start);
    const feed: typeof start.call.feed = (bytes) => {
      const step = start.call.feed(bytes);
      return step.kind === "done" ? change(step) : step;
    };
    return { ...start, call: { ...start.call, feed } };
  };
}

/** Runs `npm run fuzz` with these arguments. */
async function command(
  ...args: readonly string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const closed = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await closed, stdout, stderr };
}

describe("runTarget()", () => {
  it.each(TARGETS)("finds nothing in $name: $about", (target) => {
    const { runs, failures, outcomes } = fuzz(target, 3_000);
    expect({ runs, failures }).toEqual({ runs: 3_000, failures: [] });
    // A target of which every case is refused at the door tests the door only.
    expect(Object.keys(outcomes).length).toBeGreaterThan(1);
  });

  it("reaches every end of a conversation", () => {
    const { outcomes } = fuzz(agentReply(begin), 3_000);
    for (const name of [
      "result",
      "ok",
      "kept",
      "code 11",
      "code 50",
      "code 51",
      "code 101",
      "code 103",
      "code 999",
    ]) {
      expect(outcomes[name], name).toBeGreaterThan(0);
    }
    const { outcomes: begun } = fuzz(beginTarget(begin), 3_000);
    for (const name of ["about", "versions", "code 4", "code 6", "code 7", "code 8", "code 1", "code 5"]) {
      expect(begun[name], name).toBeGreaterThan(0);
    }
  });

  it("makes the same case again from seed and number", () => {
    for (const target of TARGETS) {
      const shown = [1, 1, 2].map((seed) => target.prepare(randomOf(seed, 77)).show());
      expect(shown[0], target.name).toBe(shown[1]);
      expect(shown[0], target.name).not.toBe(shown[2]);
    }
    expect(fuzz(agentReply(begin), 200).outcomes).toEqual(fuzz(agentReply(begin), 200).outcomes);
  });
});

describe("runTarget() on a broken core", () => {
  const broken: readonly (readonly [string, BeginFunction, string])[] = [
    ["says nothing on stdout", withEnds((done) => ({ ...done, stdout: "" })), "stdout"],
    ["prints two objects", withEnds((done) => ({ ...done, stdout: done.stdout.repeat(2) })), "stdout"],
    ["fails with exit status 0", withEnds((done) => ({ ...done, exit: 0 })), "no interfaces"],
    ["succeeds with exit status 1", withEnds((done) => ({ ...done, exit: 1 })), "in {"],
    ["prints line breaks on stderr", withEnds((done) => ({ ...done, stderr: "terway: a\nb\n" })), "stderr"],
    [
      "answers in another version",
      withEnds((done) => ({ ...done, stdout: done.stdout.replace("1.1.0", "9") })),
      "cniVersion",
    ],
    [
      "floods the agent",
      (input) => {
        const start = begin(input);
        if (start.kind === "done") return start;
        const step = { kind: "more", send: new Uint8Array(5_000) } as const;
        return { ...start, call: { ...start.call, feed: () => step } };
      },
      "bytes sent after",
    ],
    [
      "does not call the agent",
      () => ({ kind: "done", exit: 1, stdout: "{}\n", stderr: "" }),
      "no call was made",
    ],
  ];
  it.each(broken)("notices one that %s", (_, core, said) => {
    const { failures } = fuzz(agentReply(core), 2_000);
    expect(failures.length).toBe(5);
    expect(failures.some(({ reason }) => reason.includes(said))).toBe(true);
  });

  it("notices one that throws, with the case's number", () => {
    const target = targetOf("self-check-throw");
    if (target === undefined) throw new Error("no such target");
    const [first] = fuzz(target, 20_000).failures;
    expect(first?.reason).toContain("RangeError: a mistake made on purpose");
    const again = runTarget(target, {
      seed: 1,
      first: first?.index ?? -1,
      runs: 1,
      untilMs: Infinity,
      nowMs: () => 0,
    });
    expect(again.failures[0]?.index).toBe(first?.index);
  });

  it("notices a case that takes too long", () => {
    let nowMs = 0;
    const target = { name: "", about: "", prepare: () => ({ run: () => "", show: () => "" }) };
    const clock = () => (nowMs += 10_001);
    const { failures } = runTarget(target, { seed: 1, first: 3, runs: 1, untilMs: Infinity, nowMs: clock });
    expect(failures).toEqual([{ index: 3, reason: "it took 10001 ms" }]);
  });
});

describe("npm run fuzz", () => {
  it("counts, and ends with status 0 where nothing was found", async () => {
    const ran = await command("--target", "hpack", "--runs", "50", "--seed", "7");
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^hpack: seed 7: 50 runs, 0 failures, /u);
  });

  it("shows what failed and how to see it again", async () => {
    const ran = await command("--target", "self-check-throw", "--runs", "20000", "--seed", "1");
    expect(ran.status).toBe(1);
    const again = /again: npm run fuzz -- (.*)/u.exec(ran.stdout)?.[1]?.split(" ") ?? [];
    expect(again.slice(0, 4)).toEqual(["--target", "self-check-throw", "--seed", "1"]);
    const repeated = await command(...again);
    expect(repeated.stdout).toMatch(/1 runs, 1 failures/u);
    expect(repeated.stdout).toMatch(/input: .*"command":"[A-Z]+".* [0-9a-f]+\n/u);
  });

  it("notices a case that never ends", async () => {
    const ran = await command(
      "--target",
      "self-check-hang",
      "--stall-seconds",
      "1",
      "--seed",
      "5",
      "--first",
      "3",
    );
    expect(ran.status).toBe(1);
    expect(ran.stdout).toContain("FAILED self-check-hang, seed 5, case 3: it did not end within 1000 ms");
  });

  it("refuses what it does not know", async () => {
    const ran = await command("--target", "nothing");
    expect([ran.status, ran.stdout]).toEqual([2, ""]);
    expect(ran.stderr).toContain("there is no target nothing; there are agent-reply, hpack,");
    expect((await command("--runs", "x")).stderr).toBe("fuzz: --runs must be a whole number\n");
  });

  it("leaves the self checks out unless they are named", () => {
    for (const { name } of SELF_CHECKS) expect(TARGETS.map((target) => target.name)).not.toContain(name);
  });
});
