import {
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
import { type Mac, parseMac } from "../../proto/addr.ts";
import { HOST_FILE_PATHS, planHostFiles } from "../core/host-files/plan.ts";
import { reconcileHostFiles } from "./host-files.ts";

const PROGRAM_DIRECTORIES = [
  "etc/udev/rules.d",
  "etc/NetworkManager/conf.d",
  "etc/systemd/network",
  "etc/cloud/cloud.cfg.d",
];
const NM_FILE = "etc/NetworkManager/conf.d/99-terway.conf";
const NOTHING = { written: [], removed: [], refused: [] };

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "terway-host-"));
  for (const directory of PROGRAM_DIRECTORIES) mkdirSync(join(root, directory), { recursive: true });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function eni(number: number): Mac {
  const mac = parseMac(`00:16:3e:00:00:0${number}`);
  if (mac === undefined) throw new Error(`${number}`);
  return mac;
}

/** Every file and directory below the root. */
function everything(): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
}

describe("reconcileHostFiles()", () => {
  it("writes all, once, and leaves the node as it was when they go", async () => {
    const before = everything();
    const files = planHostFiles([eni(1)]);
    expect(await reconcileHostFiles(root, files)).toEqual({ ...NOTHING, written: HOST_FILE_PATHS });
    for (const { path, text } of files) expect(readFileSync(join(root, path), "utf8")).toBe(text);
    expect(await reconcileHostFiles(root, files)).toEqual(NOTHING);
    expect(await reconcileHostFiles(root, [])).toEqual({ ...NOTHING, removed: HOST_FILE_PATHS });
    expect(everything()).toEqual(before);
    expect(await reconcileHostFiles(root, [])).toEqual(NOTHING);
  });

  it("writes only what differs, and removes what is not wanted any more", async () => {
    await reconcileHostFiles(root, planHostFiles([eni(1)]));
    const byMac = ["etc/udev/rules.d/99-terway.rules", NM_FILE, "etc/systemd/network/00-terway-enis.network"];
    expect(await reconcileHostFiles(root, planHostFiles([eni(1), eni(2)]))).toEqual({
      ...NOTHING,
      written: byMac,
    });
    expect(await reconcileHostFiles(root, planHostFiles([]))).toEqual({
      written: byMac.slice(0, 2),
      removed: byMac.slice(2),
      refused: [],
    });
  });

  it("makes no file for a program that is not there", async () => {
    rmSync(join(root, "etc"), { recursive: true });
    expect(await reconcileHostFiles(root, planHostFiles([eni(1)]))).toEqual(NOTHING);
    expect(everything()).toEqual([]);
  });

  it("leaves a file or link of somebody else, and does the others", async () => {
    writeFileSync(join(root, NM_FILE), "[keyfile]\nunmanaged-devices=none\n");
    const masked = "etc/systemd/network/00-terway-links.network";
    symlinkSync("/dev/null", join(root, masked));
    const { written, refused } = await reconcileHostFiles(root, planHostFiles([eni(1)]));
    const left = new Set([NM_FILE, masked]);
    expect(written).toEqual(HOST_FILE_PATHS.filter((path) => !left.has(path)));
    expect(refused).toHaveLength(2);
    expect(refused[0]).toContain(`${NM_FILE}: it was not written by terwayd and is left as it is`);
    await reconcileHostFiles(root, []);
    expect(readFileSync(join(root, NM_FILE), "utf8")).toBe("[keyfile]\nunmanaged-devices=none\n");
    expect(lstatSync(join(root, masked)).isSymbolicLink()).toBe(true);
  });

  it("does not follow a directory out of the node's root", async () => {
    const outside = mkdtempSync(join(tmpdir(), "terway-outside-"));
    try {
      rmSync(join(root, "etc/cloud"), { recursive: true });
      mkdirSync(join(outside, "cloud.cfg.d"));
      symlinkSync(outside, join(root, "etc/cloud"));
      const { refused } = await reconcileHostFiles(root, planHostFiles([]));
      expect(refused).toEqual([expect.stringContaining("outside of")]);
      expect(readdirSync(join(outside, "cloud.cfg.d"))).toEqual([]);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it("keeps a directory in which others have files, and clears up after a write that was cut off", async () => {
    const shared = join(root, "etc/systemd/networkd.conf.d");
    mkdirSync(shared);
    writeFileSync(join(shared, "10-own.conf"), "");
    writeFileSync(join(shared, ".99-terway.conf.tmp"), "half");
    await reconcileHostFiles(root, planHostFiles([]));
    writeFileSync(join(shared, ".99-terway.conf.tmp"), "half");
    await reconcileHostFiles(root, []);
    expect(readdirSync(shared)).toEqual(["10-own.conf"]);
    expect(existsSync(join(root, NM_FILE))).toBe(false);
  });
});
