import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
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

const LINES = 20_000;

/** A process that logs more than a pipe and the memory for lines hold, tells so, and logs once more a moment later. */
function chatters(): ReturnType<typeof spawn> {
  const program = `
    import { openLog } from ${JSON.stringify(join(import.meta.dirname, "log.ts"))};
    const log = openLog("info");
    for (let nth = 0; nth < ${LINES}; nth++) log.info({ nth }, "x".repeat(40));
    setImmediate(() => process.stdout.write("logged"));
    setTimeout(() => log.info({ nth: ${LINES} }, "last"), 500);`;
  return spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 20_000,
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

  it("goes on where nobody reads, and says what was lost when somebody does again", async () => {
    const child = chatters();
    const { stderr, stdout } = child;
    if (stderr === null || stdout === null) throw new Error("no pipes");
    stderr.pause();
    // A pipe holds 64 KiB; the lines are 20 times as much.
    expect(String((await once(stdout, "data"))[0])).toBe("logged");
    const text: string[] = [];
    stderr.on("data", (chunk) => text.push(String(chunk))).resume();
    const [status] = await once(child, "close");
    const lines = text
      .join("")
      .split("\n")
      .filter((line) => line !== "");
    const said = lines.map((line): { readonly lost?: number; readonly nth?: number } => JSON.parse(line));
    const lost = said.reduce((sum, line) => sum + (line.lost ?? 0), 0);
    const told = said.filter(({ nth }) => nth !== undefined).length;
    expect([status, lost + told, lost > 0]).toEqual([0, LINES + 1, true]);
  });

  it("goes on where the reader has gone", async () => {
    const child = chatters();
    child.stderr?.destroy();
    const [status] = await once(child, "exit");
    expect(status).toBe(0);
  });
});
