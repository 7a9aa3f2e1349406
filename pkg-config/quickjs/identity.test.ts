/**
 * The executable and the plugin under Node answer byte for byte alike.
 *
 * @module
 */
import { build } from "esbuild";
import * as fc from "fast-check";
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeFrame, FRAME } from "../../cni/core/http2-frames.ts";
import { SPOOL_FILES_MAX } from "../../proto/spool.ts";
import { buildExecutable } from "./executable.ts";
import { COMMANDS, config, given, withAgent, withoutAgent } from "./identity-table.ts";
import { runProgram, type Answer, type Given } from "./run-plugin.ts";
import {
  addReply,
  answer,
  faultTrailer,
  HTTP_1_ANSWER,
  openScriptedAgent,
  refusal,
  type Script,
} from "./scripted-agent.ts";

const directory = mkdtempSync(join(tmpdir(), "terway-identity-"));
const paths = { socket: join(directory, "agent.sock"), spool: join(directory, "spool") };
const NETNS = "/run/netns/pod";
let executable: readonly string[];
const underNode = [process.execPath, join(directory, "terway.mjs")];

beforeAll(async () => {
  const target = process.arch === "arm64" ? "arm64" : "x64";
  const built = await buildExecutable(target, "cni/quickjs/main.ts", () => undefined);
  if (!built.ok) throw new Error(`${built.fault}; pkg-config/setup.sh plugin installs what is missing`);
  executable = [built.value];
  await build({
    entryPoints: [fileURLToPath(new URL("../../cni/main.ts", import.meta.url))],
    outfile: underNode[1] ?? "",
    bundle: true,
    platform: "node",
    format: "esm",
  });
}, 300_000);

afterAll(() => rmSync(directory, { recursive: true }));

type Outcome = { readonly answer: Answer; readonly spooled: Readonly<Record<string, string>> };

