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
import { chmod, copyFile, cp, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build, type BuildOptions, type Plugin } from "esbuild";
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

/** CommonJS packages inside an ES module need `require`; `__bundleDir` is where the copied .proto files are. */
const BANNER = [
  'import { createRequire as __createRequire } from "node:module";',
  "const require = __createRequire(import.meta.url);",
  "const __bundleDir = import.meta.dirname;",
].join("\n");

/** These packages read .proto files relative to their own directory. */
const WITH_PROTO_FILES = ["grpc-health-check", "@grpc/reflection"];

const protoFiles: Plugin = {
  name: "proto-files",
  setup(bundler) {
    bundler.onLoad(
      { filter: /node_modules\/(grpc-health-check|@grpc\/reflection)\/build\/.*\.js$/ },
      async (file) => {
        const inPackages = file.path.slice(file.path.lastIndexOf("node_modules/") + "node_modules/".length);
        const directory = JSON.stringify(`proto-files/${dirname(inPackages)}`);
        const source = await readFile(file.path, "utf8");
        return { contents: `const __dirname = __bundleDir + "/" + ${directory};\n${source}`, loader: "js" };
      },
    );
  },
};

/**
 * What the SDK loads at its start for things that the agent never does (XML, WebSocket, calendars): loaded at the first
 * use instead, behind a stand-in that looks the same. Saves 10 MB and 50 ms at each start. The value is the module's
 * `__esModule`: the importing code asks for it at once.
 */
const LATE: Readonly<Record<string, boolean>> = {
  lodash: true,
  moment: false,
  ws: false,
  xml2js: false,
  "https-proxy-agent": false,
  "http-proxy-agent": false,
  "socks-proxy-agent": true,
};

const latePackages: Plugin = {
  name: "late-packages",
  setup(bundler) {
    const names = new RegExp(`^(${Object.keys(LATE).join("|")})$`);
    bundler.onResolve({ filter: names }, ({ path, importer, resolveDir, namespace }) =>
      namespace === "late" || !/node_modules\/@darabonba\//.test(importer)
        ? undefined
        : { path, namespace: "late", pluginData: resolveDir },
    );
    bundler.onLoad({ filter: /.*/, namespace: "late" }, ({ path, pluginData: resolveDir }) => ({
      contents: [
        "let module_;",
        `const load = () => (module_ ??= require(${JSON.stringify(path)}));`,
        "module.exports = new Proxy(function () {}, {",
        `  get: (_, key) => (key === "__esModule" ? ${LATE[path]} : load()[key]),`,
        "  apply: (_, self, args) => load().apply(self, args),",
        "  construct: (_, args) => new (load())(...args),",
        "});",
      ].join("\n"),
      resolveDir,
    }));
  },
};

/**
 * Node's own modules by `require`: an `import` of one makes a namespace of all its getters, and that of node:http loads
 * the whole of undici.
 */
const builtins: Plugin = {
  name: "builtins-by-require",
  setup(bundler) {
    bundler.onResolve({ filter: /^node:/ }, ({ path, kind, namespace }) =>
      kind === "import-statement" && namespace !== "builtin" ? { path, namespace: "builtin" } : undefined,
    );
    bundler.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

const COMMON: BuildOptions = {
  absWorkingDir: ROOT,
  outdir: LIB,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node26",
  // Its CommonJS form calls `require` in a way that cannot be bundled.
  alias: { "jsonc-parser": "jsonc-parser/lib/esm/main.js" },
  legalComments: "none",
  logLevel: "warning",
};

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
  await build({ ...COMMON, entryPoints: [PLUGIN], minify: true });
  await build({
    ...COMMON,
    entryPoints: Object.entries(BUNDLES).map(([out, entry]) => ({ in: entry, out })),
    banner: { js: BANNER },
    external: ["koffi"],
    plugins: [protoFiles, latePackages, builtins],
    sourcemap: "linked",
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
