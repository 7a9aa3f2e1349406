/**
 * On what machine the figures were found.
 *
 * @module
 */
import { availableParallelism, cpus, release } from "node:os";
import { type Findings } from "./figures.ts";

/** Of this process's machine. */
export function thisMachine(): Findings["machine"] {
  return {
    cpu: cpus()[0]?.model ?? "unknown CPU",
    cores: availableParallelism(),
    kernel: release(),
    node: process.version,
  };
}
