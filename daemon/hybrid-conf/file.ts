/**
 * The file that describes the hybrid network, read and watched. Its directory is watched, because a file that is replaced
 * by a rename is another file; and it is read now and then although nobody said that it has changed.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";
import { formatProblems } from "../core/config/problem.ts";
import { parseHybridConf } from "../core/hybrid/conf.ts";
import { type HybridNews, type HybridSource } from "../core/hybrid/source.ts";

export type HybridConfOptions = {
  readonly path: string;
  /** Called when the file says something else than before. */
  readonly onNews: (news: HybridNews) => void;
  /** Called with a sentence where the directory cannot be watched; the file is then read every `REREAD_MS`. */
  readonly onUnwatched: (reason: string) => void;
};

/** Who writes a file in place does so in steps: it is read when nothing has happened for so long … */
const QUIET_MS = 20;
/** … but not later than this after the first step. */
const DEBOUNCE_MAX_MS = 200;
const REREAD_MS = 10_000;
/** Bytes. Ten thousand nodes need four million. */
const SIZE_MAX = 16_777_216;

/** What the file says now. Never throws for what it is or holds. */
export function readHybridConf(path: string): HybridNews {
  const read = readText(path);
  if (!read.ok) {
    const remedy =
      "give the path of a file with the hybrid network (docs/hybrid-configuration.md) to --hybrid-conf";
    return { kind: "unusable", report: `${path}: error: ${read.reason}\n  = ${remedy}` };
  }
  const { text } = read;
  const parsed = parseHybridConf(text);
  const source = { name: path, text };
  const warnings = formatProblems(source, parsed.warnings, "warning");
  const errors = formatProblems(source, parsed.ok ? parsed.refused : parsed.problems);
  const report = [errors, warnings].filter((part) => part !== "").join("\n");
  return parsed.ok ? { kind: "view", view: parsed.view, text, report } : { kind: "unusable", report };
}

/** Reads it at once, then whenever it changes. */
export function openHybridConf({ path, onNews, onUnwatched }: HybridConfOptions): HybridSource {
  let news = readHybridConf(path);
  let quiet: ReturnType<typeof setTimeout> | undefined;
  let dueMs = 0;
  let watcher: Disposable | undefined;

  function reread(): void {
    clearTimeout(quiet);
    quiet = undefined;
    const next = readHybridConf(path);
    if (isSame(news, next)) return;
    news = next;
    onNews(news);
  }

  function onChange(): void {
    const nowMs = performance.now();
    if (quiet === undefined) dueMs = nowMs + DEBOUNCE_MAX_MS;
    clearTimeout(quiet);
    quiet = setTimeout(reread, Math.max(0, Math.min(QUIET_MS, dueMs - nowMs)));
  }

  function rewatch(report: (reason: string) => void): void {
    watcher ??= watchDirectory(dirname(path), onChange, (reason) => {
      watcher = undefined;
      report(reason);
    });
  }

  rewatch(onUnwatched);
  const timer = setInterval(() => {
    rewatch(() => undefined);
    reread();
  }, REREAD_MS);
  return {
    news: () => news,
    [Symbol.dispose]() {
      clearInterval(timer);
      clearTimeout(quiet);
      watcher?.[Symbol.dispose]();
    },
  };
}

function isSame(a: HybridNews, b: HybridNews): boolean {
  if (a.kind === "view" && b.kind === "view") return a.text === b.text;
  return a.kind === b.kind && a.report === b.report;
}

/** Also told of the directory's own removal, and then of nothing more. */
function watchDirectory(
  directory: string,
  onChange: () => void,
  onEnd: (reason: string) => void,
): Disposable | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, onChange);
    watcher.on("error", (error) => {
      watcher.close();
      onEnd(`${directory} cannot be watched any more: ${error.message}`);
    });
    return { [Symbol.dispose]: () => watcher.close() };
  } catch (error) {
    onEnd(`${directory} cannot be watched: ${reasonOf(error)}`);
    return undefined;
  }
}

type Read = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

function readText(path: string): Read {
  let fd: number;
  try {
    // O_NONBLOCK: the open of a pipe would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return { ok: false, reason: `it cannot be read: ${reasonOf(error)}` };
  }
  try {
    const facts = fstatSync(fd);
    if (!facts.isFile()) return { ok: false, reason: "it is not a file" };
    if (facts.size > SIZE_MAX)
      return { ok: false, reason: `it has ${facts.size} bytes; ${SIZE_MAX} at most are read` };
    return { ok: true, text: readFileSync(fd, "utf8") };
  } catch (error) {
    return { ok: false, reason: `it cannot be read: ${reasonOf(error)}` };
  } finally {
    closeSync(fd);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
