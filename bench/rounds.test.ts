import { describe, expect, it } from "vitest";
import { type Contender } from "./contender.ts";
import { measureRounds, rotated } from "./rounds.ts";

function contender(name: string): Contender {
  return {
    name,
    program: (verb, { id }) => ({ netns: "", stdinPath: "", argv: [name, verb, id], env: {} }),
    exec: () => Promise.reject(new Error("not used")),
  };
}

function spawnedUntil(endedUs: number): object {
  return { startedUs: 0, endedUs, status: 0, peakKb: 7 };
}

describe("measureRounds()", () => {
  it("runs each in turn, counts what follows the warm-up, and gives everyone their own", async () => {
    const ran: string[] = [];
    const run = {
      name: "tw",
      quick: true,
      signal: new AbortController().signal,
      progress: () => undefined,
    };
    const measured = await measureRounds(run, {
      spawner: {
        atOnce: () => Promise.reject(new Error("not used")),
        inTurn: (programs, pauseMs) => {
          const texts = programs.map(({ argv }) => argv.join(" "));
          ran.push(...texts);
          const spawned = texts.map((text) => ({
            startedUs: 0,
            endedUs: ran.indexOf(text),
            status: 0,
            peakKb: pauseMs,
          }));
          return Promise.resolve(spawned);
        },
      },
      contenders: [contender("a"), contender("b")],
      verbs: ["ADD", "DEL"],
      rounds: 1,
      warmUp: 1,
      pauseMs: 7,
      containerOf: (round, index) => ({ id: `${round}${index}`, netns: "" }),
    });
    expect(ran).toEqual([
      "a ADD 00",
      "b ADD 01",
      "a DEL 00",
      "b DEL 01",
      "b ADD 11",
      "a ADD 10",
      "b DEL 11",
      "a DEL 10",
    ]);
    expect(measured.map(({ contender: { name }, ADD, DEL }) => ({ name, ADD, DEL }))).toEqual([
      { name: "a", ADD: [spawnedUntil(5)], DEL: [spawnedUntil(7)] },
      { name: "b", ADD: [spawnedUntil(4)], DEL: [spawnedUntil(6)] },
    ]);
  });
});

describe("rotated()", () => {
  it("begins with another one each time", () => {
    expect([0, 1, 2, 3].map((by) => rotated([1, 2, 3], by).join(""))).toEqual(["123", "231", "312", "123"]);
    expect(rotated([], 4)).toEqual([]);
  });
});
