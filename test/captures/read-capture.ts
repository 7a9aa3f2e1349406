/**
 * Reads what `main.ts` of this folder saved.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { messagesOf, type RawMessage } from "../../daemon/netlink/codec/header.ts";
import { hex } from "./literals.ts";

/** The messages of `NAME.hex`. */
export function readCapture(name: string): readonly RawMessage[] {
  const lines = readFileSync(join(import.meta.dirname, `${name}.hex`), "utf8").split("\n");
  const digits = lines.filter((line) => !line.startsWith("#")).join("");
  return [...messagesOf(hex(digits))];
}
