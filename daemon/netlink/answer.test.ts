import { describe, expect, it } from "vitest";
import { answerAll } from "./answer.ts";
import { type FromThread, type Job, type ToThread } from "./job.ts";

/** Jobs that close file descriptor N and take N milliseconds. */
function answered(orders: readonly { readonly takesMs: number; readonly startByMs: number }[]): {
  readonly posts: FromThread[];
  readonly begun: number[];
} {
  const posts: FromThread[] = [];
  const begun: number[] = [];
  let nowMs = 0;
  const all: ToThread = orders.map(({ takesMs, startByMs }, at) => ({
    id: at + 1,
    startByMs,
    job: { kind: "close", fd: takesMs },
  }));
  answerAll(all, {
    carryOut(job: Job) {
      if (job.kind !== "close") throw new Error(job.kind);
      begun.push(job.fd);
      nowMs += job.fd;
      return { kind: "closed" };
    },
    post: (results) => posts.push(results),
    nowMs: () => nowMs,
  });
  return { posts, begun };
}

const closed = (id: number): FromThread[number] => ({ id, result: { kind: "closed" } });

describe("answerAll()", () => {
  it("answers quick jobs together, in their order", () => {
    const quick = { takesMs: 0, startByMs: 100 };
    expect(answered([quick, quick, quick]).posts).toEqual([[closed(1), closed(2), closed(3)]]);
    expect(answered([]).posts).toEqual([]);
  });

  it("does not let the first wait for the others where these take their time", () => {
    const [quick, slow] = [0, 5].map((takesMs) => ({ takesMs, startByMs: 100 }));
    if (quick === undefined || slow === undefined) throw new Error("two of them");
    expect(answered([quick, slow, quick, slow, quick]).posts).toEqual([
      [closed(1), closed(2)],
      [closed(3), closed(4)],
      [closed(5)],
    ]);
  });

  it("does not begin what is late, for one because of those before it", () => {
    const { posts, begun } = answered([
      { takesMs: 9, startByMs: 0 },
      { takesMs: 8, startByMs: 8 },
      { takesMs: 7, startByMs: 17 },
    ]);
    expect(begun).toEqual([9, 7]);
    expect(posts.flat()).toEqual([closed(1), { id: 2, result: { kind: "expired" } }, closed(3)]);
  });
});
