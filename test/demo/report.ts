/**
 * What the demo prints: sections with elapsed time, verdicts, a table. Nothing is decided here but whether all held, and
 * that a demo which somebody stops goes no further.
 *
 * @module
 */
export type Report = {
  readonly section: (title: string) => void;
  /** A line of progress that the next one replaces where standard output is a terminal. */
  readonly progress: (text: string) => void;
  /** One promise: held or not. */
  readonly check: (held: boolean, text: string) => void;
  readonly line: (text: string) => void;
  readonly failures: () => readonly string[];
};

/** Once `stop` is aborted each line throws its reason, so that the demo ends at its next step and cleans up. */
export function openReport(write: (text: string) => void, terminal: boolean, stop: AbortSignal): Report {
  const startedMs = performance.now();
  const failures: string[] = [];
  let lastProgressMs = 0;
  return {
    section(title) {
      stop.throwIfAborted();
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      write(`\n[${seconds.padStart(5)} s] ${title}\n`);
    },
    progress(text) {
      stop.throwIfAborted();
      if (terminal) write(`\r\u001B[K  ${text}`);
      else if (performance.now() - lastProgressMs > 1000) {
        lastProgressMs = performance.now();
        write(`  ${text}\n`);
      }
    },
    check(held, text) {
      stop.throwIfAborted();
      if (!held) failures.push(text);
      write(`${terminal ? "\r\u001B[K" : ""}  ${held ? "ok  " : "FAIL"}  ${text}\n`);
    },
    line(text) {
      stop.throwIfAborted();
      write(`${terminal ? "\r\u001B[K" : ""}  ${text}\n`);
    },
    failures: () => failures,
  };
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const cell = (text: string, column: number): string =>
    /^[\d.]+$/.test(text) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return all.map((row) => row.map(cell).join("  ").trimEnd());
}
