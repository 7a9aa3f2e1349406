/**
 * What strace(1) tells of a program's work on the files of one directory.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { type DiskEvent } from "./disk.ts";

const CALLS =
  "openat,open,creat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2";

/** Command that executes a program and writes what it does to files into `file`. */
export function tracedDisk(file: string): readonly string[] {
  return ["strace", "-f", "-y", "-xx", "-s", "1000000", "-o", file, "-e", `trace=${CALLS}`];
}

/** `name(…) = result`; a call that another thread interrupted stands in two lines, and is put together first. */
const LINE = /^(\d+) +([a-z0-9_]+)\((.*)\) += (-?\d+)/;
const [UNFINISHED, RESUMED] = [
  /^(\d+) +(.*) <unfinished \.\.\.>$/,
  /^(\d+) +<\.\.\. [a-z0-9_]+ resumed>(.*)$/,
];
/** Of a descriptor with its path, of a quoted text, of a number. */
const ARGUMENT = /\d+<([^>]*)>|AT_FDCWD<([^>]*)>|"((?:\\x[0-9a-f]{2})*)"|([A-Z_|0-9x]+)/g;

/** In the order in which the calls ended. Text `ack N` on standard output is a promise. */
export function diskEvents(trace: string, directory: string): readonly DiskEvent[] {
  const begun = new Map<string, string>();
  return trace.split("\n").flatMap((line) => {
    const unfinished = UNFINISHED.exec(line);
    if (unfinished !== null) {
      begun.set(unfinished[1] ?? "", unfinished[2] ?? "");
      return [];
    }
    const resumed = RESUMED.exec(line);
    const whole =
      resumed === null ? line : `${resumed[1]} ${begun.get(resumed[1] ?? "") ?? ""}${resumed[2] ?? ""}`;
    const [, , name = "", text = "", result = ""] = LINE.exec(whole) ?? [];
    return Number(result) < 0 ? [] : eventOf(name, argumentsOf(text), directory);
  });
}

type Argument = { readonly path?: string; readonly bytes?: Uint8Array; readonly word?: string };

function argumentsOf(text: string): readonly Argument[] {
  return [...text.matchAll(ARGUMENT)].map(([, path, cwd, hex, word]) => {
    const place = path ?? cwd;
    if (place !== undefined) return { path: place.startsWith("\\x") ? textOf(bytesOf(place)) : place };
    return hex === undefined ? { word: word ?? "" } : { bytes: bytesOf(hex) };
  });
}

function bytesOf(hex: string): Uint8Array {
  return Buffer.from(hex.replaceAll("\\x", ""), "hex");
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

function eventOf(name: string, args: readonly Argument[], directory: string): readonly DiskEvent[] {
  const [first, second, third, fourth] = args;
  const isInside = first?.path !== undefined && dirname(first.path) === directory;
  const file = basename(first?.path ?? "");
  switch (name) {
    case "write": {
      const ack = /^ack (\d+)\n$/.exec(textOf(second?.bytes))?.[1];
      if (ack !== undefined) return [{ kind: "ack", number: Number(ack) }];
      // At the end: only files that are written from their beginning are written so.
      return isInside && second?.bytes !== undefined
        ? [{ kind: "write", file, at: 0, bytes: second.bytes }]
        : [];
    }
    case "pwrite64":
      return isInside && second?.bytes !== undefined
        ? [{ kind: "write", file, at: Number(fourth?.word), bytes: second.bytes }]
        : [];
    case "ftruncate":
      return isInside ? [{ kind: "truncate", file, size: Number(second?.word) }] : [];
    case "fsync":
    case "fdatasync":
      if (first?.path === directory) return [{ kind: "sync-directory" }];
      return isInside ? [{ kind: "sync", file }] : [];
    case "openat": {
      const path = pathOf(first, second);
      const makes = args.some(({ word = "" }) => word.includes("O_CREAT"));
      return makes && dirname(path) === directory ? [{ kind: "create", file: basename(path) }] : [];
    }
    case "unlink":
    case "unlinkat": {
      const path = name === "unlink" ? textOf(first?.bytes) : pathOf(first, second);
      return dirname(path) === directory ? [{ kind: "remove", file: basename(path) }] : [];
    }
    case "renameat": {
      const [from, to] = [pathOf(first, second), pathOf(third, fourth)];
      return dirname(to) === directory ? [{ kind: "rename", from: basename(from), to: basename(to) }] : [];
    }
    default:
      return [];
  }
}

function pathOf(place: Argument | undefined, name: Argument | undefined): string {
  const text = textOf(name?.bytes);
  return text.startsWith("/") ? text : `${place?.path ?? ""}/${text}`;
}