/** One run, and what it has left in the spool, which is emptied. */
async function run(program: readonly string[], input: Given): Promise<Outcome> {
  const result = await runProgram(program, input);
  const spooled: Record<string, string> = {};
  try {
    for (const name of readdirSync(paths.spool)) {
      spooled[name] = readFileSync(join(paths.spool, name), "latin1");
      rmSync(join(paths.spool, name));
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  return { answer: result, spooled };
}

/** Runs both, and returns what both have answered. */
async function expectSame(input: Given, title: string): Promise<Outcome> {
  const [one, other] = [await run(executable, input), await run(underNode, input)];
  expect(one, title).toEqual(other);
  const { exit, stdout, stderr } = one.answer;
  expect([0, 1], title).toContain(exit);
  if (exit === 1) {
    expect(JSON.parse(stdout), title).toMatchObject({
      cniVersion: expect.any(String),
      code: expect.any(Number),
    });
    expect(stderr.endsWith("\n") && stderr.indexOf("\n") === stderr.length - 1, title).toBe(true);
  }
  return one;
}

describe("terway and terway-node", () => {
  it("answer alike without an agent", { timeout: 120_000 }, async () => {
    const table = withoutAgent();
    expect(table.size).toBeGreaterThan(80);
    const exits = new Set<number | null>();
    for (const [title, input] of table) {
      const { answer: said } = await expectSame(input, title);
      exits.add(said.exit);
      expect(said.stdout, title).not.toContain('"code":999');
    }
    expect(exits).toEqual(new Set([0, 1]));
  });

  it("answer alike where the agent serves", { timeout: 60_000 }, async () => {
    await using agent = await openScriptedAgent(paths.socket, () => say(answer(addReply(NETNS, 2))));
    expect(agent).toBeDefined();
    for (const [title, input] of withAgent(paths)) await expectSame(input, title);
  });

  it("answer alike to what an agent may say", { timeout: 60_000 }, async () => {
    let script: Script = { kind: "silent" };
    await using agent = await openScriptedAgent(paths.socket, () => script);
    expect(agent).toBeDefined();
    const goAway = encodeFrame(FRAME.goAway, 0, 0, new Uint8Array(8).fill(1));
    const reset = encodeFrame(FRAME.rstStream, 0, 1, Uint8Array.of(0, 0, 0, 8));
    const settings = answer(new Uint8Array(0)).subarray(0, 9);
    const replies: readonly (readonly [string, Uint8Array])[] = [
      ["many routes", answer(addReply(NETNS, 20_000))],
      ["no result", answer(new Uint8Array(0))],
      ["no protobuf", answer(Uint8Array.of(0xff, 0xff, 0xff))],
      ["another namespace", answer(addReply("/elsewhere", 1))],
      ["HTTP/1.1", HTTP_1_ANSWER],
      ["nothing", new Uint8Array(0)],
      ["only settings", settings],
      ["GOAWAY", Buffer.concat([settings, goAway])],
      ["RST_STREAM", Buffer.concat([settings, reset])],
      ["a frame that is too long", Uint8Array.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1)],
      ["HTTP 404", refusal({ ":status": "404" })],
      ["a bad status", refusal({ "grpc-status": "x" })],
      ...Array.from({ length: 18 }, (_, code) => status(code)),
    ];
    for (const [title, bytes] of replies) {
      script = say(bytes);
      for (const command of ["ADD", "DEL", "STATUS"]) {
        await expectSame(given(command, config(paths)), `${command}: ${title}`);
      }
    }
  });

  it("decode any bytes alike", { timeout: 60_000 }, async () => {
    let script: Script = { kind: "silent" };
    await using agent = await openScriptedAgent(paths.socket, () => script);
    expect(agent).toBeDefined();
    // Bytes that begin, continue and end characters, so that most of the texts are nearly right.
    const byte = fc.oneof(
      fc.constantFrom(
        0x41,
        0x80,
        0x8f,
        0x90,
        0x9f,
        0xa0,
        0xbf,
        0xc2,
        0xe0,
        0xe2,
        0xed,
        0xef,
        0xf0,
        0xf4,
        0xf5,
      ),
      fc.nat(255),
    );
    const text = fc.array(byte, { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(text, async (message) => {
        const fault = faultTrailer(11, Uint8Array.from(message));
        script = say(refusal({ "grpc-status": "14", "terway-fault-bin": fault }));
        await expectSame(given("ADD", config(paths)), JSON.stringify(message));
      }),
      { numRuns: 60 },
    );
  });

  it("wait for a silent agent until the deadline, and keep a DEL", { timeout: 30_000 }, async () => {
    await using agent = await openScriptedAgent(paths.socket, () => ({ kind: "silent" }));
    expect(agent).toBeDefined();
    const started = performance.now();
    const both = (command: string): Promise<readonly Outcome[]> =>
      Promise.all([executable, underNode].map((program) => run(program, given(command, config(paths)))));
    const [one, other] = await both("STATUS");
    expect(one).toEqual(other);
    expect(JSON.parse(one?.answer.stdout ?? "")).toMatchObject({ code: 50 });
    expect(performance.now() - started).toBeGreaterThan(750);
    const [kept, keptToo] = await both("DEL");
    expect(kept?.answer).toEqual(keptToo?.answer);
    expect({ ...kept?.spooled, ...keptToo?.spooled }).toEqual({
      "terway@c1@eth0.del": expect.stringContaining('"containerId":"c1"'),
    });
  });

  it("answer alike where there is no agent, or no room for a DEL", { timeout: 60_000 }, async () => {
    const file = join(directory, "file");
    writeFileSync(file, "");
    const foreign = join(directory, "foreign");
    mkdirSync(foreign);
    // Only root can give a file away.
    if (process.geteuid?.() === 0) chownSync(foreign, 12_345, 12_345);
    const missing = join(directory, "missing");
    for (const socket of [missing, file, directory, join(file, "below"), "/proc/self/mem", foreign]) {
      for (const command of COMMANDS) {
        await expectSame(given(command, config({ ...paths, socket })), `${command} ${socket}`);
      }
    }
    for (const spool of [
      file,
      join(file, "below"),
      foreign,
      "/proc/self/fd",
      "/tmp",
      join(directory, "a/b/c"),
    ]) {
      const title = `spool ${spool}`;
      const { answer: said } = await expectSame(given("DEL", config({ socket: file, spool })), title);
      expect(said.exit, title).toBe(
        spool.endsWith("a/b/c") || (spool === foreign && process.geteuid?.() !== 0) ? 0 : 1,
      );
    }
    const full = join(directory, "full");
    mkdirSync(full, { mode: 0o700 });
    for (let index = 0; index < SPOOL_FILES_MAX; index += 1) writeFileSync(join(full, `${index}`), "");
    const input = given("DEL", config({ socket: file, spool: full }));
    const { answer: refused } = await expectSame(input, "full");
    expect(refused.stdout).toContain(`${SPOOL_FILES_MAX} files are in it already`);
    renameSync(join(full, "0"), join(full, "terway@c1@eth0.del"));
    expect((await expectSame(input, "full, and the DEL in it")).answer.exit).toBe(0);
    expect(readdirSync(full)).toHaveLength(SPOOL_FILES_MAX);
  });
});

function say(bytes: Uint8Array): Script {
  return { kind: "say", bytes, thenClose: true };
}

function status(code: number): readonly [string, Uint8Array] {
  const fields = { "grpc-status": `${code}`, "grpc-message": "n%C3%B6: %ff%E6 100%" };
  return [`status ${code}`, refusal(code % 2 === 0 ? fields : { ...fields, "terway-fault-bin": "ECoa" })];
}
