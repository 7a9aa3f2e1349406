/**
 * The static executable `terway`: cni/quickjs bundled, compiled to bytecode and linked with the engine and its host. That is
 * the maker: it loads the program and writes the memory that this has filled, the image. Linked once more with the image
 * in the bytecode's place it is the plugin, which begins where the maker has stopped.
 *
 * Steps are keyed by the checksum of all that goes into them and kept in `.cache/quickjs`, so nothing is made twice.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { crashed } from "../../cni/core/command.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import { allOf, runCommand } from "./command.ts";
import { readElf } from "./elf.ts";
import { engineChecksum, unpackEngine } from "./source.ts";
import { compilerFor, nativeCompiler, type Compiler, type Target } from "./toolchain.ts";

const HERE = import.meta.dirname;
const ROOT = dirname(dirname(HERE));
const CACHE = join(ROOT, ".cache/quickjs");

const ENGINE_FILES = ["quickjs", "libregexp", "libunicode", "dtoa"];
const HOST_SOURCES = ["host.c", "memory.c", "system.c", "image.S"];
const HOST_HEADERS = ["memory.h", "system.h"];

/** As the engine's own build has them: signed overflow wraps, char is unsigned. */
const DIALECT = ["-std=gnu11", "-D_GNU_SOURCE", "-fwrapv", "-funsigned-char"];
const CODE = [
  "-DNDEBUG",
  // A twentieth smaller, and no slower.
  ...["functions", "labels", "jumps", "loops"].map((what) => `-fno-align-${what}`),
  "-fno-pie",
  "-fno-asynchronous-unwind-tables",
  "-fstack-protector-strong",
  "-ffunction-sections",
  "-fdata-sections",
];
/** Without its parser the engine cannot turn text into code: eval() and Function() throw. */
const NO_EVALUATION = "-DQJS_DISABLE_PARSER";
/** The compiler that runs once for each build needs no speed. */
const HASTY = ["-O0", "-DNDEBUG"];
const STRICT = [
  "-std=c11",
  "-D_GNU_SOURCE",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fno-pie",
  "-fno-asynchronous-unwind-tables",
  "-fstack-protector-strong",
];
const LINK = ["-static", "-no-pie", "-s", "-Wl,--gc-sections,-z,noexecstack,-z,relro,-z,now"];

/** Of the section of image.S: far from all others, below 2 GiB. */
const HEAP_ADDRESS = 0x40_00_00_00;
const PLACE = `-Wl,--section-start=.heap=0x${HEAP_ADDRESS.toString(16)}`;
/** PT_LOAD of <elf.h>. */
const LOADED = 1;

/** What is run when the program's own words cannot be had; the same words as under Node, `crashed()`. */
const LAST = crashed("the plugin ran out of memory, or crashed");

/** Paths of what a program is linked from. */
type Engine = {
  readonly key: string;
  /** Objects for the target, and the engine's header. */
  readonly directory: string;
  /** The program that makes bytecode, for this machine. */
  readonly compile: string;
};

/**
 * Makes the executable from the TypeScript program `entry` (a path from the root) and returns its path, or one line on why
 * it cannot be made on this machine. `say` is told of what takes long.
 */
export async function buildExecutable(
  target: Target,
  entry: string,
  say: (text: string) => void,
): Promise<Result<string, string>> {
  const bundled = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    platform: "neutral",
    legalComments: "none",
    logLevel: "warning",
  });
  const program = bundled.outputFiles[0]?.text ?? "";
  const compiler = await compilerFor(target, CACHE);
  if (!compiler.ok) return compiler;
  const engine = await makeEngine(compiler.value, say);
  return engine.ok ? await link(engine.value, compiler.value, program) : engine;
}

