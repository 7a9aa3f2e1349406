/**
 * Commands that the build runs.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { failed, ok, type Result } from "../../proto/result.ts";

const OUTPUT_BYTES_MAX = 16 << 20;

/** Standard output of `command`, or one line on why it failed: that it is missing, or the last line that it wrote. */
export function runCommand(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<Result<string, string>> {
  return new Promise((resolve) => {
    const options = { cwd, maxBuffer: OUTPUT_BYTES_MAX };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(ok(stdout));
      else if (error.code === "ENOENT") resolve(failed(`${command} is missing`));
      else resolve(failed(`${command}: ${lastLine(stderr) ?? lastLine(stdout) ?? error.message}`));
    });
  });
}

/** The value of the first failure, or `ok` where there is none. */
export function allOf(results: readonly Result<unknown, string>[]): Result<void, string> {
  return results.find((result) => !result.ok) ?? ok(undefined);
}

/** What compilers and package tools end with is a summary; what went wrong is the last line with "error". */
function lastLine(text: string): string | undefined {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.findLast((line) => /error/i.test(line) && !line.startsWith("collect2")) ?? lines.at(-1);
}
