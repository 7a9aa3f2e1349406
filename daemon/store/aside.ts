/**
 * A database that cannot be read is set aside under another name, so that a person can look at it. Only so many are kept.
 *
 * @module
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** With their write-ahead logs; the oldest go. */
const ASIDE_MAX = 3;
const MARK = ".damaged-";

/** Renames the database and its write-ahead log; returns the new path of the database. Throws what the file system says. */
export function setAside(path: string, nowMs: number): string {
  const aside = freeName(`${path}${MARK}${Math.floor(nowMs)}`);
  // The log first: a log that is found beside no database, or beside another one, would be taken for its own.
  if (existsSync(`${path}-wal`)) renameSync(`${path}-wal`, `${aside}-wal`);
  rmSync(`${path}-shm`, { force: true });
  renameSync(path, aside);
  forgetOldest(path);
  return aside;
}

function freeName(wanted: string): string {
  for (let tries = 0; tries < ASIDE_MAX; tries++) {
    const name = tries === 0 ? wanted : `${wanted}.${tries}`;
    if (!existsSync(name)) return name;
  }
  return wanted;
}

function forgetOldest(path: string): void {
  const directory = dirname(path);
  const names = readdirSync(directory)
    .filter((name) => name.startsWith(basename(path) + MARK) && !name.endsWith("-wal"))
    .sort();
  for (const name of names.slice(0, Math.max(0, names.length - ASIDE_MAX)))
    for (const suffix of ["", "-wal", "-shm"]) rmSync(join(directory, name + suffix), { force: true });
}
