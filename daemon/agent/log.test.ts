import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/** A process of its own that logs two lines and ends by `statement` in the same turn: its status and messages. */
async function logsAndEnds(statement: string): Promise<readonly [status: unknown, messages: unknown]> {
  const program = `
    import { openLog } from ${JSON.stringify(join(import.meta.dirname, "log.ts"))};
    const log = openLog("info");
    log.info("first");
    log.warn("last");
    ${statement}`;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--input-type=module", "--eval", program],
      { timeout: 20_000 },
      (error, _, stderr) => {
        const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
        const messages = lines.map((line): unknown => JSON.parse(line).msg);
        resolve([error === null ? 0 : error.code, messages]);
      },
    );
  });
}

describe("openLog()", () => {
  it("has written every line where the process ends in the turn that logged them", async () => {
    const ends = ["", "process.exit(3);", 'throw new Error("nobody catches it");'];
    expect(await Promise.all(ends.map(logsAndEnds))).toEqual([
      [0, ["first", "last"]],
      [3, ["first", "last"]],
      [1, ["first", "last"]],
    ]);
  });
});
