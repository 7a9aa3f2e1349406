/**
 * Reads what `main.ts` of this folder saved.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { messagesOf, type RawMessage } from "../../daemon/netlink/codec/header.ts";
import { decodeMessage } from "../../daemon/netlink/codec/message.ts";
import { hex } from "./literals.ts";

/** The messages of `NAME.hex`. */
export function readCapture(name: string): readonly RawMessage[] {
  const lines = readFileSync(join(import.meta.dirname, `${name}.hex`), "utf8").split("\n");
  const digits = lines.filter((line) => !line.startsWith("#")).join("");
  return [...messagesOf(hex(digits))];
}

/** The messages of a dump, decoded, but for its end, which has to be a good one. See `withoutBytes`. */
export function readDump(name: string): readonly unknown[] {
  const messages = readCapture(name).map(decodeMessage);
  const end = messages.at(-1);
  if (end?.kind !== "done" || end.done.errno !== 0) throw new Error(`${name} has no good end`);
  return messages.slice(0, -1).map(withoutBytes);
}

/** `unknown: [{ type: 6, bytes: [16 of them] }]` as `unknown: ["6: 16"]`, wherever it stands: number and length. */
export function withoutBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBytes);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]: [string, unknown]) => [
      name,
      name === "unknown" && Array.isArray(field)
        ? field.map(({ type, bytes }: { type: number; bytes: Uint8Array }) => `${type}: ${bytes.length}`)
        : withoutBytes(field),
    ]),
  );
}
