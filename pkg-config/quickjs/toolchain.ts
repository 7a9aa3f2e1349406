/**
 * C compilers with musl, whose static programs start at once: glibc asks the processor 68 questions first, and a virtual machine
 * takes 10 us for each.
 *
 * @module
 */
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { failed, ok, type Result } from "../../proto/result.ts";
import { runCommand } from "./command.ts";

/** Processor that the executable is for, as `process.arch` has it. */
export type Target = "x64" | "arm64";

/** How to call a compiler. `version` tells one from another. */
export type Compiler = {
  readonly command: string;
  readonly flags: readonly string[];
  readonly version: string;
  /** The largest page of the target's kernels. */
  readonly pageBytes: number;
  /** How much the code is to be optimised. */
  readonly speed: string;
  readonly linkFlags: readonly string[];
  /** Runs what it makes, where this machine cannot. */
  readonly emulator?: string;
};

/**
 * By target. Kernels for arm64 may have pages of 64 KiB, to which each segment is aligned in the file; to stay below 1 MB all the
 * same, constants share a segment with code there, and the code is compiled for size.
 */
const CHOICES = {
  x64: { pageBytes: 4096, speed: "-O2", linkFlags: ["-Wl,-z,separate-code"] },
  arm64: { pageBytes: 65_536, speed: "-Os", linkFlags: ["-Wl,-z,noseparate-code"] },
} as const satisfies Record<Target, object>;

/** The compiler for programs that this machine runs. */
export async function nativeCompiler(): Promise<Result<Compiler, string>> {
  return await describe("musl-gcc", [], process.arch === "arm64" ? "arm64" : "x64");
}

/** The compiler for `target`: a cross compiler where this machine is another one. */
export async function compilerFor(target: Target, cache: string): Promise<Result<Compiler, string>> {
  if (target === process.arch) return await nativeCompiler();
  if (target !== "arm64") return failed(`only arm64 can be built on ${process.arch}`);
  const musl = await fetchMusl(cache);
  if (!musl.ok) return musl;
  const compiler = await describe("aarch64-linux-gnu-gcc", ["-specs", musl.value], target);
  return compiler.ok ? ok({ ...compiler.value, emulator: "qemu-aarch64-static" }) : compiler;
}

async function describe(
  command: string,
  flags: readonly string[],
  target: Target,
): Promise<Result<Compiler, string>> {
  const version = await runCommand(command, ["-dumpfullversion"], "/");
  if (!version.ok) return version;
  return ok({ command, flags, version: `${command} ${version.value.trim()}`, ...CHOICES[target] });
}

/**
 * The path of a GCC specs file for musl on arm64. The library is Debian's package for that architecture, with package lists of
 * our own: the machine itself stays without a foreign architecture.
 */
async function fetchMusl(cache: string): Promise<Result<string, string>> {
  const musl = join(cache, "musl-arm64");
  const specs = join(musl, "here.specs");
  if ((await stat(specs).catch(() => undefined)) !== undefined) return ok(specs);
  await mkdir(cache, { recursive: true });
  const directory = await mkdtemp(join(cache, "fetch-"));
  try {
    await mkdir(join(directory, "lists/partial"), { recursive: true });
    const settings = [
      "APT::Architecture=arm64",
      "APT::Architectures=arm64",
      `Dir::State::lists=${directory}/lists`,
      `Dir::Cache=${directory}/cache`,
      "APT::Sandbox::User=root",
    ].flatMap((setting) => ["-o", setting]);
    const updated = await runCommand("apt-get", ["-q", ...settings, "update"], directory);
    if (!updated.ok) return updated;
    const fetched = await runCommand("apt-get", ["-q", ...settings, "download", "musl-dev:arm64"], directory);
    if (!fetched.ok) return fetched;
    const unpack = "dpkg -x musl-dev_*_arm64.deb unpacked";
    const unpacked = await runCommand("sh", ["-c", unpack], directory);
    if (!unpacked.ok) return unpacked;
    const library = join(directory, "unpacked/usr/lib/aarch64-linux-musl");
    const installed = await readFile(join(library, "musl-gcc.specs"), "utf8");
    const here = installed.replaceAll(/\/usr\/(?=(?:lib|include)\/aarch64-linux-musl)/g, `${musl}/usr/`);
    await writeFile(join(directory, "unpacked/here.specs"), here);
    await rm(musl, { recursive: true, force: true });
    await rename(join(directory, "unpacked"), musl);
    return ok(specs);
  } finally {
    await rm(directory, { recursive: true });
  }
}
