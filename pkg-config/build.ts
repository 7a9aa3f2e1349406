/**
 * `make build`: bundles each program into one file and puts launchers beside them.
 *
 *     dist/bin/terway                        the plugin: a static executable, which needs nothing else of dist
 *     dist/bin/terway-arm64                  the same for arm64, with the argument --arm64
 *     dist/bin/{terway-node,terwayd,terway-sim}   launchers, runnable from any directory and through symbolic links
 *     dist/lib/*.mjs                         one file per program, the netlink worker beside the agent
 *     dist/lib/compile-cache/                bytecode of the agent
 *     dist/lib/node                          the Node that they run on
 *     dist/lib/node_modules/                 koffi, the one package with native code
 *
 * terway-node is the plugin under Node, and is dist/bin/terway as well where the executable cannot be built. The whole of
 * `dist` can be copied elsewhere.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { chmod, copyFile, cp, link, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { COMMON, DAEMONS } from "./bundle.ts";
import { buildExecutable } from "./quickjs/executable.ts";

const ROOT = dirname(import.meta.dirname);
/** Built beside the old one and then put in its place, so that programs of the old one can go on meanwhile. */
const DIST = join(ROOT, `.cache/dist-${process.pid}`);
const LIB = join(DIST, "lib");

/** The plugin is executed for each pod: under QuickJS it starts in a millisecond. */
const PLUGIN_EXECUTABLE = "cni/quickjs/main.ts";
/** Under Node it starts 8 ms earlier when minified (36 against 44 ms). */
const PLUGIN = { in: "cni/main.ts", out: "terway" };

/** Program -> entry. */
const BUNDLES: Readonly<Record<string, string>> = {
  terwayd: "daemon/main.ts",
  "netlink-worker": "daemon/netlink/worker.ts",
  "terway-sim": "sim/main.ts",
};

type Launcher = { readonly program: string; readonly env?: string; readonly flags?: string };

/**
 * The agent's memory (RSS after 20,000 calls, twelve at a time):
 *
 * - The bound of the old generation is never reached; it makes V8 let the heap grow by small factors. What a connection
 *   holds outside the heap is freed by the collector, so this keeps memory flat: 278 -> 130 MB, more before.
 * - A small young generation and one arena of malloc: 10 MB. With one of 1 MB, instead of 2, calls outlive it: a fifth more
 *   CPU time.
 * - The collector is called when nobody has called for a while (daemon/agent/idle.ts): 30 MB.
 *
 * DEP0169 is a warning about url.parse() in the SDK's HTTP client, which an operator can do nothing about.
 */
const LAUNCHERS: Readonly<Record<string, Launcher>> = {
  "terway-node": { program: "terway" },
  terwayd: {
    program: "terwayd",
    env: 'MALLOC_ARENA_MAX=1 NODE_COMPILE_CACHE="$lib/compile-cache" NODE_COMPILE_CACHE_PORTABLE=1',
    flags: "--max-semi-space-size=2 --max-old-space-size=160 --disable-warning=DEP0169",
  },
  "terway-sim": { program: "terway-sim" },
};

/** These packages read .proto files relative to their own directory. */
const WITH_PROTO_FILES = ["grpc-health-check", "@grpc/reflection"];

function launcher({ program, env, flags }: Launcher): string {
  return [
    "#!/bin/sh",
    'self=$0; [ -L "$self" ] && self=$(readlink -f "$self")',
    "lib=${self%/*}/../lib",
    ...(env === undefined ? [] : [`export ${env}`]),
    ["exec", '"$lib/node"', ...(flags === undefined ? [] : [flags]), `"$lib/${program}.mjs"`, '"$@"'].join(
      " ",
    ),
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  await rm(DIST, { recursive: true, force: true });
  await mkdir(join(DIST, "bin"), { recursive: true });
  await build({ ...COMMON, outdir: LIB, entryPoints: [PLUGIN], minify: true });
  await build({
    ...DAEMONS,
    outdir: LIB,
    entryPoints: Object.entries(BUNDLES).map(([out, entry]) => ({ in: entry, out })),
  });
  for (const [name, options] of Object.entries(LAUNCHERS)) {
    const path = join(DIST, "bin", name);
    await writeFile(path, launcher(options));
    await chmod(path, 0o755);
  }
  await addExecutables();
  const modules = join(ROOT, "node_modules");
  await cp(join(ROOT, "proto/agent.proto"), join(LIB, "proto-files/agent.proto"));
  for (const name of WITH_PROTO_FILES) {
    const from = join(modules, name, name === "@grpc/reflection" ? "build/proto" : "proto");
    const to = name === "@grpc/reflection" ? `${name}/build/proto` : `${name}/proto`;
    await cp(from, join(LIB, "proto-files", to), { recursive: true });
  }
  const native = `@koromix/koffi-linux-${process.arch}`;
  for (const name of ["koffi", native]) {
    await cp(join(modules, name), join(LIB, "node_modules", name), {
      recursive: true,
      filter: (path) => !/\/(?:vendor|doc)$|\.(?:cc|h|inc|S|asm)$/.test(path),
    });
  }
  await linkOrCopy(join(modules, `node-linux-${process.arch}`, "bin/node"), join(LIB, "node"));
  // V8's bytecode of the agent, made by a first run: starts 30 ms earlier. It is taken where version and flags of V8 agree.
  await promisify(execFile)(join(DIST, "bin/terwayd"), ["--help"]);
  await putInPlace();
}

async function addExecutables(): Promise<void> {
  const bin = join(DIST, "bin");
  const target = process.arch === "arm64" ? "arm64" : "x64";
  const executable = await buildExecutable(target, PLUGIN_EXECUTABLE, say);
  if (!executable.ok)
    say(`dist/bin/terway is the plugin under Node, which starts slowly: ${executable.fault}`);
  await copyFile(executable.ok ? executable.value : join(bin, "terway-node"), join(bin, "terway"));
  if (!process.argv.includes("--arm64")) return;
  const other = await buildExecutable("arm64", PLUGIN_EXECUTABLE, say);
  if (!other.ok) throw new Error(`dist/bin/terway-arm64: ${other.fault}`);
  await copyFile(other.value, join(bin, "terway-arm64"));
}

function say(text: string): void {
  process.stderr.write(`build: ${text}\n`);
}

async function putInPlace(): Promise<void> {
  const [final, old] = [join(ROOT, "dist"), `${DIST}-old`];
  await rename(final, old).catch(() => undefined);
  await rename(DIST, final);
  await rm(old, { recursive: true, force: true });
}

/** Node is 150 MB: a hard link where the file system allows it. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

await main();
