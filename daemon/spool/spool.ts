/**
 * The directory in which the plugin keeps DELs that it could not tell the agent (proto/spool.ts). Each is carried out and its
 * file removed: at a start, when the directory changes, and now and then. What is no DEL is set aside, and said once.
 *
 * @module
 */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  type FSWatcher,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  watch,
} from "node:fs";
import { join } from "node:path";
import { type Attachment } from "../../proto/attachment.ts";
import { type Fault } from "../../proto/fault.ts";
import { failed, ok, type Result } from "../../proto/result.ts";
import {
  decodeSpooled,
  isSpoolName,
  SPOOL_BYTES_MAX,
  SPOOL_FILES_MAX,
  type SpooledDel,
  spoolName,
} from "../../proto/spool.ts";

export type SpoolOptions = {
  readonly directory: string;
  /**
   * Carries a DEL out. `isPending`: its file is still there. `finish` removes it. Both are to be called while nobody else works
   * on the attachment.
   */
  readonly carryOut: (del: SpooledDel, pending: Pending) => Promise<Result<void>>;
  /** Something that a person may want to know. */
  readonly report: (notice: SpoolNotice) => void;
  /** Milliseconds; of a clock that never goes back. */
  readonly nowMs: () => number;
};

export type Pending = { readonly isPending: () => boolean; readonly finish: () => void };

export type SpoolNotice =
  | { readonly kind: "carried-out"; readonly attachment: Attachment }
  /** It is tried again after `retryMs`. */
  | {
      readonly kind: "failed";
      readonly attachment: Attachment;
      readonly fault: Fault;
      readonly retryMs: number;
    }
  /** The file is not a DEL; it was renamed, so that nobody reads it again. */
  | { readonly kind: "rejected"; readonly file: string; readonly reason: string }
  /** The directory could not be read or watched. */
  | { readonly kind: "unreadable"; readonly reason: string };

export type Spool = AsyncDisposable & {
  /** Is a DEL of this attachment kept? One look at the disk. */
  readonly has: (attachment: Attachment) => boolean;
  /** Its DEL was carried out another way. */
  readonly forget: (attachment: Attachment) => Result<void>;
  /** Carries out what is there; resolves when each was tried. Retries follow on their own. */
  readonly replay: () => Promise<void>;
};

/** DELs at the same time: they share the deletion of their links. */
const AT_ONCE = 32;
/** How often the directory is read although nobody said that it has changed. */
const RESCAN_MS = 30_000;
/** After the first failure; doubled with each further one. */
const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 60_000;
/** Age of a temporary file whose writer surely is gone: a DEL has 8 s. */
const TEMPORARY_MAX_MS = 60_000;
/** ".NAME.del.PID", as the plugin names a file that is not whole yet. */
const TEMPORARY = /^\..*\.del\.\d+$/;

/** Makes the directory, private to its owner. Fails with a sentence where it cannot be trusted or made. */
export function openSpool(options: SpoolOptions): Result<Spool, string> {
  const { directory, report } = options;
  const refusal = makeDirectory(directory);
  if (refusal !== undefined) return failed(`the spool directory ${directory}: ${refusal}`);
  const retries = new Map<string, { readonly tries: number; readonly atMs: number }>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let closed = false;

  /** One pass at a time; who asks while one is under way gets another after it. */
  function replay(): Promise<void> {
    again = true;
    running ??= (async () => {
      for (; again; again = again && !closed) {
        again = false;
        await pass(options, retries);
      }
      running = undefined;
      wakeLater();
    })();
    return running;
  }

  function wakeLater(): void {
    clearTimeout(timer);
    if (closed) return;
    const nextMs = Math.min(...retries.values().map(({ atMs }) => atMs)) - options.nowMs();
    timer = setTimeout(() => void replay(), Math.min(Math.max(nextMs, 10), RESCAN_MS));
  }

  const watcher = watchDirectory(directory, () => void replay(), report);
  return ok({
    has(attachment) {
      const path = pathOf(directory, attachment);
      return path !== undefined && existsSync(path);
    },
    forget: (attachment) => unlink(directory, pathOf(directory, attachment)),
    replay,
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(timer);
      watcher?.close();
      await running;
    },
  });
}

/** Why it cannot be used. Who can write into it can have any pod of the node cut off. */
function makeDirectory(directory: string): string | undefined {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { uid } = lstatSync(directory);
    if (!lstatSync(directory).isDirectory())
      return "it is not a directory; give another one with --spool-dir";
    if (uid !== process.geteuid?.()) return `it belongs to user ${uid}; change its owner, or remove it`;
    chmodSync(directory, 0o700);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function watchDirectory(
  directory: string,
  onChange: () => void,
  report: SpoolOptions["report"],
): FSWatcher | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, onChange);
    watcher.on("error", (error) => report({ kind: "unreadable", reason: reasonOf(error) }));
    return watcher;
  } catch (error) {
    report({ kind: "unreadable", reason: reasonOf(error) });
    return undefined;
  }
}

