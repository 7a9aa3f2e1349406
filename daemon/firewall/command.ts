/**
 * Runs the firewall's own programs in the node's namespace.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { failed, ok, type Result } from "../../proto/result.ts";

/** They take 5 to 20 ms; iptables waits for its lock. */
const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** What it printed. The fault is one line: which program, and what it said. */
export type Command = (file: string, args: readonly string[]) => Promise<Result<string, string>>;

/** `nodeNetns`: path of the node's namespace, where it is not the process's own. */
export function openCommand(nodeNetns: string | undefined): Command {
  return (file, args) => {
    const [program, all] =
      nodeNetns === undefined ? [file, args] : ["nsenter", [`--net=${nodeNetns}`, file, ...args]];
    const options = { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX };
    return new Promise((resolve) => {
      execFile(program, [...all], options, (error, stdout, stderr) => {
        if (error === null) return resolve(ok(stdout));
        const said = stderr.split("\n").find((line) => line.trim() !== "") ?? error.message.split("\n")[0];
        resolve(failed(`${file} ${args.slice(0, 6).join(" ")}: ${said}`));
      });
    });
  };
}

/** Which tables the older iptables of a family has in the node's namespace; none where the kernel lacks it. */
export async function legacyTables(
  family: "ip" | "ip6",
  command: Command,
  nodeNetns: string | undefined,
): Promise<readonly string[]> {
  const path = `/proc/net/${family}_tables_names`;
  const text =
    nodeNetns === undefined
      ? await readFile(path, "utf8").catch(() => "")
      : await command("cat", [path]).then((read) => (read.ok ? read.value : ""));
  return text.split("\n").filter((line) => line !== "");
}
