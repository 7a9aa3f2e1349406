/**
 * What kind of file the executable is, and that its process keeps its bounds: programs of the test's own run in the same host.
 *
 * @module
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readElf } from "./elf.ts";
import { buildExecutable } from "./executable.ts";
import { given, withAgent } from "./identity-table.ts";
import { runProgram, type Answer } from "./run-plugin.ts";
import { addReply, answer, openScriptedAgent } from "./scripted-agent.ts";

const ENTRY = "cni/quickjs/main.ts";
const TARGET = process.arch === "arm64" ? "arm64" : "x64";
const SIZE_MAX = 1_000_000;
const directory = mkdtempSync(join(tmpdir(), "terway-executable-"));

beforeAll(async () => {
  await built(TARGET, ENTRY);
}, 300_000);

afterAll(() => rmSync(directory, { recursive: true }));

async function built(target: "x64" | "arm64", entry: string): Promise<string> {
  const made = await buildExecutable(target, entry, () => undefined);
  if (!made.ok) throw new Error(`${made.fault}; pkg-config/setup.sh plugin installs what is missing`);
  return made.value;
}

/** Runs `source` as the program of the host. */
async function runSource(name: string, source: string, prefix: readonly string[] = []): Promise<Answer> {
  const entry = join(directory, `${name}.js`);
  writeFileSync(entry, source);
  return await runProgram([...prefix, await built(TARGET, entry)], { env: {}, stdin: "" });
}

function expectHardened(path: string, machine: number): void {
  const elf = readElf(readFileSync(path));
  const [EXECUTABLE, DYNAMIC, INTERPRETER] = [2, 2, 3];
  const [STACK, RELRO, X, W] = [0x64_74_e5_51, 0x64_74_e5_52, 1, 2];
  const types = elf.segments.map(({ type }) => type);
  expect({ type: elf.type, machine: elf.machine }).toEqual({ type: EXECUTABLE, machine });
  expect(types).toEqual(expect.arrayContaining([STACK, RELRO]));
  expect(types).not.toContain(DYNAMIC);
  expect(types).not.toContain(INTERPRETER);
  for (const { type, flags } of elf.segments) {
    expect(flags & (X | W), `segment ${type}`).not.toBe(X | W);
    if (type === STACK) expect(flags & X).toBe(0);
  }
  expect(statSync(path).size).toBeLessThanOrEqual(SIZE_MAX);
}

const MACHINE = { x64: 62, arm64: 183 };

describe("buildExecutable()", () => {
  it("makes a static file of at most 1 MB in which nothing is both writable and executable", async () => {
    expectHardened(await built(TARGET, ENTRY), MACHINE[TARGET]);
  });

  it("makes nothing twice", async () => {
    const said: string[] = [];
    const before = statSync(await built(TARGET, ENTRY));
    const again = await buildExecutable(TARGET, ENTRY, (text) => said.push(text));
    expect(again.ok && statSync(again.value)).toEqual(before);
    expect(said).toEqual([]);
  });

  it("says what is missing where there is no compiler", async () => {
    const path = process.env["PATH"];
    try {
      process.env["PATH"] = directory;
      expect(await buildExecutable(TARGET, ENTRY, () => undefined)).toEqual({
        ok: false,
        fault: "musl-gcc is missing",
      });
    } finally {
      process.env["PATH"] = path;
    }
  });

  it("says what is wrong with a program", async () => {
    const entry = join(directory, "regexp.js");
    writeFileSync(entry, "host.start = () => host.end(0, String(/a+/.test('aa')), '')");
    const made = await buildExecutable(TARGET, entry, () => undefined);
    expect(made.ok ? made.value : made.fault).toContain("SyntaxError");
    writeFileSync(entry, "host.missing()");
    const loaded = await buildExecutable(TARGET, entry, () => undefined);
    expect(loaded.ok ? loaded.value : loaded.fault).toContain("the program cannot be loaded: TypeError");
  });

  const qemu = "/usr/bin/qemu-aarch64-static";
  const cross = "/usr/bin/aarch64-linux-gnu-gcc";
  const library = new URL("../../.cache/quickjs/musl-arm64", import.meta.url);
  it.runIf(existsSync(qemu) && existsSync(cross) && existsSync(library))(
    "makes one for arm64 that answers as ours does",
    { timeout: 300_000 },
    async () => {
      const [here, there] = [await built(TARGET, ENTRY), await built("arm64", ENTRY)];
      expectHardened(there, MACHINE.arm64);
      const paths = { socket: join(directory, "agent.sock"), spool: join(directory, "spool") };
      const reply = answer(addReply("/run/netns/pod", 3));
      const script = { kind: "say", bytes: reply, thenClose: true } as const;
      await using agent = await openScriptedAgent(paths.socket, () => script);
      expect(agent).toBeDefined();
      const table = [
        ...withAgent(paths).values(),
        given("ADD", "[".repeat(10)),
        given("ADD", Buffer.from([0xff])),
      ];
      for (const input of table) {
        expect(await runProgram([qemu, there], input)).toEqual(await runProgram([here], input));
      }
    },
  );
});

describe("the host", () => {
  const LAST = {
    exit: 1,
    stdout:
      '{"cniVersion":"1.1.0","code":999,"msg":"internal error: the plugin ran out of memory, or crashed",' +
      '"details":"report it with the agent\'s log"}\n',
    stderr:
      "terway: internal error: the plugin ran out of memory, or crashed; report it with the agent's log\n",
  };

  it("turns no text into code", async () => {
    const source = `
      const found = [];
      for (const attempt of [
        () => Function("return 1")(),
        () => (() => 0).constructor("return 1")(),
        () => (function* () {}).constructor("yield 1")().next().value,
        () => (0, eval)("1"),
        () => globalThis["ev" + "al"]("1"),
      ]) {
        try { found.push("ran: " + attempt()); } catch (error) { found.push(error.name); }
      }
      found.push(typeof RegExp, typeof Promise, typeof setTimeout, typeof std, typeof os);
      host.start = () => host.end(0, found.join(" "), "");`;
    const { stdout } = await runSource("evaluate", source);
    expect(stdout).not.toContain("ran:");
    expect(stdout.split(" ").slice(5)).toEqual(Array.from({ length: 5 }, () => "undefined"));
  });

  it("gives a program no more than 64 MB", async () => {
    const source = `
      const kept = [];
      host.start = () => {
        try { for (;;) kept.push(new Uint8Array(1_000_000)); } catch { host.end(0, String(kept.length), ""); }
      };`;
    const { exit, stdout } = await runSource("memory", source);
    expect(exit).toBe(0);
    expect(Number(stdout)).toBeGreaterThan(40);
    expect(Number(stdout)).toBeLessThan(68);
  });

  it("has last words for a program that cannot go on", async () => {
    const endless = "const descend = (depth) => descend(depth + 1) + 1; host.start = () => descend(0);";
    const hoard = "const kept = []; host.start = () => { for (;;) kept.push([kept.length]); };";
    expect(await runSource("throw", 'host.start = () => { throw new Error("x"); };')).toEqual(LAST);
    expect(await runSource("nothing", "")).toEqual(LAST);
    expect(await runSource("hoard", hoard)).toEqual(LAST);
    expect(await runSource("descend", endless)).toEqual(LAST);
    // Less stack than the engine counts on: the kernel ends what the engine would have noticed.
    const shell = ["/bin/sh", "-c", 'ulimit -s 200; exec "$0"'];
    expect(await runSource("descend", endless, shell)).toEqual(LAST);
  });
});
