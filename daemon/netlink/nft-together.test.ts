import { describe, expect, it } from "vitest";
import { failed, ok, type Result } from "../../proto/result.ts";
import { openNftTogether } from "./nft-together.ts";

const REFUSED: Result<void> = failed({ kind: "kernel", op: "nft", errno: "EINVAL" });

/** Refuses what has "bad" in it, as a transaction does. */
function recorded() {
  const ran: string[] = [];
  const run = openNftTogether(async (text) => {
    ran.push(text);
    return text.includes("bad") ? REFUSED : ok(undefined);
  });
  return { ran, run };
}

describe("openNftTogether()", () => {
  it("runs what comes in one turn at once, and the next turn's after", async () => {
    const { ran, run } = recorded();
    expect(await Promise.all([run("a"), run("b"), run("c")])).toEqual([
      ok(undefined),
      ok(undefined),
      ok(undefined),
    ]);
    expect(await run("d")).toEqual(ok(undefined));
    expect(ran).toEqual(["a\nb\nc", "d"]);
  });

  it("gives each its own outcome where one is refused", async () => {
    const { ran, run } = recorded();
    expect(await Promise.all([run("a"), run("bad"), run("c")])).toEqual([
      ok(undefined),
      REFUSED,
      ok(undefined),
    ]);
    expect(ran).toEqual(["a\nbad\nc", "a", "bad", "c"]);
  });

  it("does not run a single one twice", async () => {
    const { ran, run } = recorded();
    expect(await run("bad")).toEqual(REFUSED);
    expect(ran).toEqual(["bad"]);
  });
});
