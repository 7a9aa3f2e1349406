/**
 * How a program becomes one file: what all bundles have in common, and what those of the agent and the simulated VPC need
 * besides.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type BuildOptions, type Plugin } from "esbuild";

/** CommonJS packages inside an ES module need `require`; `__bundleDir` is where the copied .proto files are. */
const BANNER = [
  'import { createRequire as __createRequire } from "node:module";',
  "const require = __createRequire(import.meta.url);",
  "const __bundleDir = import.meta.dirname;",
].join("\n");

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

/** Of all programs. */
export const COMMON: BuildOptions = {
  absWorkingDir: dirname(import.meta.dirname),
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

/** Of those that Node runs with packages of its own beside them. */
export const DAEMONS: BuildOptions = {
  ...COMMON,
  banner: { js: BANNER },
  external: ["koffi"],
  plugins: [protoFiles, latePackages, builtins],
  sourcemap: "linked",
};
