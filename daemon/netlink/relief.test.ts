import { describe, expect, it } from "vitest";
import { cleanMappings } from "./relief.ts";

const PROGRAM = "/opt/terway/lib/node";
const CLEAN =
  "Rss: 900 kB\nShared_Dirty: 0 kB\nPrivate_Dirty: 0 kB\nAnonymous: 0 kB\nSwap: 0 kB\nLocked: 0 kB\n";

/** A block of /proc/PID/smaps. */
function block(range: string, permissions: string, path: string, counts = CLEAN): string {
  return `${range} ${permissions} 00000000 fe:00 247260                     ${path}\n${counts}VmFlags: rd mr mw me\n`;
}

function counting(name: string, kilobytes: number): string {
  return CLEAN.replace(`${name}: 0 kB`, `${name}: ${kilobytes} kB`);
}

describe("cleanMappings()", () => {
  it("takes the program's text and constants, and nothing that could be lost", () => {
    const smaps = [
      block("00400000-00c00000", "r--p", PROGRAM),
      block("00c00000-02000000", "r-xp", PROGRAM),
      block("02000000-02100000", "rw-p", PROGRAM),
      block("02100000-02200000", "r--p", PROGRAM, counting("Anonymous", 4)),
      block("02200000-02300000", "r--p", PROGRAM, counting("Private_Dirty", 4)),
      block("02300000-02400000", "r-xp", PROGRAM, counting("Swap", 8)),
      block("02400000-02500000", "r-xp", PROGRAM, counting("Locked", 8)),
      block("02500000-02600000", "r-xs", PROGRAM),
      block("02600000-02700000", "---p", PROGRAM),
      block("02700000-02800000", "r-xp", "/usr/lib/libc.so.6"),
      block("02800000-02900000", "r-xp", `${PROGRAM} (deleted)`),
      block("7fc000000000-7fc000021000", "rw-p", ""),
      block("ffffffffff600000-ffffffffff601000", "--xp", "[vsyscall]"),
    ].join("");
    expect(cleanMappings(smaps, PROGRAM)).toEqual([
      { start: 0x400000, length: 0x800000 },
      { start: 0xc00000, length: 0x1400000 },
    ]);
  });

  it("takes nothing where the kernel does not say what a mapping holds", () => {
    expect(cleanMappings(block("00400000-00c00000", "r-xp", PROGRAM, "Rss: 900 kB\n"), PROGRAM)).toEqual([]);
  });
});
