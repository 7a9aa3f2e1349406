/**
 * A stand-in for the plugin that the configuration delegates addresses to ("ipam"): it writes down each call, fails where
 * it is told to, and otherwise lets the real one work.
 *
 * @module
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { existsSync } from "node:fs";
import { type Bench, type CallOptions } from "./bench.ts";
import { type JsonObject, objectOf, parseJson, textOf } from "./target.ts";
import { tmpdir } from "node:os";

export type DelegateCall = {
  readonly verb: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly stdin: unknown;
};

export type Delegate = AsyncDisposable & {
  /** For each call of the plugin under test. */
  readonly options: (changes?: JsonObject) => CallOptions;
  /** From now on these verbs fail; the text goes to its stderr and into its error. */
  readonly failOn: (...verbs: readonly string[]) => Promise<void>;
  /** What was called since the last time this was asked. */
  readonly calls: () => Promise<readonly DelegateCall[]>;
};

export const DELEGATE_FAILURE = "the delegate of the conformance suite fails on purpose";
const NAME = "conformance-ipam";

/** `undefined` where the configuration delegates to nobody that is installed. */
export async function openDelegate(bench: Bench): Promise<Delegate | undefined> {
  const ipam = objectOf(bench.target.config["ipam"]);
  const type = textOf(ipam["type"]);
  const real = bench.target.cniPath
    .split(":")
    .map((directory) => join(directory, type))
    .find((path) => existsSync(path));
  if (type === "" || real === undefined) return undefined;
  const directory = await mkdtemp(join(tmpdir(), "cni-conformance-delegate-"));
  await writeFile(join(directory, NAME), scriptFor(directory, real), { mode: 0o755 });
  let asked = 0;
  return {
    options: (changes = {}) => ({
      env: { CNI_PATH: `${directory}:${bench.target.cniPath}` },
      config: { ipam: { ...ipam, type: NAME }, ...changes },
    }),
    failOn: async (...verbs) => writeFile(join(directory, "fail"), verbs.map((verb) => `${verb}\n`).join("")),
    calls: async () => {
      const log = await readFile(join(directory, "log"), "utf8").catch(() => "");
      const all = log.split("\n").filter((line) => line !== "");
      const fresh = all.slice(asked);
      asked = all.length;
      return fresh.map(readCall);
    },
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** One line a call: verb, container, namespace, interface and the configuration, which is written without line ends. */
function scriptFor(directory: string, real: string): string {
  return `#!/bin/sh
stdin=$(cat)
printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" \\
  "$(printf %s "$stdin" | tr -d '\\n\\t')" >>'${directory}/log'
if grep -qx "$CNI_COMMAND" '${directory}/fail' 2>/dev/null; then
  echo '${DELEGATE_FAILURE}' >&2
  echo '{"cniVersion":"0.3.1","code":111,"msg":"${DELEGATE_FAILURE}"}'
  exit 1
fi
printf %s "$stdin" | '${real}'
`;
}

function readCall(line: string): DelegateCall {
  const [verb = "", containerId = "", netns = "", ifName = "", stdin = ""] = line.split("\t");
  return { verb, containerId, netns, ifName, stdin: parseJson(stdin) };
}
