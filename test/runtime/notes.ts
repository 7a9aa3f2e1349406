/**
 * What a person must know of a run that passed: which part could not run on this machine, and figures. The lines go to the
 * file that TEST_NOTES names, for the end of the summary, or else to standard error.
 *
 * @module
 */
import { appendFileSync } from "node:fs";

/** One line. */
export function note(text: string): void {
  const line = `${text.replaceAll("\n", " ")}\n`;
  const path = process.env["TEST_NOTES"];
  if (path === undefined) process.stderr.write(line);
  else appendFileSync(path, line);
}

/**
 * Says that a part cannot run here; throws where TEST_REQUIRE names it ("containerd,podman"), for machines on which it must.
 */
export function cannotRun(part: string, why: string): void {
  if ((process.env["TEST_REQUIRE"] ?? "").split(",").includes(part)) throw new Error(`${part}: ${why}`);
  note(`${part} was not tested on this machine: ${why}`);
}
