import { describe, expect, it } from "vitest";
import { type BenchRun } from "../run.ts";
import { type Sending } from "./sender.ts";
import { measureInTurn, type Path, rateRow, type Trial } from "./turns.ts";

const RUN: BenchRun = {
  name: "bench",
  quick: true,
  signal: new AbortController().signal,
  progress: () => undefined,
};
const [OURS, THEIRS]: readonly Path[] = ["ours", "theirs"].map((name) => ({
  name,
  near: { netns: `${name}-near`, address: "10.0.0.1" },
  far: { netns: `${name}-far`, address: "10.0.0.2" },
}));
if (OURS === undefined || THEIRS === undefined) throw new Error("two paths");

function trial(changes: Partial<Trial>): Trial {
  return { row: "row", traffic: "udp", direction: "out", count: 7, ...changes };
}

describe("measureInTurn()", () => {
  it("sends over all paths in each round, beginning with another one each time", async () => {
    const sent: Sending[] = [];
    const sender = async (sending: Sending): Promise<number> => sent.push(sending);
    const trials = [trial({}), trial({ direction: "in", traffic: "echo" })];
    const measured = await measureInTurn(RUN, sender, [OURS, THEIRS], trials, 2);
    expect(sent.map(({ from, to, address }) => `${from} ${to} ${address}`)).toEqual([
      "ours-near ours-far 10.0.0.2",
      "theirs-near theirs-far 10.0.0.2",
      "ours-far ours-near 10.0.0.1",
      "theirs-far theirs-near 10.0.0.1",
      "theirs-near theirs-far 10.0.0.2",
      "ours-near ours-far 10.0.0.2",
      "theirs-far theirs-near 10.0.0.1",
      "ours-far ours-near 10.0.0.1",
    ]);
    expect(measured.map(({ costs }) => costs.map(({ ns }) => ns))).toEqual([
      [
        [1, 6],
        [2, 5],
      ],
      [
        [3, 8],
        [4, 7],
      ],
    ]);
  });

  it("ends with the run", async () => {
    const run = { ...RUN, signal: AbortSignal.abort() };
    await expect(measureInTurn(run, async () => 1, [OURS], [trial({})], 1)).rejects.toThrow("abort");
  });
});

describe("rateRow()", () => {
  it("makes rates of one core of processor time", () => {
    const costs = [
      { path: OURS, ns: [1000, 2000] },
      { path: { ...THEIRS, atLeast: 0.9 }, ns: [4000, 500] },
    ];
    expect(rateRow(trial({}), costs)).toEqual({
      kind: "comparison",
      row: "row",
      unit: "packets/s",
      paired: true,
      contenders: [
        { name: "ours", samples: [1_000_000, 500_000] },
        { name: "theirs", samples: [250_000, 2_000_000], atLeast: 0.9 },
      ],
    });
    // 1 MB in 0.8 ms is 10 Gbit/s.
    expect(rateRow(trial({ traffic: "stream" }), [{ path: OURS, ns: [800_000] }])).toMatchObject({
      unit: "Gbit/s",
      contenders: [{ samples: [10] }],
    });
  });
});
