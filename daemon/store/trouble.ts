/**
 * What went wrong with the database's file, as a person understands it, and what to do. Source: SQLite's result codes
 * (sqlite.org/rescode.html), of which the lowest byte is looked at, and errno(3) of its directory.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";

/**
 * - "damaged": the file is no database, or not a whole one. Nothing in it can be trusted.
 * - "full", "read-only", "locked", "io": of the file system, or of another process; passes when a person acts.
 * - "newer": a later version of the agent has written it.
 * - "other": everything else, such as a directory that cannot be made.
 */
export type TroubleKind = "damaged" | "full" | "read-only" | "locked" | "io" | "newer" | "other";

/** Thrown while a database is opened, by the looks that are ours and not SQLite's. */
export class StoreTrouble extends Error {
  readonly kind: "damaged" | "newer";
  constructor(kind: "damaged" | "newer", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** SQLITE_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB. */
const OF_SQLITE: ReadonlyMap<number, TroubleKind> = new Map([
  [5, "locked"],
  [6, "locked"],
  [8, "read-only"],
  [10, "io"],
  [11, "damaged"],
  [13, "full"],
  [14, "io"],
  [26, "damaged"],
]);

/** SQLITE_IOERR_SHMSIZE: the index of the write-ahead log, a file beside the database, finds no room. */
const NO_ROOM_FOR_INDEX = 10 | (19 << 8);

const OF_ERRNO: ReadonlyMap<string, TroubleKind> = new Map([
  ["ENOSPC", "full"],
  ["EDQUOT", "full"],
  ["EROFS", "read-only"],
  ["EIO", "io"],
]);

/** `path`: of the database. */
export function troubleOf(error: unknown, path: string): TroubleKind {
  if (error instanceof StoreTrouble) return error.kind;
  if (!(error instanceof Error)) return "other";
  if (!("errcode" in error) || typeof error.errcode !== "number") return ofErrno(error) ?? "other";
  if (error.errcode === NO_ROOM_FOR_INDEX) return "full";
  const kind = OF_SQLITE.get(error.errcode & 0xff) ?? "other";
  // SQLite only says that it cannot open a file that it cannot make.
  return kind === "io" ? (whyNotWritable(dirname(path)) ?? kind) : kind;
}

function ofErrno(error: Error): TroubleKind | undefined {
  return "code" in error && typeof error.code === "string" ? OF_ERRNO.get(error.code) : undefined;
}

function whyNotWritable(directory: string): TroubleKind | undefined {
  try {
    accessSync(directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return error instanceof Error ? ofErrno(error) : undefined;
  }
}

/** What happened, to which file, and what to do. */
export function explain(error: unknown, path: string): string {
  const said = saidBy(error);
  const directory = dirname(path);
  const kind = troubleOf(error, path);
  switch (kind) {
    case "damaged":
      return `the file is damaged (${said}): restart the agent, which sets it aside and rebuilds what was in it`;
    case "full":
      return `the disk is full (${said}): make room on the file system of ${directory}`;
    case "read-only":
      return `the file system is read-only (${said}): mount that of ${directory} writable again`;
    case "locked":
      return `another process has locked it (${said}): end that process; fuser ${path} names it`;
    case "io":
      return `the disk does not answer as it should (${said}): look at dmesg, and at the file system of ${directory}`;
    case "newer":
      return `${said}: install that version again, or drain the node with it first`;
    case "other":
      return said;
    default:
      return kind satisfies never;
  }
}

/** In one line. */
export function saidBy(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ");
}
