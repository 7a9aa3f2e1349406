/**
 * Keeps a DEL on disk, under Node: the promises of `Spool` in `core/done.ts`.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { type Done, type Spool, type SpoolFailure } from "./core/done.ts";

/** Of the directory and of the file: nobody else needs to know which pods there were. */
const [DIRECTORY_MODE, FILE_MODE] = [0o700, 0o600];
/** S_IWGRP and S_IWOTH of <sys/stat.h>. */
const WRITABLE_BY_OTHERS = 0o022;

/** Never throws. `pid` names the temporary file. */
export function carryOutSpool(spool: Spool, pid: number = process.pid): Done {
  const failure = keep(spool, pid);
  return failure === undefined ? spool.kept() : spool.failed(failure);
}

function keep(spool: Spool, pid: number): SpoolFailure | undefined {
  try {
    const directory = openDirectory(spool.directory);
    try {
      const { uid, mode } = fstatSync(directory);
      if (uid !== process.geteuid?.()) return "NOT_OWNED";
      if ((mode & WRITABLE_BY_OTHERS) !== 0) return "WRITABLE_BY_OTHERS";
      if (isFull(spool)) return "FULL";
      writeWhole(spool, `${spool.directory}/.${spool.name}.${pid}`);
      fsyncSync(directory);
      return undefined;
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return typeof code === "string" ? code : String(error);
  }
}

function openDirectory(path: string): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  try {
    return openSync(path, flags);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
    return openSync(path, flags);
  }
}

/** A DEL that is there already costs no room. Looks at no more than `filesMax` entries. */
function isFull({ directory, name, filesMax }: Spool): boolean {
  if (lstatSync(`${directory}/${name}`, { throwIfNoEntry: false }) !== undefined) return false;
  const entries = opendirSync(directory);
  try {
    for (let count = 0; count < filesMax; count += 1) {
      if (entries.readSync() === null) return false;
    }
    return true;
  } finally {
    entries.closeSync();
  }
}

function writeWhole({ directory, name, text }: Spool, temporary: string): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = openSync(temporary, flags, FILE_MODE);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, `${directory}/${name}`);
  } catch (error) {
    remove(temporary);
    throw error;
  }
}

/** What stays behind is overwritten by the next process of this id, and is the agent's to sweep. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Why the file could not be written is the failure to tell of.
  }
}
