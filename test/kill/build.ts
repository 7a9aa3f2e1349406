/**
 * Builds the agent with its effects counted: the sources as they are, where a few of the modules through which it acts
 * are other ones that call the former and count.
 *
 * @module
 */
import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { build, type Plugin } from "esbuild";
import { DAEMONS } from "../../pkg-config/bundle.ts";
import { must } from "../harness/process.ts";
import { program } from "../harness/programs.ts";
import { formatPlan } from "./plan.ts";

const ROOT = join(import.meta.dirname, "../..");
const POINTS = join(import.meta.dirname, "points");

/** Importing file, what it imports, what it gets. */
const PLACES: readonly (readonly [importer: string, path: string, points: string])[] = [
  ["daemon/main.ts", "./config/load.ts", "config.ts"],
  ["daemon/agent/node.ts", "../store/store.ts", "store.ts"],
  ["daemon/agent/node.ts", "../rpc/server.ts", "server.ts"],
  ["daemon/cloud/cloud.ts", "./call.ts", "call.ts"],
  ["daemon/netlink/worker.ts", "./libc.ts", "libc.ts"],
  ["daemon/netlink/doomed.ts", "node:fs", "deletion.ts"],
  ["daemon/netlink/nft.ts", "node:child_process", "execute.ts"],
  ["daemon/spool/spool.ts", "node:fs", "spool.ts"],
];

/** File, a constant of it, what it is for a test that cannot wait: the simulated cloud's views are never later than that. */
const SHORTENED: readonly (readonly [file: string, constant: string, text: string])[] = [
  ["daemon/core/pool/assign.ts", "VIEW_LAG_MAX_MS", "1000"],
];

const shorten: Plugin = {
  name: "shorten",
  setup(bundler) {
    for (const [file, constant, text] of SHORTENED)
      bundler.onLoad({ filter: new RegExp(`/${file}$`) }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        const contents = source.replace(new RegExp(`(?<= ${constant} = )[\\d_]+(?=;)`), text);
        if (contents === source) throw new Error(`${file} has no number ${constant}`);
        return { contents, loader: "ts" };
      });
  },
};

/** Throws where a place is not there any more: its effects would go uncounted. */
function redirect(): { readonly plugin: Plugin; readonly missed: () => readonly string[] } {
  const left = new Map(PLACES.map(([importer, path, points]) => [`${importer} ${path}`, points]));
  const places = new Map(left);
  return {
    missed: () => [...left.keys()],
    plugin: {
      name: "points",
      setup(bundler) {
        bundler.onResolve({ filter: /.*/ }, ({ importer, path }) => {
          const place = `${importer.slice(ROOT.length + 1)} ${path}`;
          const points = places.get(place);
          left.delete(place);
          return points === undefined ? undefined : { path: join(POINTS, points) };
        });
      },
    },
  };
}

/** Into `directory`, beside what it shares with the built agent; returns the path of its launcher. */
export async function buildKillable(directory: string): Promise<string> {
  const built = program("terwayd");
  const [bin, lib] = [join(directory, "bin"), join(directory, "lib")];
  await mkdir(bin, { recursive: true });
  await mkdir(lib);
  const { plugin, missed } = redirect();
  await build({
    ...DAEMONS,
    plugins: [plugin, shorten, ...(DAEMONS.plugins ?? [])],
    outdir: lib,
    entryPoints: [
      { in: "daemon/main.ts", out: "terwayd" },
      { in: "daemon/netlink/worker.ts", out: "netlink-worker" },
    ],
  });
  if (missed().length > 0) throw new Error(`nothing is counted at: ${missed().join("; ")}`);
  for (const name of ["node", "node_modules", "proto-files"])
    await symlink(join(dirname(built), "../lib", name), join(lib, name));
  const launcher = join(bin, "terwayd");
  await copyFile(built, launcher);
  await chmod(launcher, 0o755);
  await writeFile(join(directory, "plan"), formatPlan({ run: 0, killAt: 0 }));
  // Makes the compile cache: it is written when the agent ends by itself.
  await must(launcher, ["--check", "--config", directory], { env: withTrace(directory) }).catch(() => "");
  return launcher;
}

function withTrace(directory: string): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", TERWAY_KILL_DIR: directory };
}
