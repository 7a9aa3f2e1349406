import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type LogSink, openSink } from "./log-sink.ts";

/** What the descriptor does with the next write: takes so many bytes, or refuses with this code. */
type Answer = number | "EAGAIN" | "EPIPE";

let answers: Answer[];
let written: number[];
let delays: number[];
let runs: (() => void)[];
let paused: number;
let sink: LogSink;

function refusal(code: string): Error {
  return Object.assign(new Error(code), { code });
}

beforeEach(() => {
  [answers, written, delays, runs, paused] = [[], [], [], [], 0];
  sink = openSink({
    writeBytes(bytes) {
      const answer = answers.shift() ?? bytes.length;
      if (typeof answer === "string") throw refusal(answer);
      written.push(...bytes.subarray(0, answer));
      return Math.min(answer, bytes.length);
    },
    later(run, inMs) {
      delays.push(inMs);
      runs.push(run);
    },
    pause(ms) {
      paused += ms;
    },
    waitingMax: 100,
  });
});

function text(): string {
  return new TextDecoder().decode(Uint8Array.from(written));
}

function turn(): void {
  for (const run of runs.splice(0)) run();
}

function loss(count: number): string {
  return `{"level":"warn","lost":${count},"msg":"lines of the log were lost: nobody took them"}\n`;
}

describe("openSink()", () => {
  it("writes the lines of a turn together", () => {
    sink.write("one\n");
    sink.write("two\n");
    expect([text(), delays]).toEqual(["", [0]]);
    turn();
    expect(text()).toBe("one\ntwo\n");
  });

  it("keeps what a full pipe does not take, and tries again", () => {
    answers = [2, "EAGAIN", "EAGAIN"];
    sink.write("one\n");
    turn();
    sink.write("two\n");
    expect([text(), delays]).toEqual(["on", [0, 100]]);
    turn();
    expect([text(), delays]).toEqual(["on", [0, 100, 100]]);
    turn();
    expect(text()).toBe("one\ntwo\n");
  });

  it("loses what is too much to wait, and says so", () => {
    answers = ["EAGAIN"];
    for (let nth = 0; nth < 30; nth++) sink.write("123456789\n");
    turn();
    turn();
    sink.write("after\n");
    turn();
    expect(text()).toBe(`${"123456789\n".repeat(10)}${loss(20)}after\n`);
  });

  it("goes on where nobody reads", () => {
    answers = ["EPIPE", "EPIPE"];
    sink.write("one\n");
    sink.write("two\n");
    turn();
    sink.write("three\n");
    turn();
    sink.write("four\n");
    turn();
    // The word about the first two was lost with the third.
    expect(text()).toBe(`${loss(2)}four\n`);
  });

  it("has some patience in the end, and no more", () => {
    answers = Array.from({ length: 3 }, () => "EAGAIN");
    sink.write("one\n");
    sink.end();
    expect([text(), paused]).toEqual(["one\n", 30]);
    answers = Array.from({ length: 1000 }, () => "EAGAIN");
    sink.write("two\n");
    sink.end();
    expect([text(), paused]).toEqual(["one\n", 530]);
  });

  it("never tears a line, whatever the descriptor does", () => {
    const answer = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant<Answer>("EAGAIN"));
    const step = fc.oneof(
      fc.record({ line: fc.string({ maxLength: 30 }) }),
      fc.record({ answers: fc.array(answer, { maxLength: 4 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        [answers, written, runs] = [[], [], []];
        const fresh = openSink({
          writeBytes(bytes) {
            const next = answers.shift() ?? bytes.length;
            if (typeof next === "string") throw refusal(next);
            const taken = Math.min(next, bytes.length);
            written.push(...bytes.subarray(0, taken));
            return taken;
          },
          later: (run) => runs.push(run),
          pause: () => undefined,
          waitingMax: 10_000,
        });
        const all: string[] = [];
        for (const each of steps) {
          if ("line" in each) {
            const line = `${JSON.stringify(each.line)}\n`;
            all.push(line);
            fresh.write(line);
          } else {
            answers = [...each.answers];
            turn();
          }
        }
        answers = [];
        fresh.end();
        expect(text()).toBe(all.join(""));
      }),
    );
  });
});
