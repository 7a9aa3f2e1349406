/**
 * ClientToken: a call that is repeated with its token has its effect once and gets the first answer again.
 *
 * @module
 */
import { type JsonObject } from "./json-object.ts";

const TTL_MS = 24 * 3_600_000;
const MOST_ENTRIES = 10_000;

type TokenEntry = {
  /** The parameters that matter, in canonical form. */
  readonly parameters: string;
  readonly atMs: number;
  /** Absent while the first call is being carried out. */
  readonly body: JsonObject | undefined;
};

/** Entries by action and token. */
export type TokenBook = Map<string, TokenEntry>;

/** What is known about a call with this token. */
export type TokenVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "pending" }
  | { readonly kind: "mismatch" }
  | { readonly kind: "done"; readonly body: JsonObject };

/** Looks `key` up; entries older than a day count as absent. */
export function lookUpToken(book: TokenBook, key: string, parameters: string, nowMs: number): TokenVerdict {
  const entry = book.get(key);
  if (entry === undefined || nowMs - entry.atMs > TTL_MS) return { kind: "new" };
  if (entry.parameters !== parameters) return { kind: "mismatch" };
  return entry.body === undefined ? { kind: "pending" } : { kind: "done", body: entry.body };
}

/** Notes that the call has begun, or (with `body`) that it is done. The oldest entry goes where there are too many. */
export function noteToken(
  book: TokenBook,
  key: string,
  parameters: string,
  nowMs: number,
  body?: JsonObject,
): void {
  book.delete(key);
  book.set(key, { parameters, atMs: nowMs, body });
  const oldest = book.size > MOST_ENTRIES ? book.keys().next().value : undefined;
  if (oldest !== undefined) book.delete(oldest);
}
