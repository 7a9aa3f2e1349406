/**
 * A DEL on a real file system. What needs another owner or a full disk is in `node-host-spool.root.test.ts`.
 *
 * @module
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fail, succeed, type Done, type Spool } from "./core/done.ts";
import { carryOutSpool } from "./node-host-spool.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "terway-spool-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function spool(directory: string, changes: Partial<Spool> = {}): Spool {
  return {
    kind: "spool",
    directory,
    name: "net@c1@eth0.del",
    text: "text\n",
    filesMax: 3,
    kept: () => succeed(undefined, "kept"),
    failed: (reason) => fail({ code: 11, msg: reason, details: "" }, "1.1.0"),
    ...changes,
  };
}

function failureOf(done: Done): unknown {
  return done.exit === 0 ? undefined : JSON.parse(done.stdout).msg;
}

describe("carryOutSpool()", () => {
  it("makes the directory and its parents for nobody else, and leaves one file there", () => {
    const directory = join(root, "a/b");
    expect(carryOutSpool(spool(directory))).toMatchObject({ exit: 0, stdout: "", stderr: "kept" });
    expect(readdirSync(directory)).toEqual(["net@c1@eth0.del"]);
    expect(readFileSync(join(directory, "net@c1@eth0.del"), "utf8")).toBe("text\n");
    for (const [path, mode] of [
      ["a", 0o700],
      ["a/b", 0o700],
      ["a/b/net@c1@eth0.del", 0o600],
    ] as const) {
      expect((lstatSync(join(root, path)).mode & 0o777).toString(8), path).toBe(mode.toString(8));
    }
  });

  it("replaces the file of the same DEL, also where the directory is full", () => {
    for (const name of ["x.del", "y.del"]) writeFileSync(join(root, name), "");
    expect(failureOf(carryOutSpool(spool(root, { text: "old" })))).toBeUndefined();
    expect(failureOf(carryOutSpool(spool(root, { text: "new" })))).toBeUndefined();
    expect(readFileSync(join(root, "net@c1@eth0.del"), "utf8")).toBe("new");
    expect(failureOf(carryOutSpool(spool(root, { name: "net@c2@eth0.del" })))).toBe("FULL");
    expect(readdirSync(root).toSorted()).toEqual(["net@c1@eth0.del", "x.del", "y.del"]);
  });

  it("refuses a directory that others may write into, and takes one that they may read", () => {
    for (const [mode, failure] of [
      [0o777, "WRITABLE_BY_OTHERS"],
      [0o720, "WRITABLE_BY_OTHERS"],
      [0o702, "WRITABLE_BY_OTHERS"],
      [0o755, undefined],
    ] as const) {
      const directory = join(root, mode.toString(8));
      mkdirSync(directory);
      chmodSync(directory, mode);
      expect(failureOf(carryOutSpool(spool(directory))), mode.toString(8)).toBe(failure);
      expect(readdirSync(directory)).toHaveLength(failure === undefined ? 1 : 0);
    }
  });

  it("refuses what is no directory, and follows no symbolic link", () => {
    const [file, link, dangling] = [join(root, "file"), join(root, "link"), join(root, "dangling")];
    writeFileSync(file, "");
    mkdirSync(join(root, "real"));
    symlinkSync(join(root, "real"), link);
    symlinkSync(join(root, "nowhere"), dangling);
    for (const path of [file, link, dangling, join(file, "below")]) {
      expect(failureOf(carryOutSpool(spool(path))), path).toBe("ENOTDIR");
    }
    expect(readdirSync(join(root, "real"))).toEqual([]);
    expect(existsSync(join(root, "nowhere"))).toBe(false);
  });

  it("tells of a path or a name that is too long", () => {
    const deep = `${root}/${"d/".repeat(2_100)}`;
    expect(failureOf(carryOutSpool(spool(deep)))).toBe("ENAMETOOLONG");
    expect(failureOf(carryOutSpool(spool(root, { name: "n".repeat(300) })))).toBe("ENAMETOOLONG");
    expect(readdirSync(root)).toEqual([]);
  });

  it("writes over what a process of the same id left when it was killed, and follows no link there", () => {
    const temporary = join(root, ".net@c1@eth0.del.77");
    writeFileSync(temporary, "longer than the text that was to be written");
    expect(failureOf(carryOutSpool(spool(root), 77))).toBeUndefined();
    expect(readFileSync(join(root, "net@c1@eth0.del"), "utf8")).toBe("text\n");
    symlinkSync(join(root, "victim"), temporary);
    expect(failureOf(carryOutSpool(spool(root), 77))).toBe("ELOOP");
    expect(existsSync(join(root, "victim"))).toBe(false);
  });

  it("leaves the temporary files of others alone", () => {
    writeFileSync(join(root, ".net@c1@eth0.del.78"), "half");
    expect(failureOf(carryOutSpool(spool(root), 77))).toBeUndefined();
    expect(readdirSync(root).toSorted()).toEqual([".net@c1@eth0.del.78", "net@c1@eth0.del"]);
  });

  it("removes its temporary file where the rename fails", () => {
    mkdirSync(join(root, "net@c1@eth0.del"));
    expect(failureOf(carryOutSpool(spool(root)))).toBe("EISDIR");
    expect(readdirSync(root)).toEqual(["net@c1@eth0.del"]);
  });

  it("does not read a directory of many files to its end", () => {
    for (let index = 0; index < 50; index += 1) writeFileSync(join(root, `${index}`), "");
    expect(failureOf(carryOutSpool(spool(root)))).toBe("FULL");
  });
});
