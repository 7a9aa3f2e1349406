/**
 * Puts the CNI configuration where the runtime looks for it. A runtime takes a node for ready when it finds one, so it is
 * written when the agent can serve, and left when the agent stops: pods keep running.
 *
 * @module
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { failed, ok, type Result } from "../../proto/result.ts";
import { type AgentPaths, confList } from "../core/cni-conf/conf-list.ts";

export type PublishOptions = AgentPaths & {
  /** The mounted ConfigMap: 10-terway.conflist, else 10-terway.conf. */
  readonly configDir: string;
  /** Where the runtime looks: /etc/cni/net.d. */
  readonly confDir: string;
};

const NAME = "10-terway.conflist";
/** Ends with none of .conf, .conflist and .json, which are what runtimes read. */
const TEMPORARY = `${NAME}.tmp`;

/**
 * Resolves with whether it had to be written: containerd loads everything again on each change of its directory. The file is
 * there whole or not at all, also after a power loss. The fault is a sentence.
 */
export function publishConf(options: PublishOptions): Result<"written" | "same", string> {
  const { configDir, confDir } = options;
  const path = join(confDir, NAME);
  const temporary = join(confDir, TEMPORARY);
  try {
    const source =
      readIfThere(join(configDir, NAME)) ?? readFileSync(join(configDir, "10-terway.conf"), "utf8");
    const wanted = confList(source, options);
    if (!wanted.ok) return failed(`the CNI configuration in ${configDir} cannot be used: ${wanted.fault}`);
    if (readIfThere(path) === wanted.value) return ok("same");
    mkdirSync(confDir, { recursive: true });
    writeSynced(temporary, wanted.value);
    renameSync(temporary, path);
    syncDirectory(confDir);
    return ok("written");
  } catch (error) {
    removeQuietly(temporary);
    return failed(`${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function writeSynced(path: string, text: string): void {
  const fd = openSync(path, "w", 0o644);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The directory is not there or read-only: nothing was left.
  }
}