type Retries = Map<string, { readonly tries: number; readonly atMs: number }>;

async function pass(options: SpoolOptions, retries: Retries): Promise<void> {
  const names = namesIn(options);
  for (const name of retries.keys()) if (!names.includes(name)) retries.delete(name);
  const due = names.filter((name) => (retries.get(name)?.atMs ?? 0) <= options.nowMs());
  for (let at = 0; at < due.length; at += AT_ONCE)
    await Promise.all(
      due.slice(at, at + AT_ONCE).map(async (name) => {
        try {
          await one(options, retries, name);
        } catch (error) {
          options.report({ kind: "unreadable", reason: `${name}: ${reasonOf(error)}` });
        }
      }),
    );
}

/** The files that may be DELs. Temporary files whose writer was killed are removed. */
function namesIn({ directory, report }: SpoolOptions): readonly string[] {
  try {
    const all = readdirSync(directory);
    for (const name of all) if (TEMPORARY.test(name)) removeOld(join(directory, name));
    // The plugin keeps no more; what is beyond is left for the next pass.
    return all.filter(isSpoolName).slice(0, SPOOL_FILES_MAX);
  } catch (error) {
    report({ kind: "unreadable", reason: reasonOf(error) });
    return [];
  }
}

function removeOld(path: string): void {
  try {
    if (Date.now() - lstatSync(path).mtimeMs > TEMPORARY_MAX_MS) rmSync(path, { force: true });
  } catch {
    // Renamed or removed meanwhile, which is as good.
  }
}

async function one(options: SpoolOptions, retries: Retries, name: string): Promise<void> {
  const { directory, report, nowMs } = options;
  const path = join(directory, name);
  const read = readDel(path, name);
  if (read === undefined) return;
  if (!read.ok) {
    renameSync(path, `${path}.rejected`);
    report({ kind: "rejected", file: `${path}.rejected`, reason: read.fault });
    return;
  }
  const { del, identity } = read.value;
  const isPending = (): boolean => {
    const now = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return now !== undefined && identityOf(now) === identity;
  };
  const done = await options.carryOut(del, {
    isPending,
    finish() {
      // A newer DEL may have taken the name.
      if (isPending()) rmSync(path, { force: true });
    },
  });
  const { attachment } = del;
  if (done.ok) {
    retries.delete(name);
    report({ kind: "carried-out", attachment });
    return;
  }
  const tries = (retries.get(name)?.tries ?? 0) + 1;
  const retryMs = Math.min(RETRY_BASE_MS * 2 ** (tries - 1), RETRY_CAP_MS);
  retries.set(name, { tries, atMs: nowMs() + retryMs });
  report({ kind: "failed", attachment, fault: done.fault, retryMs });
}

type ReadDel = { readonly del: SpooledDel; readonly identity: string };

/** `undefined` where it has gone; the fault says why it is no DEL that can be trusted. */
function readDel(path: string, name: string): Result<ReadDel, string> | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: the open of a pipe would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? undefined : failed(`it cannot be opened: ${reasonOf(error)}`);
  }
  try {
    const facts = fstatSync(fd, { bigint: true });
    const { uid, size } = facts;
    if (!facts.isFile()) return failed("it is not a file");
    if (uid !== 0n && Number(uid) !== process.geteuid?.()) return failed(`it belongs to user ${uid}`);
    if (size > SPOOL_BYTES_MAX) return failed(`it has ${size} bytes, ${SPOOL_BYTES_MAX} at most are read`);
    const bytes = Buffer.alloc(SPOOL_BYTES_MAX);
    const del = decodeSpooled(bytes.toString("utf8", 0, readSync(fd, bytes)));
    if (!del.ok) return del;
    if (spoolName(del.value.attachment) !== name) return failed("its name is not that of its attachment");
    return ok({ del: del.value, identity: identityOf(facts) });
  } finally {
    closeSync(fd);
  }
}

/** Numbers of inodes are used again; together with the time of its last change one is this very file. */
function identityOf({ ino, ctimeNs }: BigIntStats): string {
  return `${ino} ${ctimeNs}`;
}

/** An attachment whose name is too long for a file has none: the plugin does not keep its DEL. */
function pathOf(directory: string, attachment: Attachment): string | undefined {
  const name = spoolName(attachment);
  return name === undefined ? undefined : join(directory, name);
}

function unlink(directory: string, path: string | undefined): Result<void> {
  try {
    if (path !== undefined) rmSync(path, { force: true });
    return ok(undefined);
  } catch (error) {
    return failed({ kind: "spool", directory, reason: reasonOf(error) });
  }
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
