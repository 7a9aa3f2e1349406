/**
 * The result cache of libcni (`daemon/core/rebuild/cache-entry.ts`), as the runtime left it on disk. Nothing is written.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { type CacheEntry, decodeCacheEntry } from "../core/rebuild/cache-entry.ts";

/** Below libcni's CacheDir. */
const FOLDERS = ["results", "cache", "cache/results"] as const;
const [FILES_MAX, FILE_BYTES_MAX] = [20_000, 1 << 20];

/** What is in it; other plugins' and other networks' results too. Empty where there is no cache. */
export function readResultCache(directory: string): readonly CacheEntry[] {
  return FOLDERS.flatMap((folder) => {
    const path = join(directory, folder);
    return namesIn(path)
      .slice(0, FILES_MAX)
      .flatMap((name) => {
        const text = readText(join(path, name));
        const entry = text === undefined ? undefined : decodeCacheEntry(text);
        return entry ?? [];
      });
  });
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

/** `undefined`: it went meanwhile, cannot be read, or is too long to be a result. */
function readText(path: string): string | undefined {
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      if (size > FILE_BYTES_MAX) return undefined;
      const bytes = new Uint8Array(size);
      const length = readSync(fd, bytes, 0, size, 0);
      return new TextDecoder().decode(bytes.subarray(0, length));
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}
