/**
 * On what machine the figures were found.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { type Findings } from "./figures.ts";

/** Of this process's machine. */
export function thisMachine(): Findings["machine"] {
  return {
    cpu: cpus()[0]?.model ?? "unknown CPU",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    system: systemName(),
    kernel: release().replace(/-.*/, ""),
    node: process.version,
  };
}

/** os-release(5). */
function systemName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown system";
  } catch {
    return "unknown system";
  }
}
