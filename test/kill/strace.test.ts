import { describe, expect, it } from "vitest";
import { killedAt, systemCalls, traced } from "./strace.ts";

describe("systemCalls()", () => {
  it("counts each by its name and leaves out what nobody else can tell of", () => {
    const lines = [
      '21 execve("/bin/x", ["/bin/x"], 0x7ffe /* 40 vars */) = 0',
      '21 read(0, "{}", 9)             = 2',
      "21 brk(NULL)                   = 0x1",
      '21 write(1, "ok", 2)            = 2',
      '21 read(0, "", 9)               = 0',
      "21 +++ exited with 0 +++",
    ];
    expect(systemCalls(lines.join("\n"))).toEqual([
      { name: "read", count: 1 },
      { name: "write", count: 1 },
      { name: "read", count: 2 },
    ]);
  });
});

describe("killedAt()", () => {
  it("kills at the entry of that very call", () => {
    expect(killedAt({ name: "write", count: 2 }).slice(-1)).toEqual(["inject=write:signal=SIGKILL:when=2"]);
    expect(traced("/t").at(-1)).toBe("/t");
  });
});
