/**
 * Gives memory back to the kernel that the process has but does not use: free memory of malloc, and pages of Node's
 * program file. Starting up touches most of that file's 150 MB, and serving little of it. Such pages are the page cache's:
 * to take them again costs a minor fault for 64 KiB, and no read unless the machine was short of memory meanwhile.
 *
 * Only mappings of the program file that cannot be written to, and that hold no page of our own (relocated data is one:
 * what was written into it would be lost), are given back. For those madvise(2) promises the same contents again.
 *
 * @module
 */
import { readFileSync, readlinkSync } from "node:fs";
import { C, madvise, mallocTrim } from "./libc.ts";

/** A mapping of the program file; addresses in bytes. */
export type Mapping = { readonly start: number; readonly length: number };

/** A millisecond or a few, in which no other thread gets memory from malloc: for a time when little happens. */
export function giveBackMemory(): void {
  mallocTrim(0);
  const program = readlinkSync("/proc/self/exe");
  for (const { start, length } of cleanMappings(readFileSync("/proc/self/smaps", "latin1"), program))
    madvise(start, length, C.MADV_DONTNEED);
}

/** START-END PERMISSIONS OFFSET DEVICE INODE PATH, the first line of each mapping (proc(5), /proc/PID/maps). */
const HEAD = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+ +(.*)$/;

/** Mappings of `program` in /proc/PID/smaps (proc(5)) that are private, not writable, and have only pages of the file. */
export function cleanMappings(smaps: string, program: string): readonly Mapping[] {
  const mappings: Mapping[] = [];
  for (const block of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [head = ""] = block.split("\n", 1);
    const [, start = "", end = "", permissions = "", path = ""] = HEAD.exec(head) ?? [];
    const isReadOnly = permissions.startsWith("r-") && permissions.endsWith("p");
    // What was written by way of a debugger, or relocated and then protected, counts as anonymous or dirty.
    const isClean = ["Anonymous", "Private_Dirty", "Shared_Dirty", "Swap", "Locked"].every((name) =>
      new RegExp(`^${name}: +0 kB$`, "m").test(block),
    );
    const first = Number.parseInt(start, 16);
    if (path === program && isReadOnly && isClean)
      mappings.push({ start: first, length: Number.parseInt(end, 16) - first });
  }
  return mappings;
}
