/**
 * In place of node:child_process for `daemon/netlink/nft.ts`: each nft(8) is counted when it has begun, for it goes on
 * when the agent dies, and when it has ended.
 *
 * @module
 */
import {
  type ChildProcess,
  type ExecFileException,
  execFile as realExecFile,
  type ExecFileOptions,
} from "node:child_process";
import { point } from "./point.ts";

type Done = (error: ExecFileException | null, stdout: string, stderr: string) => void;

export function execFile(
  file: string,
  args: readonly string[],
  options: ExecFileOptions,
  done: Done,
): ChildProcess {
  const child = realExecFile(file, args, { ...options, encoding: "utf8" }, (error, stdout, stderr) => {
    point("nft: ended");
    done(error, stdout, stderr);
  });
  point("nft: begun");
  return child;
}
