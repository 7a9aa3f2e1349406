/**
 * Real file systems that are full or read-only: a tmpfs of the test's own.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "./store.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "terway-store-"));
  execFileSync("mount", ["-n", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory]);
});
afterEach(() => {
  execFileSync("umount", ["-n", directory]);
  rmdirSync(directory);
});

const BOOT = { bootId: "boot-1", nowMs: 0, uptimeMs: 0 };

function open(): Store {
  const opened = openStore({ directory, ...BOOT });
  if (!opened.ok) throw new Error(JSON.stringify(opened.fault));
  return opened.value;
}

/** Until not one byte is left. */
function fillDisk(): void {
  for (const bytes of [4096, 1])
    for (let file = 0; file < 100; file++)
      try {
        writeFileSync(join(directory, `fill-${bytes}-${file}`), Buffer.alloc(bytes));
      } catch {
        break;
      }
}

function makeRoom(): void {
  for (let file = 0; file < 100; file++) rmSync(join(directory, `fill-4096-${file}`), { force: true });
}

function full(): string {
  return `the disk is full (database or disk is full): make room on the file system of ${directory}`;
}

describe("openStore() and write() on a full disk", () => {
  it("say so; what was written stays, and all works when there is room", () => {
    const path = join(directory, "agent.db");
    {
      using store = open();
      expect(store.write([{ kind: "put-eni", slot: 1, record: "kept" }, { kind: "rebuilt" }]).ok).toBe(true);
      fillDisk();
      const big = { kind: "put-eni", slot: 2, record: "x".repeat(100_000) } as const;
      const fault = { kind: "store", op: `write to ${path}`, reason: full() };
      // One change by itself, and several in a transaction.
      expect(store.write([big])).toEqual({ ok: false, fault });
      expect(store.write([{ kind: "put-eni", slot: 3, record: "y" }, big])).toEqual({ ok: false, fault });
      expect(store.load().enis).toEqual([{ slot: 1, record: "kept" }]);
      makeRoom();
      expect(store.write([{ kind: "put-eni", slot: 2, record: "z" }])).toEqual({
        ok: true,
        value: undefined,
      });
    }
    using store = open();
    expect(store.load().enis).toEqual([
      { slot: 1, record: "kept" },
      { slot: 2, record: "z" },
    ]);
  });

  it("does not take a database for damaged that it has no room to open", () => {
    open()[Symbol.dispose]();
    fillDisk();
    const opened = openStore({ directory, ...BOOT });
    expect(opened).toMatchObject({
      ok: false,
      fault: { kind: "full", fault: { reason: expect.stringContaining("make room") } },
    });
    makeRoom();
    open()[Symbol.dispose]();
  });

  it("says so at a first start, too", () => {
    fillDisk();
    expect(openStore({ directory, ...BOOT })).toMatchObject({ ok: false, fault: { kind: "full" } });
  });
});

function remount(how: "ro" | "rw"): void {
  execFileSync("mount", ["-n", "-o", `remount,${how}`, directory]);
}

describe("openStore() on a read-only file system", () => {
  for (const [name, before] of [
    ["with a database", () => open()[Symbol.dispose]()],
    ["without one", () => undefined],
  ] as const)
    it(`says so, and works when it is writable again: ${name}`, () => {
      before();
      remount("ro");
      const opened = openStore({ directory, ...BOOT });
      const reason = expect.stringMatching(
        /^the file system is read-only .* mount that of .* writable again$/,
      );
      expect(opened).toMatchObject({
        ok: false,
        fault: { kind: "read-only", fault: { kind: "store", reason } },
      });
      remount("rw");
      open()[Symbol.dispose]();
    });
});
