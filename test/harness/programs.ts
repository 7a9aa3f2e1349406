/**
 * Where the built programs are: tests, demo and benchmark run what `make build` leaves, as a user would.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const BIN = join(import.meta.dirname, "../../dist/bin");

export function program(name: "terway" | "terwayd" | "terway-sim"): string {
  const path = join(BIN, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run "make build" first`);
  return path;
}
