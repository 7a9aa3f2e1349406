/**
 * Hostile answers to the built plugin, from a real socket: no signal, no hang, always an end that a runtime understands,
 * and the same one as the core has in this process.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { begin } from "../../cni/core/command.ts";
import { program } from "../harness/programs.ts";
import { askedBy, inputOf } from "./agent-reply.ts";
import { checkEnded, type Asked } from "./invariants.ts";
import { cut, hexOf } from "./mutate.ts";
import { randomOf } from "./random.ts";
import { replyBytes } from "./replies.ts";

const SEED = 20_261_121;
const RUNS = 400;
/** At once, so that answers overlap. */
const LANES = 4;
/** Far above the few milliseconds of a run, for a busy machine; far below the 99 s that an ADD may wait. */
const RUN_MS_MAX = 20_000;

const directory = mkdtempSync(join(tmpdir(), "terway-fuzz-"));
const spoolDirectory = join(directory, "spool");
const servers: Server[] = [];

afterAll(() => {
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

/** Listens on a socket of its own. */
async function listen(name: string, onCall: (socket: Socket) => void): Promise<string> {
  const path = join(directory, name);
  const server = createServer((socket) => {
    // The plugin closes as soon as it knows the end.
    socket.on("error", () => undefined);
    socket.once("data", () => onCall(socket));
    socket.resume();
  });
  servers.push(server);
  server.listen(path);
  await once(server, "listening");
  return path;
}

type Ran = {
  readonly exit: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
};

async function launch(asked: Required<Asked>, socketPath: string): Promise<Ran> {
  const input = inputOf(asked, "");
  const stdin = input.readStdin();
  if (stdin.kind !== "read") throw new Error(stdin.reason);
  const startedMs = performance.now();
  const child = spawn(program("terway"), [], {
    env: { ...input.env, TERWAY_AGENT_SOCKET: socketPath, TERWAY_SPOOL_DIR: spoolDirectory },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin.bytes);
  const closed = new Promise<readonly [number | null, string | null]>((resolve) => {
    child.once("close", (exit, signal) => resolve([exit, signal]));
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [exit, signal] = await closed;
  return { exit, signal, stdout, stderr, tookMs: performance.now() - startedMs };
}

/** What the core says to the whole answer; `undefined` where it waits for more, or asks for the disk. */
function saidByCore(asked: Required<Asked>, socketPath: string, bytes: Uint8Array): string | undefined {
  const input = inputOf(asked, "");
  const start = begin({ ...input, env: { ...input.env, TERWAY_AGENT_SOCKET: socketPath } });
  if (start.kind !== "call") throw new Error(start.stdout);
  const step = start.call.feed(bytes);
  return step.kind === "done" ? step.stdout : undefined;
}

/** One hostile answer; the name of how it ended. */
async function attack(index: number): Promise<string> {
  const random = randomOf(SEED, index);
  const asked = askedBy(random);
  const bytes = replyBytes(random);
  const pieces = cut(random, bytes).slice(0, 2_000);
  const whole = pieces.reduce((sum, { length }) => sum + length, 0);
  const socketPath = await listen(`${index}.sock`, (socket) => {
    for (const piece of pieces) socket.write(piece);
    if (random.oneIn(2)) socket.end();
    else socket.write("", () => socket.destroySoon());
  });
  const shown = `case ${index}: ${JSON.stringify(asked)} ${hexOf(bytes).slice(0, 4_000)}`;
  const ran = await launch(asked, socketPath);
  expect({ signal: ran.signal, exited: ran.exit !== null }, shown).toEqual({ signal: null, exited: true });
  const said = saidByCore(asked, socketPath, bytes.subarray(0, whole));
  if (said !== undefined) expect(ran.stdout, shown).toBe(said);
  return checkEnded({ exit: ran.exit ?? -1, stdout: ran.stdout, stderr: ran.stderr }, asked);
}

describe("dist/bin/terway", () => {
  beforeAll(() => {
    program("terway");
  });

  it(`ends as it should after each of ${RUNS} hostile answers`, async () => {
    const outcomes: Record<string, number> = {};
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < RUNS) {
        const index = next;
        next += 1;
        // oxlint-disable-next-line eslint/no-await-in-loop -- a lane does one after the other
        const name = await attack(index);
        outcomes[name] = (outcomes[name] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    for (const name of ["result", "ok", "kept", "code 11", "code 50", "code 101"]) {
      expect(outcomes[name], `${name} in ${JSON.stringify(outcomes)}`).toBeGreaterThan(0);
    }
    // Each DEL is kept in the same file, and nothing else is left.
    expect(readdirSync(spoolDirectory)).toEqual(["terway@c1@eth0.del"]);
  });

  it("ends at its deadline where the agent takes the call and says nothing, or goes on and on", async () => {
    const asked = { command: "STATUS", cniVersion: "1.1.0" };
    const silent = await listen("silent.sock", () => undefined);
    const ping = Uint8Array.from([0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const drip = await listen("drip.sock", (socket) => {
      socket.write(Uint8Array.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
      const timer = setInterval(() => socket.write(ping), 50);
      socket.on("close", () => clearInterval(timer));
    });
    for (const path of [silent, drip]) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- their time is measured
      const ran = await launch(asked, path);
      expect(checkEnded({ exit: ran.exit ?? -1, stdout: ran.stdout, stderr: ran.stderr }, asked)).toBe(
        "code 50",
      );
      expect(ran.tookMs).toBeGreaterThan(500);
      expect(ran.tookMs).toBeLessThan(5_000);
    }
  });
});