async function makeEngine(compiler: Compiler, say: (text: string) => void): Promise<Result<Engine, string>> {
  const native = await nativeCompiler();
  if (!native.ok) return native;
  const compileSource = join(HERE, "compile.c");
  const key = keyOf([
    await engineChecksum(),
    await readFile(compileSource),
    JSON.stringify([compiler, native.value, DIALECT, CODE, NO_EVALUATION, HASTY, ENGINE_FILES]),
  ]);
  const directory = join(CACHE, `engine-${key}`);
  const engine = { key, directory, compile: join(directory, "compile") };
  const made = await once(directory, async (work) => {
    say(`building the JavaScript engine of the plugin (${compiler.version}): once, about 30 s`);
    const unpacked = await unpackEngine(CACHE, work);
    if (!unpacked.ok) return unpacked;
    const objects = ENGINE_FILES.map((name) => {
      const args = [
        ...compiler.flags,
        "-w",
        ...DIALECT,
        speedOf(name, compiler),
        ...CODE,
        NO_EVALUATION,
        "-c",
        `${name}.c`,
      ];
      return runCommand(compiler.command, [...args, "-o", `${name}.o`], work);
    });
    const sources = [compileSource, ...ENGINE_FILES.map((name) => `${name}.c`)];
    const args = [...native.value.flags, "-w", ...DIALECT, ...HASTY, "-I.", ...sources];
    const compile = runCommand(native.value.command, [...args, "-static", "-lm", "-o", "compile"], work);
    return allOf(await Promise.all([compile, ...objects]));
  });
  return made.ok ? ok(engine) : made;
}

/** Only the interpreter itself is worth its size. */
function speedOf(file: string, compiler: Compiler): string {
  return file === "quickjs" ? compiler.speed : "-Os";
}

async function link(engine: Engine, compiler: Compiler, program: string): Promise<Result<string, string>> {
  const words = [
    `-DPAGE_BYTES=${compiler.pageBytes}`,
    `-DLAST_STDOUT=${JSON.stringify(LAST.stdout)}`,
    `-DLAST_STDERR=${JSON.stringify(LAST.stderr)}`,
  ];
  const files = await Promise.all(
    [...HOST_SOURCES, ...HOST_HEADERS].map((name) => readFile(join(HERE, name))),
  );
  const key = keyOf([engine.key, program, ...files, JSON.stringify([STRICT, LINK, PLACE, words])]);
  const directory = join(CACHE, `program-${key}`);
  const made = await once(directory, async (work) => {
    await writeFile(join(work, "program.js"), program);
    const compiled = await runCommand(engine.compile, ["program.js", "program.bytecode"], work);
    if (!compiled.ok) return compiled;
    const linkTo = (output: string, flags: readonly string[]): Promise<Result<string, string>> => {
      const parts = [
        ...HOST_SOURCES.map((name) => join(HERE, name)),
        ...ENGINE_FILES.map((name) => join(engine.directory, `${name}.o`)),
      ];
      const host = [
        ...compiler.flags,
        ...STRICT,
        compiler.speed,
        ...words,
        ...flags,
        "-Wa,-I.",
        "-isystem",
        engine.directory,
      ];
      return runCommand(
        compiler.command,
        [...host, ...parts, "-lm", ...LINK, ...compiler.linkFlags, PLACE, "-o", output],
        work,
      );
    };
    const maker = await linkTo("maker", []);
    if (!maker.ok) return maker;
    const run = `${compiler.emulator ?? ""} ./maker <program.bytecode >heap.image`;
    const image = await runCommand("sh", ["-c", run], work);
    if (!image.ok) return image;
    const plugin = await linkTo("terway", ["-DWITH_IMAGE"]);
    if (!plugin.ok) return plugin;
    return await checkPlaces(join(work, "maker"), join(work, "terway"));
  });
  return made.ok ? ok(join(directory, "terway")) : made;
}

/** The image has addresses in it: code and constants must be where they were when it was made, to the byte. */
async function checkPlaces(maker: string, plugin: string): Promise<Result<void, string>> {
  const [made, final] = await Promise.all(
    [maker, plugin].map(async (path) => {
      const { segments } = readElf(await readFile(path));
      return segments.filter(({ type, address }) => type === LOADED && address < HEAP_ADDRESS);
    }),
  );
  const same = made?.every((segment, index) => {
    const other = final?.[index];
    return segment.address === other?.address && Buffer.compare(segment.bytes, other.bytes) === 0;
  });
  return same === true ? ok(undefined) : failed("the linker has moved code");
}

function keyOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(createHash("sha256").update(part).digest());
  return hash.digest("hex").slice(0, 16);
}

/** Makes `directory` by `make` unless it is there: whole or not at all, also when two builds run at once. */
async function once(
  directory: string,
  make: (work: string) => Promise<Result<unknown, string>>,
): Promise<Result<void, string>> {
  if ((await stat(directory).catch(() => undefined)) !== undefined) return ok(undefined);
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(join(CACHE, "work-"));
  try {
    const made = await make(work);
    if (!made.ok) return failed(made.fault);
    await rename(work, directory).catch(async (error: unknown) => {
      if ((await stat(directory).catch(() => undefined)) === undefined) throw error;
    });
    return ok(undefined);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
