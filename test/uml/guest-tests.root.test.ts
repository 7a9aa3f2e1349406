/**
 * All `*.uml.test.ts` of the checkout, in one guest. Its kernel lacks what the machine's has, and the other way round.
 *
 * @module
 */
import { describe, expect, it } from "vitest";
import { runInUml, umlObstacle } from "./run-in-uml.ts";

const obstacle = await umlObstacle();

// That it cannot run, and that it must where TEST_REQUIRE says so, is told by uml.root.test.ts.
describe.runIf(obstacle === undefined)("vitest run --project uml", () => {
  it("passes in the guest", { timeout: 300_000 }, async () => {
    const ran = await runInUml({
      command: ["vitest", "run", "--project", "uml", "--reporter", "verbose"],
      timeoutMs: 290_000,
      memoryMib: 2048,
    });
    expect(ran.end, ran.stdout + ran.stderr).toEqual({ kind: "exited", status: 0 });
  });
});
